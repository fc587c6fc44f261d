"""The examples of a Classify or Regress request, from JSON to serialised `tf.train.Example`s.

The kind of a feature goes by how JSON writes its values, as in TensorFlow Serving: 1 is an
integer and 1.0 a float, whatever the model asks for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import chain
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2

from tfd2l.serve.json_values import (
    RestError,
    decode_base64,
    encode_text,
    is_base64,
    is_integer,
    refuse,
    shown,
)

__all__ = ["examples_of", "let_through"]

_LARGEST_INT64 = 2**63 - 1
_LARGEST_FLOAT = float(np.finfo(np.float32).max)


def examples_of(document: Mapping[str, Any]) -> np.ndarray[Any, Any]:
    """The `examples` of a request, each with the features of `context`, if there is one.

    Returns:
        (n,) dtype object: serialised `tf.train.Example`s.

    Raises:
        RestError: 400; there are none, or a feature is not a value or a list of values of one
            kind.
    """
    # The server has it so too: one message's bytes after another's are both of them merged.
    context = _example(document["context"]) if "context" in document else b""
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        refuse(f"'examples' must be a list with at least one element; got {shown(examples)}")
    array = np.empty(len(examples), np.object_)
    array[:] = [context + _example(example) for example in examples]
    return array


def let_through(document: Mapping[str, Any]) -> list[str]:
    """A line if features are not finite, which the server takes silently.

    Args:
        document: a request that `examples_of` takes.
    """
    features = [document.get("context", {}), *document["examples"]]
    odd = [
        value
        for content in chain.from_iterable(example.values() for example in features)
        for value in (content if isinstance(content, list) else [content])
        if isinstance(value, float) and not math.isfinite(value)
    ]
    return [f"{len(odd)} values of features are not finite, the first is {odd[0]}"] if odd else []


def _example(features: Any) -> bytes:
    """A serialised Example of an object of features."""
    if not isinstance(features, dict):
        refuse(f"Example must be JSON object; got {shown(features)}")
    example = example_pb2.Example()
    for name, content in features.items():
        # Half a surrogate pair is no name either.
        key = encode_text(name).decode("utf-8", "replace")
        feature = example.features.feature[key]
        for value in content if isinstance(content, list) else [content]:
            _add(feature, name, value)
    return bytes(example.SerializeToString())


def _add(feature: Any, name: str, value: Any) -> None:
    """Add a value to the feature, whose first value tells its kind."""
    kind, converted = _converted(name, value)
    present = feature.WhichOneof("kind") or kind
    if present != kind:
        refuse(
            f"Feature: {shown(name)} has values of {present} and of {kind}, such as "
            f"{shown(value)}; a feature's values are of one kind (1 is an integer, 1.0 a float)"
        )
    getattr(feature, kind).value.append(converted)


def _converted(name: str, value: Any) -> tuple[str, Any]:
    """The field of Feature that takes the value, and the value as it takes it."""
    match value:
        case bool():
            return "int64_list", int(value)
        case int() if is_integer(value):
            if value > _LARGEST_INT64:
                refuse(f"Feature: {shown(name)} has {value}; integers are int64")
            return "int64_list", value
        case int() | float():
            return "float_list", _float32(name, value)
        case str():
            return "bytes_list", encode_text(value)
        case dict() if is_base64(value):
            return "bytes_list", decode_base64(value)
    raise RestError(400, f"Feature: {shown(name)} has an unexpected JSON value: {shown(value)}")


def _float32(name: str, value: float) -> float:
    """The number, if it is in float32's range."""
    try:
        wide = float(value)
    except OverflowError:
        refuse(f"JSON Parse error: a number of feature {shown(name)} is too big for a double")
    if np.isfinite(wide) and abs(wide) > _LARGEST_FLOAT:
        refuse(f"Feature: {shown(name)} has {wide}, which is no float without loss of precision")
    return wide
