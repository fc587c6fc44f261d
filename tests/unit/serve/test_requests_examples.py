"""The JSON body of a request, and its examples, which TensorFlow's own protos read back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import tensorflow as tf

from tfd2l.serve.errors import RestError
from tfd2l.serve.requests import examples_of, parse_object, signature_name


def refused(read: Callable[[Any], object], argument: object) -> str:
    """The error, one line with status 400."""
    with pytest.raises(RestError) as caught:
        read(argument)
    assert caught.value.status == 400
    [line] = str(caught.value).splitlines()
    return line


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"instances = [1]",
        b"{",
        b'{"a": 1} {"b": 2}',
        b'{"a": 01}',
        b'{"a": +1}',
        b"{'a': 1}",
        b'{"a": "a\nb"}',
        b'{"a": 1e999}',
        b'{"a": -1e999}',
        b'{"a": ' + b"9" * 5000 + b"}",
        b"[1]",
        b"3",
        b"null",
        b'{"a":' + b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"\x00",
        b"\xff\xfe",
        b'{"a": "\xff"}',
        '{"a": 1}'.encode("utf-16"),
    ],
    ids=lambda body: repr(body[:20]),
)
def test_a_body_that_is_not_a_json_object_is_refused_with_400(body: bytes) -> None:
    assert len(refused(parse_object, body)) < 300


def test_a_body_may_begin_with_a_byte_order_mark_and_have_any_numbers() -> None:
    body = b'\xef\xbb\xbf {"a": [NaN, Infinity, -Infinity, 1e308, 123456789012345678901]}'
    found = parse_object(body)["a"]
    assert str(found) == "[nan, inf, -inf, 1e+308, 123456789012345678901]"


def test_the_first_of_two_equal_names_counts() -> None:
    assert parse_object(b'{"a": 1, "b": 3, "a": 2}') == {"a": 1, "b": 3}


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


def features(serialised: bytes) -> dict[str, tuple[str, list[Any]]]:
    """Kind and values of an Example's features."""
    found = tf.train.Example.FromString(serialised).features.feature
    kinds = {name: str(feature.WhichOneof("kind")) for name, feature in found.items()}
    return {
        name: (kind, list(getattr(found[name], kind).value) if kind != "None" else [])
        for name, kind in kinds.items()
    }


def test_the_json_form_of_its_values_decides_the_kind_of_a_feature() -> None:
    [example] = examples_of(
        {
            "examples": [
                {
                    "integer": 1,
                    "float": 1.0,
                    "floats": [0.5, float("inf"), float("nan"), 1e39],
                    "flags": [True, False],
                    "mixed": [True, 7],
                    "text": "ä",
                    "bytes": [{"b64": "/w=="}, "a"],
                    "long": [2**63 - 1, -(2**63)],
                    "empty": [],
                }
            ]
        }
    )
    found = features(example)
    assert str(found.pop("floats")) == "('float_list', [0.5, inf, nan, inf])"
    assert found == {
        "integer": ("int64_list", [1]),
        "float": ("float_list", [1.0]),
        "flags": ("int64_list", [1, 0]),
        "mixed": ("int64_list", [1, 7]),
        "text": ("bytes_list", ["ä".encode()]),
        "bytes": ("bytes_list", [b"\xff", b"a"]),
        "long": ("int64_list", [2**63 - 1, -(2**63)]),
        "empty": ("None", []),
    }


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
        {},
        {"examples": []},
        {"examples": {"a": 1}},
        {"examples": None},
        {"examples": [1]},
        {"examples": [[]]},
        {"examples": [{"a": 1}], "context": [1]},
        {"examples": [{"a": 1}], "context": None},
        {"examples": [{"a": None}]},
        {"examples": [{"a": [None]}]},
        {"examples": [{"a": [[1]]}]},
        {"examples": [{"a": {"b": 1}}]},
        {"examples": [{"a": {"b64": "A"}}]},
        {"examples": [{"a": [1, 1.0]}]},
        {"examples": [{"a": ["x", 1]}]},
        {"examples": [{"a": [True, "x"]}]},
        {"examples": [{"a": 2**63}]},
        {"examples": [{"a": -(2**63) - 1}]},
        {"examples": [{"a": 10**400}]},
        {"examples": [{"a": "\ud800"}]},
        {"examples": [{"\ud800": 1}]},
    ],
    ids=str,
)
def test_anything_but_a_list_of_examples_is_refused_with_400(document: dict[str, Any]) -> None:
    refused(examples_of, document)
