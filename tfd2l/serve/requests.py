"""Reads JSON requests as arrays, by the rules of TensorFlow Serving's REST interface.

The statuses are TensorFlow Serving's, the words of the errors are our own. A request in which the
real server would change a value in silence is refused; savedmodels/README.md lists these cases.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2

from pipelines.basics.text import one_line, shown
from tfd2l.serve.errors import RestError, refuse

__all__ = ["PredictRequest", "examples_of", "parse_object", "predict_request", "signature_name"]

Array = np.ndarray[Any, Any]

# The Python types of the JSON values that an input of this dtype takes; an object is base64.
_TYPES: Mapping[str, set[type]] = {
    **{dtype: {int} for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
    "float32": {int, float},
    "float64": {int, float},
    "bool": {bool},
    "string": {str, dict},
}


@dataclass(frozen=True)
class PredictRequest:
    """The arrays of a Predict request.

    Attributes:
        by_rows: True for `instances`, answered with `predictions`; False for `inputs`.
        inputs: arrays of the signature's dtypes by input name; strings as dtype object (bytes).
    """

    by_rows: bool
    inputs: Mapping[str, Array]


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a request's body; the first of several equal names counts.

    Raises:
        RestError: 400; the body is not JSON in UTF-8, or not an object.
    """
    if not body:
        refuse("JSON Parse error: The document is empty")
    try:
        document = json.loads(
            body.decode("utf-8-sig"),
            parse_float=_double,
            object_pairs_hook=lambda pairs: dict(reversed(pairs)),
        )
    except RecursionError:
        refuse("JSON Parse error: lists and objects are nested too deep")
    except ValueError as error:
        refuse(f"JSON Parse error: {one_line(str(error), 200)}")
    if not isinstance(document, dict):
        refuse(f"the request must be a JSON object; got {shown(document)}")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the requested signature, by default 'serving_default'.

    Raises:
        RestError: 400; `signature_name` is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        refuse(f"'signature_name' key must be a string value; got {shown(name)}")
    return name or "serving_default"


def predict_request(document: Mapping[str, Any], dtypes: Mapping[str, str]) -> PredictRequest:
    """Read a Predict request, by rows (`instances`) or columns (`inputs`).

    Args:
        document: the request; columns that are not inputs are ignored.
        dtypes: TensorFlow's name of each input's dtype, at least one.

    Raises:
        RestError: 400; neither or both of the two keys, missing names, ragged lists, or values that
            the dtype can't hold. 501; the dtype has no form in JSON.

    Example:
        >>> from tfd2l.serve.requests import predict_request
        >>> predict_request({"instances": [[1, 2.5]]}, {"features": "float32"}).inputs
        {'features': array([[1. , 2.5]], dtype=float32)}
    """
    if not dtypes:
        refuse("the signature has no inputs to fill")
    by_rows = "instances" in document
    if by_rows and "inputs" in document:
        refuse("a request has one of 'inputs' and 'instances'; got both")
    if not by_rows and "inputs" not in document:
        refuse("Missing 'inputs' or 'instances' key")
    if by_rows:
        columns = _columns_of_rows(document["instances"], dtypes)
    else:
        columns = _columns(document["inputs"], dtypes)
    inputs = {name: _array(name, value, dtypes[name]) for name, value in columns.items()}
    return PredictRequest(by_rows, inputs)


def examples_of(document: Mapping[str, Any]) -> Array:
    """Read the `examples` of a Classify or Regress request, each with the features of `context`.

    The JSON form decides the kind of a feature, whatever the model expects: 1 is an integer and
    1.0 a float.

    Returns:
        (n,) dtype object: serialised `tf.train.Example`s.

    Raises:
        RestError: 400; there are no examples, or a feature is not a value or a list of values of
            one kind.
    """
    # Two serialised messages in a row are read as one, merged; the server does it like this too.
    context = _example(document["context"]) if "context" in document else b""
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        refuse(f"'examples' must be a list with at least one element; got {shown(examples)}")
    return _objects([context + _example(example) for example in examples])


