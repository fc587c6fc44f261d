"""Arrays as JSON answers: floats read back to themselves, outputs of other forms are refused."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from werkzeug.exceptions import BadRequest

from tfd2l.serve.answers import classify_answer, predict_answer, regress_answer

Array = np.ndarray[Any, Any]


def texts(*values: bytes) -> Array:
    return np.array(values, np.object_)


def test_floats_are_written_with_few_digits() -> None:
    values = [0.1, 1, -0.0, 1e-5, np.pi, 1e-45, 3.4028235e38, np.nan, np.inf, -np.inf]
    answer = predict_answer({"y": np.array(values, np.float32)}, by_rows=True)
    assert json.dumps(answer) == (
        '{"predictions": [0.1, 1.0, -0.0, 1e-05, 3.1415927, 1e-45, 3.4028235e+38, '
        "NaN, Infinity, -Infinity]}"
    )


@given(st.lists(st.integers(0, 2**32 - 1), max_size=50))
def test_every_float_reads_back_to_itself(bits: list[int]) -> None:
    array = np.array(bits, np.uint32).view(np.float32)
    read = json.loads(json.dumps(predict_answer({"y": array}, by_rows=False)))["outputs"]
    # A reader has doubles first, and NaN has many forms.
    np.testing.assert_array_equal(np.array(read, np.float64).astype(np.float32), array)


def test_the_only_output_goes_without_its_name_also_if_it_is_empty_or_a_single_value() -> None:
    y = np.array([[1, 2], [3, 4]], np.uint8)
    assert predict_answer({"y": y}, by_rows=True) == {"predictions": [[1, 2], [3, 4]]}
    assert predict_answer({"y": y}, by_rows=False) == {"outputs": [[1, 2], [3, 4]]}
    assert predict_answer({"y": np.zeros((0, 3), np.float32)}, by_rows=True) == {"predictions": []}
    assert predict_answer({"y": np.array(2, np.float32)}, by_rows=False) == {"outputs": 2.0}
    assert predict_answer({"y": texts(b"a")[0:0]}, by_rows=True) == {"predictions": []}


def test_several_outputs_are_named_in_each_row_or_as_columns() -> None:
    outputs = {
        "label": texts(b"bag", "mütze".encode()),
        "image_bytes": texts(b"\xff\xef", b""),
        # Bytes by its name, and numbers by its dtype.
        "n_bytes": np.array([3, 2**62], np.int64),
        "flag": np.array([True, False]),
    }
    first, second = predict_answer(outputs, by_rows=True)["predictions"]
    assert first == {"flag": True, "image_bytes": {"b64": "/+8="}, "label": "bag", "n_bytes": 3}
    assert second == {"flag": False, "image_bytes": {"b64": ""}, "label": "mütze", "n_bytes": 2**62}
    assert predict_answer(outputs, by_rows=False)["outputs"] == {
        name: [first[name], second[name]] for name in outputs
    }


def test_a_string_that_is_not_utf_8_has_signs_for_its_wrong_bytes() -> None:
    assert predict_answer({"y": texts(b"a\xff")}, by_rows=False) == {"outputs": ["a\ufffd"]}


@pytest.mark.parametrize("other", [np.array(1.0), np.ones(3)])
def test_outputs_without_a_common_number_of_rows_are_refused_by_rows(other: Array) -> None:
    with pytest.raises(BadRequest, match="one number of rows"):
        predict_answer({"a": other, "y": np.ones(2)}, by_rows=True)


def test_classes_and_scores_are_pairs_for_each_example() -> None:
    classes = np.array([[b"a", b"b"], [b"b", b"a"]], np.object_)
    scores = np.array([[0.75, 0.25], [0.6, 0.4]], np.float32)
    assert classify_answer({"classes": classes, "scores": scores}, 2) == {
        "results": [[("a", 0.75), ("b", 0.25)], [("b", 0.6), ("a", 0.4)]]
    }
    # The default of the proto.
    assert classify_answer({"scores": scores}, 2)["results"][0] == [("", 0.75), ("", 0.25)]
    assert classify_answer({"classes": classes}, 2)["results"][0] == [("a", 0.0), ("b", 0.0)]


@pytest.mark.parametrize(
    "outputs",
    [
        {"scores": np.zeros(2, np.float32)},
        {"scores": np.zeros((3, 2), np.float32)},
        {"scores": np.zeros((2, 2), np.float64)},
        {"classes": np.zeros((2, 2), np.int64)},
        {"scores": np.zeros((2, 2), np.float32), "classes": np.full((2, 3), b"", np.object_)},
    ],
)
def test_a_classifier_with_other_outputs_is_refused(outputs: dict[str, Array]) -> None:
    with pytest.raises(BadRequest, match="a classifier gives"):
        classify_answer(outputs, 2)


@pytest.mark.parametrize("shape", [(2,), (2, 1)])
def test_a_regression_is_a_number_for_each_example(shape: tuple[int, ...]) -> None:
    outputs = {"outputs": np.array([0.5, -3], np.float32).reshape(shape)}
    assert regress_answer(outputs, 2) == {"results": [0.5, -3.0]}


@pytest.mark.parametrize(
    "output", [np.zeros((2, 2), np.float32), np.zeros(3, np.float32), np.zeros(2), np.float32(1)]
)
def test_a_regression_with_another_output_is_refused(output: Array) -> None:
    with pytest.raises(BadRequest, match="a regression gives"):
        regress_answer({"outputs": output}, 2)
