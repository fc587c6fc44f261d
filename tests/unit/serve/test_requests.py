"""Requests as arrays of the signature's dtypes, and as examples that TensorFlow reads back."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays_of
from werkzeug.exceptions import HTTPException

from tfd2l.serve.requests import examples_of, parse_object, predict_inputs, signature_name

DTYPES = [
    "bool", "int8", "uint8", "int16", "int32", "int64", "uint32", "uint64", "float32", "float64",
]  # fmt: skip


def refused(read: Callable[..., object], *arguments: object, status: int = 400) -> str:
    """The error, one short line."""
    with pytest.raises(HTTPException) as caught:
        read(*arguments)
    assert caught.value.code == status
    return one_short_line(caught.value)


def one_short_line(error: HTTPException) -> str:
    [line] = str(error.description).splitlines()
    assert len(line) < 500
    json.dumps(line).encode("ascii")
    return line


def one(value: Any, dtype: str = "float32") -> np.ndarray[Any, Any]:
    """The array of the input `x`, given by columns."""
    return predict_inputs({"inputs": value}, {"x": dtype})["x"]


@pytest.mark.parametrize(
    "body",
    [
        b"", b"instances = [1]", b"{", b'{"a": 1} {"b": 2}', b'{"a": "a\nb"}', b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}", b"[1]", b"null", b'{"a":' * 100_000, b"\x00",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)  # fmt: skip
def test_a_body_that_is_not_a_json_object_is_refused(body: bytes) -> None:
    refused(parse_object, body)


def test_a_body_may_begin_with_a_byte_order_mark_and_have_any_numbers() -> None:
    body = b'\xef\xbb\xbf {"a": [NaN, Infinity, -Infinity, 1e308, 123456789012345678901]}'
    assert str(parse_object(body)["a"]) == "[nan, inf, -inf, 1e+308, 123456789012345678901]"


def test_a_request_names_a_signature_or_takes_the_default() -> None:
    assert signature_name({}) == signature_name({"signature_name": ""}) == "serving_default"
    assert signature_name({"signature_name": "classify"}) == "classify"
    for other in (None, 100, ["a"]):
        assert "must be a string value" in refused(signature_name, {"signature_name": other})


def test_rows_and_columns_of_one_input_need_no_name() -> None:
    for document in (
        {"instances": [[1, 2], [3, 4.5]]},
        {"instances": [{"x": [1, 2]}, {"x": [3, 4.5]}]},
        {"inputs": [[1, 2], [3, 4.5]]},
        {"inputs": {"x": [[1, 2], [3, 4.5]], "other": "ignored"}},
    ):
        inputs = predict_inputs(document, {"x": "float32"})
        assert [*inputs] == ["x"]
        expected = np.array([[1, 2], [3, 4.5]], np.float32)
        np.testing.assert_array_equal(inputs["x"], expected, strict=True)


def test_several_inputs_are_named_in_each_row_or_as_columns() -> None:
    rows = {"instances": [{"a": [1, 2], "b": "ä"}, {"b": {"b64": "/w=="}, "a": [3, 4]}]}
    columns = {"inputs": {"a": [[1, 2], [3, 4]], "b": ["ä", {"b64": "/w=="}]}}
    for document in (rows, columns):
        inputs = predict_inputs(document, {"a": "uint8", "b": "string"})
        expected = np.array([[1, 2], [3, 4]], np.uint8)
        np.testing.assert_array_equal(inputs["a"], expected, strict=True)
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
        (256, "uint8"), (-1, "uint8"), (128, "int8"), (-(2**15) - 1, "int16"), (2**31, "int32"),
        (2**63, "int64"), (-1, "uint32"), (2**32, "uint32"), (-1, "uint64"), (2**64, "uint64"),
        (1.0, "uint8"), (True, "uint8"), (None, "uint8"), ("1", "uint8"), ({}, "uint8"),
        (1, "bool"), (None, "bool"), (True, "float32"), ("1", "float32"), (None, "float64"),
        (10**400, "float32"), (1, "string"), (None, "string"), ({"b64": 1}, "string"),
        ({"b64": "AA==", "a": 1}, "string"), ("\ud800", "string"),
        # Not base64.
        ({"b64": "Z"}, "string"), ({"b64": "Z=g="}, "string"), ({"b64": "_-8="}, "string"),
        ({"b64": "Zm9vä"}, "string"),
    ],
)  # fmt: skip
def test_values_that_the_dtype_can_not_hold_are_refused(value: Any, dtype: str) -> None:
    good: Any = {"string": "a", "bool": True}.get(dtype, 1)
    for document in ({"inputs": {"x": [good, value]}}, {"instances": [[good], [value]]}):
        text = refused(predict_inputs, document, {"x": dtype})
        assert "input 'x' takes values" in text
        assert dtype in text


def test_numbers_become_the_nearest_float() -> None:
    # The first is not exact in float32, and taken by the server all the same.
    values = [2**24 + 1, 10**25, 0.1, 1e-50, 1e39, -(10**39), float("nan")]
    assert str(one(values).tolist()) == (
        "[16777216.0, 9.999999562023526e+24, 0.10000000149011612, 0.0, inf, -inf, nan]"
    )
    assert one(10**300, "float64") == 1e300


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "uint16", "complex64"])
def test_dtypes_without_a_json_form_are_not_implemented(dtype: str) -> None:
    assert dtype in refused(predict_inputs, {"inputs": [1]}, {"x": dtype}, status=501)


@pytest.mark.parametrize(
    "rows", [[[1, 2], [3]], [[1, 2], 3], [1, [2]], [[], [1]], [[[[1]]], [[1]]]]
)
@pytest.mark.parametrize("dtype", ["float32", "string", "uint8"])
def test_ragged_lists_are_refused(rows: Any, dtype: str) -> None:
    for document in ({"instances": rows}, {"inputs": rows}):
        assert "equally long" in refused(predict_inputs, document, {"x": dtype})


def test_lists_deeper_than_numpy_has_axes_are_refused() -> None:
    deep: Any = 1
    for _ in range(64):
        deep = [deep]
    assert one(deep).ndim == 64
    assert "64 deep" in refused(one, [deep])


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({}, "one of 'instances' and 'inputs'"),
        ({"instances": [[1]], "inputs": [[1]]}, "one of 'instances' and 'inputs'"),
        ({"instances": []}, "at least one element"),
        ({"instances": {"x": [1]}}, "must be a list"),
        ({"instances": [{"y": [1]}]}, "process element: 0"),
        ({"instances": [{"x": 1}, {"x": 1, "y": 2}]}, "process element: 1"),
        ({"instances": [{"x": 1}, 2]}, "process element: 1"),
        ({"instances": [2, {"x": 1}]}, "process element: 0"),
        ({"inputs": {"y": [1]}}, "keys ['x']"),
        ({"inputs": None}, "expected type: float32"),
    ],
)
def test_requests_of_another_form_are_refused(document: Any, words: str) -> None:
    assert words in refused(predict_inputs, document, {"x": "float32"})


def test_several_inputs_need_their_names() -> None:
    for key, value in (
        ("instances", [1, 2]), ("instances", [{"a": 1}]), ("inputs", [1]), ("inputs", {"a": [1]}),
    ):  # fmt: skip
        text = refused(predict_inputs, {key: value}, {"a": "float32", "b": "float32"})
        assert "keys ['a', 'b']" in text


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
    st.dictionaries(st.sampled_from(["instances", "inputs", "examples", "context"]), VALUES),
    st.sampled_from([*DTYPES, "string"]),
    st.sampled_from([["x"], ["x", "y"]]),
)
def test_any_json_gives_arrays_of_the_dtype_and_examples_or_a_400(
    document: Any, dtype: str, names: list[str]
) -> None:
    try:
        inputs = predict_inputs(document, dict.fromkeys(names, dtype))
        assert sorted(inputs) == names
        for array in inputs.values():
            assert array.dtype == (np.object_ if dtype == "string" else np.dtype(dtype))
        for example in examples_of(document):
            tf.train.Example.FromString(example)
    except HTTPException as error:
        assert error.code == 400
        one_short_line(error)


def test_base64_is_decoded_with_padding_or_without() -> None:
    # The test vectors of RFC 4648, section 10, and two without padding.
    texts = {"": b"", "Zg==": b"f", "Zm8=": b"fo", "Zm9v": b"foo", "Zg": b"f", "/+8": b"\xff\xef"}
    for text, decoded in texts.items():
        assert one({"b64": text}, "string").tolist() == decoded


def features(serialised: bytes) -> dict[str, tuple[str, list[Any]]]:
    """Kind and values of an Example's features."""
    found = tf.train.Example.FromString(serialised).features.feature
    kinds = {name: str(feature.WhichOneof("kind")) for name, feature in found.items()}
    return {
        name: (kind, list(getattr(found[name], kind).value) if kind != "None" else [])
        for name, kind in kinds.items()
    }


