"""Arrays as JSON answers: floats read back to themselves, outputs of other forms are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tfd2l.serve.answers import classify_answer, predict_answer, regress_answer, to_json
from tfd2l.serve.errors import RestError


def texts(*values: bytes) -> np.ndarray[Any, Any]:
    return np.array(values, np.object_)


def test_floats_are_written_with_few_digits_and_nan_without_quotes() -> None:
    values = [0.1, 1, -0.0, 1e-5, 9e6, np.pi, 1e-45, 3.4028235e38, np.nan, np.inf, -np.inf]
    assert predict_answer({"y": np.array(values, np.float32)}, by_rows=True) == (
        b'{"predictions": [0.1, 1.0, -0.0, 1e-05, 9000000.0, 3.1415927, 1e-45, 3.4028235e+38, '
        b"NaN, Infinity, -Infinity]}"
    )


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_every_float_reads_back_to_itself(bits: list[int]) -> None:
    array = np.array(bits, np.uint32).view(np.float32)
    read = json.loads(predict_answer({"y": array}, by_rows=False))["outputs"]
    # A reader has doubles first, and NaN has many forms.
    np.testing.assert_array_equal(np.array(read, np.float64).astype(np.float32), array)


@given(st.lists(st.floats(), max_size=20))
def test_every_double_reads_back_to_itself(values: list[float]) -> None:
    read = json.loads(predict_answer({"y": np.array(values)}, by_rows=False))["outputs"]
    np.testing.assert_array_equal(np.array(read, np.float64), np.array(values))


def test_the_only_output_goes_without_its_name() -> None:
    y = np.array([[1, 2], [3, 4]], np.uint8)
    assert predict_answer({"y": y}, by_rows=True) == b'{"predictions": [[1, 2], [3, 4]]}'
    assert predict_answer({"y": y}, by_rows=False) == b'{"outputs": [[1, 2], [3, 4]]}'


def test_several_outputs_are_named_in_each_row_or_as_columns() -> None:
    outputs = {
        "label": texts(b"bag", "mütze".encode()),
        "image_bytes": texts(b"\xff\xef", b""),
        "flag": np.array([True, False]),
        "class_id": np.array([3, 2**62], np.int64),
    }
    rows = json.loads(predict_answer(outputs, by_rows=True))
    assert rows == {
        "predictions": [
            {"class_id": 3, "flag": True, "image_bytes": {"b64": "/+8="}, "label": "bag"},
            {"class_id": 2**62, "flag": False, "image_bytes": {"b64": ""}, "label": "mütze"},
        ]
    }
    columns = json.loads(predict_answer(outputs, by_rows=False))["outputs"]
    assert columns["class_id"] == [3, 2**62]
    assert columns["image_bytes"] == [{"b64": "/+8="}, {"b64": ""}]


def test_a_name_with_bytes_holds_bytes_only_if_it_holds_strings() -> None:
    assert json.loads(predict_answer({"n_bytes": np.array([7])}, by_rows=False)) == {"outputs": [7]}


def test_strings_that_are_not_utf_8_are_sent_unchanged() -> None:
    answer = predict_answer({"y": texts(b'\xff"\n', b"\xc3\xa4")}, by_rows=False)
    assert answer == b'{"outputs": ["\xff\\"\\n", "\xc3\xa4"]}'


def test_no_rows_and_single_values_are_answers_too() -> None:
    empty = np.zeros((0, 3), np.float32)
    assert json.loads(predict_answer({"y": empty}, by_rows=True)) == {"predictions": []}
    assert json.loads(predict_answer({"y": np.array(2, np.float32)}, by_rows=False)) == {
        "outputs": 2.0
    }


def test_outputs_without_a_common_number_of_rows_are_refused_by_rows() -> None:
    with pytest.raises(RestError, match="'sum' is a single value") as caught:
        predict_answer({"sum": np.array(1.0), "y": np.ones(2)}, by_rows=True)
    assert caught.value.status == 400
    with pytest.raises(RestError, match="the same number of rows"):
        predict_answer({"a": np.ones(3), "y": np.ones(2)}, by_rows=True)


def test_classes_and_scores_are_pairs_for_each_example() -> None:
    outputs = {
        "classes": np.array([[b"a", b"b"], [b"b", b"a"]], np.object_),
        "scores": np.array([[0.75, 0.25], [0.6, 0.4]], np.float32),
    }
    assert json.loads(classify_answer(outputs, 2)) == {
        "results": [[["a", 0.75], ["b", 0.25]], [["b", 0.6], ["a", 0.4]]]
    }


def test_missing_classes_or_scores_are_the_protos_default() -> None:
    scores = {"scores": np.array([[12]], np.float32)}
    assert json.loads(classify_answer(scores, 1)) == {"results": [[["", 12.0]]]}
    classes = {"classes": np.array([[b"a"]], np.object_)}
    assert json.loads(classify_answer(classes, 1)) == {"results": [[["a", 0.0]]]}


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": np.zeros(2, np.float32)},
        {"scores": np.zeros((3, 2), np.float32)},
        {"scores": np.zeros((2, 2), np.float64)},
        {"classes": np.zeros((2, 2), np.int64)},
        {
            "scores": np.zeros((2, 2), np.float32),
            "classes": np.full((2, 3), b"", np.object_),
        },
    ],
)
def test_a_classifier_with_other_outputs_is_refused(
    outputs: dict[str, np.ndarray[Any, Any]],
) -> None:
    with pytest.raises(RestError) as caught:
        classify_answer(outputs, 2)
    assert caught.value.status == 400


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_a_regression_is_a_number_for_each_example(shape: tuple[int, ...]) -> None:
    outputs = {"outputs": np.array([0.5, -3], np.float32).reshape(shape)}
    assert regress_answer(outputs, 2) == b'{"results": [0.5, -3.0]}'


@pytest.mark.parametrize(
    "output", [np.zeros((2, 2), np.float32), np.zeros(3, np.float32), np.zeros(2), np.float32(1)]
)
def test_a_regression_with_another_output_is_refused(output: np.ndarray[Any, Any]) -> None:
    with pytest.raises(RestError, match="regression") as caught:
        regress_answer({"outputs": output}, 2)
    assert caught.value.status == 400


def test_json_is_utf_8_and_indented_on_demand() -> None:
    assert to_json({"ä": 1}) == '{"ä": 1}'.encode()
    assert to_json({"a": 1}, indent=1) == b'{\n "a": 1\n}'
