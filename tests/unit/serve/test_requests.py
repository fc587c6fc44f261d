"""Predict requests as arrays of the signature's dtypes."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of

from tfd2l.serve.errors import RestError
from tfd2l.serve.requests import predict_request

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
    return one_short_line(caught.value)


def one_short_line(error: RestError) -> str:
    text = str(error)
    assert text
    assert len(text.splitlines()) == 1
    assert len(text) < 500
    json.dumps({"error": text}).encode("ascii")
    return text


def test_rows_and_columns_of_one_input_need_no_name() -> None:
    for document in (
        {"instances": [[1, 2], [3, 4.5]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]},
        {"inputs": [[1, 2], [3, 4.5]]},
        {"inputs": {"x": [[1, 2], [3, 4.5]], "other": "ignored"}},
    ):
        request = predict_request(document, {"x": "float32"})
        assert request.by_rows == ("instances" in document)
        assert [*request.inputs] == ["x"]
        np.testing.assert_array_equal(
            request.inputs["x"], np.array([[1, 2], [3, 4.5]], np.float32), strict=True
        )


def test_several_inputs_are_named_in_each_row_or_as_columns() -> None:
    dtypes = {"a": "uint8", "b": "string"}
    rows = {"instances": [{"a": [1, 2], "b": "ä"}, {"b": {"b64": "/w=="}, "a": [3, 4]}]}
    columns = {"inputs": {"a": [[1, 2], [3, 4]], "b": ["ä", {"b64": "/w=="}]}}
    for document in (rows, columns):
        inputs = predict_request(document, dtypes).inputs
        np.testing.assert_array_equal(
            inputs["a"], np.array([[1, 2], [3, 4]], np.uint8), strict=True
        )
        assert inputs["b"].dtype == np.object_
        assert inputs["b"].tolist() == ["ä".encode(), b"\xff"]


@given(st.data(), st.sampled_from(DTYPES))
def test_any_array_comes_through_json_unchanged(data: st.DataObject, dtype: str) -> None:
    shapes = arrays_of.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=4)
    array = data.draw(arrays_of.arrays(np.dtype(dtype), shapes))
    found = one(json.loads(json.dumps(array.tolist())), dtype)
    # JSON has no axes below one of length 0.
    shape = array.shape[: array.shape.index(0) + 1] if 0 in array.shape else array.shape
    np.testing.assert_array_equal(found, array.reshape(shape), strict=True)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        # The server wraps these: 256 becomes 0.
        (256, "uint8"),
        (-1, "uint8"),
        (128, "int8"),
        (-(2**15) - 1, "int16"),
        (2**31, "int32"),
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
        (10**400, "float32"),
        (10**400, "float64"),
        (1, "string"),
        (None, "string"),
        ({"b64": 1}, "string"),
        ({"b64": "AA==", "a": 1}, "string"),
        ({"a": "b"}, "string"),
        ("\ud800", "string"),
    ],
)
def test_values_that_the_dtype_can_not_hold_are_refused(value: Any, dtype: str) -> None:
    good: Any = {"string": "a", "bool": True}.get(dtype, 1)
    assert "'x'" in refused({"inputs": {"x": [good, value]}}, {"x": dtype})
    assert "'x'" in refused({"instances": [[good], [value]]}, {"x": dtype})


def test_a_refused_value_is_named_with_its_place_and_its_range() -> None:
    image = np.zeros((2, 28, 28), int)
    image[1, 3, 4] = 256
    assert refused({"instances": image.tolist()}, {"image": "uint8"}) == (
        "JSON Value: 256 at [1][3][4] of input 'image' must be from 0 to 255, as its dtype is uint8"
    )
    assert "1.5 at the top of input 'x'" in refused({"inputs": 1.5}, {"x": "uint8"})


@pytest.mark.parametrize(
    ("value", "dtype"),
    [
        # Not exact in the dtype, and taken by the server all the same.
        (2**24 + 1, "float32"),
        (2**53 + 1, "float64"),
        (10**25, "float32"),
        (10**300, "float64"),
        (0.1, "float32"),
        (1e-50, "float32"),
        (float("inf"), "float32"),
        (float("-inf"), "float64"),
        (float("nan"), "float32"),
    ],
)
def test_numbers_become_the_nearest_float(value: float, dtype: str) -> None:
    np.testing.assert_array_equal(one([value], dtype), np.array([value], dtype), strict=True)


def test_a_number_beyond_float32_becomes_infinite() -> None:
    assert one([1e39, -1e39, 10**39]).tolist() == [np.inf, -np.inf, np.inf]


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16", "complex64"])
def test_dtypes_without_a_json_form_are_not_implemented(dtype: str) -> None:
    assert dtype in refused({"inputs": [1]}, {"x": dtype}, status=501)


@pytest.mark.parametrize(
    "rows",
    [
        [[1, 2], [3]],
        [[[1], [2]], [[3], []]],
        [[1, 2], 3],
        [1, [2]],
        [[1, [2]]],
        [[], [1]],
        [[[[1]]], [[1]]],
    ],
)
@pytest.mark.parametrize("dtype", ["float32", "string", "uint8"])
def test_ragged_lists_are_refused(rows: Any, dtype: str) -> None:
    assert "equally long and deep" in refused({"instances": rows}, {"x": dtype})
    assert "equally long and deep" in refused({"inputs": rows}, {"x": dtype})


def test_lists_deeper_than_numpy_has_axes_are_refused() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert one(deep).ndim == 64
    assert "64 levels" in refused({"inputs": [deep]})
    assert "64 levels" in refused({"instances": [[deep], [deep, deep]]})


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "Missing 'inputs' or 'instances' key"),
        ({"instances": [[1]], "inputs": [[1]]}, "one of"),
        ({"instances": []}, "at least one element"),
        ({"instances": {"x": [1]}}, "must be a list"),
        ({"instances": None}, "must be a list"),
        ({"instances": [{"y": [1]}]}, "process element: 0"),
        ({"instances": [{"x": 1}, {"x": 1, "y": 2}]}, "process element: 1"),
        ({"instances": [{"x": 1}, 2]}, "element 1 differs"),
        ({"instances": [2, {"x": 1}]}, "element 1 differs"),
        ({"inputs": {"y": [1]}}, "Missing named input: x"),
        ({"inputs": {}}, "Missing named input: x"),
        ({"inputs": None}, "expected type: float32"),
    ],
)
def test_requests_of_another_form_are_refused(document: Any, words: str) -> None:
    assert words in refused(document)


def test_several_inputs_need_their_names_and_a_signature_needs_inputs() -> None:
    dtypes = {"a": "float32", "b": "float32"}
    assert "keys ['a', 'b']" in refused({"instances": [1, 2]}, dtypes)
    assert "keys ['a', 'b']" in refused({"inputs": [1, 2]}, dtypes)
    assert "Missing named input: b" in refused({"inputs": {"a": [1]}}, dtypes)
    assert "keys ['a', 'b']" in refused({"instances": [{"a": 1}]}, dtypes)
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
        one_short_line(error)
        return
    assert sorted(request.inputs) == names
    for array in request.inputs.values():
        assert array.dtype == (np.object_ if dtype == "string" else np.dtype(dtype))


@pytest.mark.parametrize(
    ("text", "decoded"),
    [
        # The test vectors of RFC 4648, section 10.
        ("", b""),
        ("Zg==", b"f"),
        ("Zm8=", b"fo"),
        ("Zm9v", b"foo"),
        ("Zm9vYg==", b"foob"),
        # Without padding, and with white space.
        ("Zg", b"f"),
        ("Zm8", b"fo"),
        (" Zm\n9v ", b"foo"),
        ("/+8=", b"\xff\xef"),
    ],
)
def test_base64_is_decoded_with_padding_or_without(text: str, decoded: bytes) -> None:
    assert one({"b64": text}, "string").tolist() == decoded


@pytest.mark.parametrize("text", ["Z", "Zg=", "Zg===", "Z=g=", "_-8=", "Zm9vä", "Zm9vYg==Zg=="])
def test_a_text_that_is_not_base64_is_refused(text: str) -> None:
    assert "Unable to base64 decode" in refused({"inputs": [{"b64": text}]}, {"x": "string"})
