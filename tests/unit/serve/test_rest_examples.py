"""Examples of Classify and Regress, against TensorFlow's own reading of the protos."""

from __future__ import annotations

from typing import Any

import pytest
import tensorflow as tf

from tfd2l.serve.json_values import RestError
from tfd2l.serve.rest_examples import examples_of


def features(serialised: bytes) -> dict[str, tuple[str, list[Any]]]:
    """Kind and values of an Example's features."""
    found = tf.train.Example.FromString(serialised).features.feature
    kinds = {name: str(feature.WhichOneof("kind")) for name, feature in found.items()}
    return {
        name: (kind, list(getattr(found[name], kind).value) if kind != "None" else [])
        for name, kind in kinds.items()
    }


def test_the_kind_of_a_feature_goes_by_how_its_values_are_written() -> None:
    [example] = examples_of(
        {
            "examples": [
                {
                    "integer": 1,
                    "float": 1.0,
                    "floats": [0.5, float("inf"), float("nan")],
                    "flags": [True, False],
                    "mixed": [True, 7],
                    "text": "ä",
                    "bytes": [{"b64": "/w=="}, "a"],
                    "long": [2**63 - 1, -(2**63)],
                    "too long for an integer": 2**64,
                    "empty": [],
                }
            ]
        }
    )
    found = features(example)
    assert str(found.pop("floats")) == "('float_list', [0.5, inf, nan])"
    assert found == {
        "integer": ("int64_list", [1]),
        "float": ("float_list", [1.0]),
        "flags": ("int64_list", [1, 0]),
        "mixed": ("int64_list", [1, 7]),
        "text": ("bytes_list", ["ä".encode()]),
        "bytes": ("bytes_list", [b"\xff", b"a"]),
        "long": ("int64_list", [2**63 - 1, -(2**63)]),
        "too long for an integer": ("float_list", [2.0**64]),
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
        {"examples": [{"a": [1.0, 1]}]},
        {"examples": [{"a": ["x", 1]}]},
        {"examples": [{"a": [True, "x"]}]},
        {"examples": [{"a": 2**63}]},
        {"examples": [{"a": 3.5e38}]},
        {"examples": [{"a": 10**400}]},
        {"examples": [{"a": "\ud800"}]},
        {"examples": [{"\ud800": 1}]},
    ],
    ids=str,
)
def test_what_is_no_list_of_examples_is_refused_with_400(document: dict[str, Any]) -> None:
    with pytest.raises(RestError) as caught:
        examples_of(document)
    assert caught.value.status == 400
    assert str(caught.value)


def test_a_name_that_is_no_utf_8_is_taken_as_near_as_can_be() -> None:
    [example] = examples_of({"examples": [{"a\udcff": 1}]})
    assert features(example) == {"a\ufffd": ("int64_list", [1])}