def test_the_json_form_of_its_values_decides_the_kind_of_a_feature() -> None:
    for content, expected in (
        (1, ("int64_list", [1])),
        (1.0, ("float_list", [1.0])),
        ([0.5, 1e39], ("float_list", [0.5, float("inf")])),
        ([True, False], ("int64_list", [1, 0])),
        ("ä", ("bytes_list", ["ä".encode()])),
        ([{"b64": "/w=="}, "a"], ("bytes_list", [b"\xff", b"a"])),
        ([2**63 - 1, -(2**63)], ("int64_list", [2**63 - 1, -(2**63)])),
        ([], ("None", [])),
    ):
        [example] = examples_of({"examples": [{"a": content}]})
        assert features(example) == {"a": expected}


def test_each_example_has_the_features_of_the_context_too() -> None:
    examples = examples_of({"context": {"c": "k", "a": 0}, "examples": [{"a": 1}, {"b": 2}, {}]})
    context = ("bytes_list", [b"k"])
    assert [features(example) for example in examples] == [
        {"c": context, "a": ("int64_list", [1])},
        {"c": context, "a": ("int64_list", [0]), "b": ("int64_list", [2])},
        {"c": context, "a": ("int64_list", [0])},
    ]


@pytest.mark.parametrize(
    "document",
    [
        {}, {"examples": []}, {"examples": {"a": 1}}, {"examples": [1]},
        {"examples": [{"a": 1}], "context": None}, {"examples": [{"a": None}]},
        {"examples": [{"a": [[1]]}]}, {"examples": [{"a": {"b": 1}}]},
        {"examples": [{"a": [1, 1.0]}]}, {"examples": [{"a": ["x", 1]}]},
        {"examples": [{"a": 2**63}]}, {"examples": [{"a": "\ud800"}]},
        {"examples": [{"\ud800": 1}]},
    ],
    ids=str,
)  # fmt: skip
def test_anything_but_a_list_of_examples_is_refused(document: dict[str, Any]) -> None:
    refused(examples_of, document)
