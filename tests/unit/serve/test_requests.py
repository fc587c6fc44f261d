"""JSON requests as arrays; what is expected was read off TensorFlow Serving's json_tensor.cc."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tfd2l.serve.json_values import RestError
from tfd2l.serve.requests import predict_request, signature_name

DTYPES = [
    "bool", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "float32", "float64",
]  # fmt: skip


def one(value: Any, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """The array of the input `x`, given by columns."""
    return predict_request({"inputs": value}, {"x": dtype}).inputs["x"]


def refused(document: Any, dtypes: dict[str, str] | None = None, status: int = 400) -> str:
    with pytest.raises(RestError) as caught:
        predict_request(document, dtypes or {"x": "float32"})
    assert caught.value.status == status
    return str(caught.value)


@pytest.mark.parametrize(
    ("document", "name"),
    [
        ({}, "serving_default"),
        ({"signature_name": ""}, "serving_default"),
        ({"signature_name": "classify"}, "classify"),
    ],
)
def test_a_request_names_a_signature_or_takes_the_default(
    document: dict[str, Any], name: str
) -> None:
    assert signature_name(document) == name


@pytest.mark.parametrize("name", [None, 100, ["a"], {}])
def test_a_signature_name_is_a_string(name: Any) -> None:
    with pytest.raises(RestError, match="'signature_name' key must be a string value"):
        signature_name({"signature_name": name})


def test_rows_and_columns_of_one_input_need_no_name() -> None:
    for document in (
        {"instances": [[1, 2], [3, 4.5]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]},
        {"inputs": [[1, 2], [3, 4.5]]},
        {"inputs": {"x": [[1, 2], [3, 4.5]]}},
    ):
        request = predict_request(document, {"x": "float32"})
        assert request.by_rows == ("instances" in document)
        assert [*request.inputs] == ["x"]
        np.testing.assert_array_equal(
            request.inputs["x"], np.array([[1, 2], [3, 4.5]], np.float32), strict=True
        )
        assert request.let_through == ()


def test_several_inputs_are_named_in_each_row_or_as_columns() -> None:
    dtypes = {"a": "uint8", "b": "string"}
    rows = {"instances": [{"a": [1, 2], "b": "x"}, {"b": {"b64": "/w=="}, "a": [3, 4]}]}
    columns = {"inputs": {"a": [[1, 2], [3, 4]], "b": ["x", {"b64": "/w=="}]}}
    for document in (rows, columns):
        inputs = predict_request(document, dtypes).inputs
        np.testing.assert_array_equal(
            inputs["a"], np.array([[1, 2], [3, 4]], np.uint8), strict=True
        )
        assert inputs["b"].dtype == np.object_
        assert inputs["b"].tolist() == [b"x", b"\xff"]


@given(st.data(), st.sampled_from(DTYPES))
def test_any_array_comes_through_json_unchanged(data: st.DataObject, dtype: str) -> None:
    # Integers that a float can't tell apart are refused, and floats are no integers.
    shapes = arrays_of.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4)
    array = data.draw(arrays_of.arrays(np.dtype(dtype), shapes))
    sent = json.loads(json.dumps(array.tolist()))
    found = one(sent, dtype)
    # JSON has no axes below one of length 0.
    shape = array.shape[: array.shape.index(0) + 1] if 0 in array.shape else array.shape
    assert found.dtype == array.dtype
    assert found.shape == shape
    np.testing.assert_array_equal(found, array.reshape(shape))


def test_scalars_and_empty_lists_have_the_shapes_that_json_shows() -> None:
    assert one(3).shape == ()
    assert one({"b64": "AA=="}, "string").shape == ()
    assert one([]).shape == (0,)
    assert one([[], []]).shape == (2, 0)
    assert predict_request({"instances": [[], []]}, {"x": "float32"}).inputs["x"].shape == (2, 0)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**31, "uint8"),
        (-(2**31) - 1, "int32"),
        (2**63, "int64"),
        (-1, "uint32"),
        (2**32, "uint32"),
        (-1, "uint64"),
        (2**64, "uint64"),
        (1.0, "uint8"),
        (1.0, "int64"),
        (float("nan"), "uint8"),
        (True, "uint8"),
        (None, "uint8"),
        ("1", "uint8"),
        ({"b64": "AA=="}, "uint8"),
        ({}, "uint8"),
        (1, "bool"),
        (0.0, "bool"),
        (None, "bool"),
        (True, "float32"),
        ("1", "float32"),
        (None, "float64"),
        ({"a": 1}, "float32"),
        # One more than 24 and 53 bits can hold, where the server draws the line.
        (2**24, "float32"),
        (-(2**24), "float32"),
        (2**53, "float64"),
        (3.5e38, "float32"),
        (-3.5e38, "float32"),
        (10**400, "float64"),
        (1, "string"),
        (None, "string"),
        ({"b64": 1}, "string"),
        ({"b64": "A"}, "string"),
        ({"a": "b"}, "string"),
        ("\ud800", "string"),
    ],
)
def test_values_that_the_dtype_does_not_take_are_refused(value: Any, dtype: str) -> None:
    good: Any = {"string": "a", "bool": True}.get(dtype, 1)
    assert refused({"inputs": {"x": [good, value]}}, {"x": dtype})
    assert refused({"instances": [[good], [value]]}, {"x": dtype})


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        (2**24 - 1, "float32"),
        (2**53 - 1, "float64"),
        # Too long for 64 bits, so a double to the server's parser, and those need not be exact.
        (10**25, "float32"),
        (10**300, "float64"),
        (3.4e38, "float32"),
        (0.1, "float32"),
        (1e-50, "float32"),
        (float("inf"), "float32"),
        (float("-inf"), "float64"),
        (float("nan"), "float32"),
    ],
)
def test_numbers_become_the_nearest_float(value: float, dtype: str) -> None:
    np.testing.assert_array_equal(one([value], dtype), np.array([value], dtype), strict=True)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16", "complex64"])
def test_dtypes_without_a_json_form_are_not_implemented(dtype: str) -> None:
    assert dtype in refused({"inputs": [1]}, {"x": dtype}, status=501)


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([[1, 2], [3]], r"that at [1] has 1 elements"),
        ([[1, 2], [3, 4, 5]], r"that at [1] has 3 elements"),
        ([[[1], [2]], [[3], []]], r"that at [1][1] has 0 elements"),
        ([[1, 2], 3], r"value beside lists, at [1]"),
        ([1, [2]], r"value beside lists, at [0]"),
        ([[1, [2]]], r"value beside lists, at [0][0]"),
        ([[], [1]], r"that at [1] has 1 elements"),
    ],
)
def test_ragged_lists_are_refused_with_their_place(rows: Any, words: str) -> None:
    assert words in refused({"instances": rows})
    assert words in refused({"inputs": rows})


def test_lists_deeper_than_numpy_has_axes_are_refused() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert one(deep).ndim == 64
    assert "64 levels" in refused({"inputs": [deep]})
    assert "64 levels" in refused({"instances": [[deep]]})
    uneven = [[deep, deep], [deep]]
    refused({"inputs": uneven})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1]], "inputs": [[1]]}, "one of"),
        ({"instances": []}, "at least one element"),
        ({"instances": {"x": [1]}}, "must be a list"),
        ({"instances": 3}, "must be a list"),
        ({"instances": None}, "must be a list"),
        ({"instances": [{"y": [1]}]}, "process element: 0"),
        ({"instances": [{"x": 1}, {"x": 1, "y": 2}]}, "process element: 1"),
        ({"instances": [{"x": 1}, {}]}, "process element: 1"),
        ({"instances": [{"x": 1}, 2]}, "element 1 differs"),
        ({"instances": [2, {"x": 1}]}, "element 1 differs"),
        ({"inputs": {"y": [1]}}, "Missing named input: x"),
        ({"inputs": {}}, "Missing named input: x"),
        ({"inputs": None}, "expected type: float32"),
    ],
)
def test_requests_of_another_form_are_refused(document: Any, words: str) -> None:
    assert words in refused(document)


def test_several_inputs_can_not_go_without_names() -> None:
    dtypes = {"a": "float32", "b": "float32"}
    assert "keys ['a', 'b']" in refused({"instances": [1, 2]}, dtypes)
    assert "keys ['a', 'b']" in refused({"inputs": [1, 2]}, dtypes)
    assert "Missing named input: b" in refused({"inputs": {"a": [1]}}, dtypes)
    assert "keys ['a', 'b']" in refused({"instances": [{"a": 1}]}, dtypes)


def test_a_signature_without_inputs_can_not_be_filled() -> None:
    with pytest.raises(RestError, match="no inputs"):
        predict_request({"inputs": []}, {})


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.fixed_dictionaries({"b64": st.text(max_size=4)}),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["x", "y", "b64"]), inner, max_size=2)
    ),
    max_leaves=10,
)


@given(
    st.dictionaries(st.sampled_from(["instances", "inputs"]), VALUES, max_size=2),
    st.sampled_from([*DTYPES, "string"]),
    st.sampled_from([["x"], ["x", "y"]]),
)
def test_any_json_gives_arrays_of_the_dtype_or_a_400(
    document: Any, dtype: str, names: list[str]
) -> None:
    try:
        request = predict_request(document, dict.fromkeys(names, dtype))
    except RestError as error:
        assert error.status == 400
        assert str(error)
        return
    assert sorted(request.inputs) == names
    for array in request.inputs.values():
        assert array.dtype == (np.object_ if dtype == "string" else np.dtype(dtype))