def _double(text: str) -> float:
    """Read a number with point or exponent, which must be a finite double."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {shown(text, 40)} is too big for a double")
    return value


def _columns_of_rows(rows: Any, names: Collection[str]) -> dict[str, list[Any]]:
    """Collect the values of `instances` by input name."""
    if not isinstance(rows, list) or not rows:
        refuse(f"'instances' must be a list with at least one element; got {shown(rows)}")
    objects = _is_object(rows[0])
    if not objects and len(names) > 1:
        refuse(f"each of 'instances' must be an object with the keys {sorted(names)}")
    for number, row in enumerate(rows):
        if _is_object(row) != objects:
            refuse(f"'instances' must be all objects or all values; element {number} differs")
        if objects and set(row) != set(names):
            refuse(
                f"Failed to process element: {number} of 'instances' list: it must have the keys "
                f"{sorted(names)}; got {shown(sorted(row))}"
            )
    if objects:
        return {name: [row[name] for row in rows] for name in names}
    [name] = names
    return {name: rows}


def _columns(value: Any, names: Collection[str]) -> dict[str, Any]:
    """Return the values of `inputs` by input name."""
    if not _is_object(value):
        if len(names) > 1:
            refuse(f"'inputs' must be an object with the keys {sorted(names)}")
        [name] = names
        return {name: value}
    for name in sorted(names):
        if name not in value:
            refuse(f"Missing named input: {name} in 'inputs' object")
    return {name: value[name] for name in names}


def _array(name: str, value: Any, dtype: str) -> Array:
    """Make the array of an input from nested lists of JSON values."""
    if dtype not in _TYPES:
        refuse(f"input {name!r} is of dtype {dtype}, for which JSON has no form", 501)
    values = np.array(value, np.object_)
    leaves = values.ravel().tolist()
    types = set(map(type, leaves))
    # NumPy leaves lists as they are where they differ in length, and below its 64 axes.
    if list in types:
        refuse(
            f"the lists of input {name!r} must be equally long and deep, with at most 64 levels; "
            f"they differ below shape {values.shape}"
        )
    if not types <= _TYPES[dtype]:
        index = next(at for at, leaf in enumerate(leaves) if type(leaf) not in _TYPES[dtype])
        refuse(
            f"JSON Value: {shown(leaves[index])} at {_place(index, values.shape)} of input "
            f"{name!r} is not of expected type: {dtype}"
        )
    if dtype == "string":
        return _objects([_bytes(f"input {name!r}", leaf) for leaf in leaves]).reshape(values.shape)
    if _TYPES[dtype] == {int}:
        _check_range(name, leaves, values.shape, dtype)
    try:
        # As in the server, 1e39 becomes infinite in float32.
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    except OverflowError:
        refuse(f"JSON Parse error: a number of input {name!r} is too big for a double")


def _check_range(name: str, leaves: Sequence[int], shape: Sequence[int], dtype: str) -> None:
    """Refuse integers that the dtype can't hold; the server wraps those of the small dtypes."""
    limits = np.iinfo(dtype)
    # Compared as Python's numbers, which never overflow.
    minimum, maximum = int(limits.min), int(limits.max)
    if leaves and not minimum <= min(leaves) <= max(leaves) <= maximum:
        index = next(at for at, leaf in enumerate(leaves) if not minimum <= leaf <= maximum)
        refuse(
            f"JSON Value: {shown(leaves[index])} at {_place(index, shape)} of input {name!r} must "
            f"be from {minimum} to {maximum}, as its dtype is {dtype}"
        )


def _place(index: int, shape: Sequence[int]) -> str:
    """Return the position of the element with this number, such as [0][27]."""
    if not shape:
        return "the top"
    return "".join(f"[{part}]" for part in np.unravel_index(index, tuple(shape)))


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    """Return whether the value stands for bytes: {"b64": "..."} and nothing more."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _bytes(owner: str, value: Any) -> bytes:
    """Return a string in UTF-8, or the bytes of {"b64": "..."}."""
    if isinstance(value, str):
        try:
            return value.encode()
        except UnicodeEncodeError:
            refuse(f"{owner} has half of a surrogate pair: {shown(value)}")
    if not _is_base64(value):
        refuse(f'{owner} takes strings and {{"b64": "..."}}; got {shown(value)}')
    # As in the server, white space does not count, and the padding may be missing.
    text = "".join(value["b64"].split())
    if "=" not in text:
        text += "=" * (-len(text) % 4)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError as error:
        refuse(f"Unable to base64 decode {shown(value['b64'])} of {owner}: {error}")


def _example(features: Any) -> bytes:
    """Serialise an object of features as a `tf.train.Example`."""
    if not isinstance(features, dict):
        refuse(f"Example must be JSON object; got {shown(features)}")
    example = example_pb2.Example()
    for name, content in features.items():
        _bytes("the name of a feature", name)  # refuses half of a surrogate pair
        owner = f"Feature: {shown(name)}"
        feature = example.features.feature[name]
        for value in content if isinstance(content, list) else [content]:
            kind, converted = _converted(owner, value)
            if feature.WhichOneof("kind") not in (None, kind):
                refuse(
                    f"{owner} has values of {feature.WhichOneof('kind')} and of {kind}; a "
                    "feature's values are of one kind (1 is an integer, 1.0 a float)"
                )
            getattr(feature, kind).value.append(converted)
    return bytes(example.SerializeToString())


def _converted(owner: str, value: Any) -> tuple[str, Any]:
    """Return the field of the proto Feature that takes the value, and the value for it."""
    match value:
        case bool():
            return "int64_list", int(value)
        case int() if -(2**63) <= value < 2**63:
            return "int64_list", value
        case float():
            return "float_list", value
        case str() | dict():
            return "bytes_list", _bytes(owner, value)
        case _:
            raise RestError(
                400, f"{owner} takes numbers (integers are int64) and texts; got {shown(value)}"
            )


def _objects(values: Sequence[bytes]) -> Array:
    """Make a vector of dtype object, also of texts that are all of one length."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array
