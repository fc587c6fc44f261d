"""Reads JSON requests as arrays, by the rules of TensorFlow Serving's REST interface.

The statuses are TensorFlow Serving's, the words of the errors are our own. A request in which the
real server would change a value in silence is refused; savedmodels/README.md lists these cases.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np
from tensorflow.core.example import example_pb2
from werkzeug.exceptions import abort

from pipelines.basics.text import one_line, shown

__all__ = ["examples_of", "parse_object", "predict_inputs", "signature_name"]

Array = np.ndarray[Any, Any]

# The Python types of the JSON values that an input of this dtype takes; an object is base64.
_TYPES: Mapping[str, set[type]] = {
    **{dtype: {int} for dtype in ("int8", "int16", "int32", "int64", "uint8", "uint32", "uint64")},
    "float32": {int, float},
    "float64": {int, float},
    "bool": {bool},
    "string": {str, dict},
}
# The fields of the proto Feature that take values of these types.
_FEATURE_FIELDS: Mapping[type, str] = {
    bool: "int64_list",
    int: "int64_list",
    float: "float_list",
    str: "bytes_list",
    dict: "bytes_list",
}


def parse_object(body: bytes) -> dict[str, Any]:
    """Parse the JSON object of a request's body.

    Raises:
        werkzeug.exceptions.BadRequest: the body is not JSON in UTF-8, or not an object.
    """
    try:
        document = json.loads(body.decode("utf-8-sig"), parse_float=_double)
    except (ValueError, RecursionError) as error:
        abort(400, f"JSON Parse error: {one_line(str(error), 200)}")
    if not isinstance(document, dict):
        abort(400, f"the request must be a JSON object; got {shown(document)}")
    return document


def signature_name(document: Mapping[str, Any]) -> str:
    """Return the name of the requested signature, by default 'serving_default'.

    Raises:
        werkzeug.exceptions.BadRequest: `signature_name` is not a string.
    """
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        abort(400, f"'signature_name' key must be a string value; got {shown(name)}")
    return name or "serving_default"


def predict_inputs(document: Mapping[str, Any], dtypes: Mapping[str, str]) -> dict[str, Array]:
    """Read the inputs of a Predict request, by rows (`instances`) or columns (`inputs`).

    Args:
        document: the request; columns that are not inputs are ignored.
        dtypes: TensorFlow's name of each input's dtype.

    Returns:
        Arrays of these dtypes by input name; strings as dtype object (bytes).

    Raises:
        werkzeug.exceptions.HTTPException: 400; neither or both of the two keys, missing names,
            ragged lists, or values that the dtype can't hold. 501; the dtype has no form in JSON.

    Example:
        >>> from tfd2l.serve.requests import predict_inputs
        >>> predict_inputs({"instances": [[1, 2.5]]}, {"features": "float32"})
        {'features': array([[1. , 2.5]], dtype=float32)}
    """
    if ("instances" in document) == ("inputs" in document):
        abort(400, f"a request has one of 'instances' and 'inputs'; got {shown(sorted(document))}")
    if "instances" in document:
        columns = _columns_of_rows(document["instances"], dtypes.keys())
    else:
        columns = _columns(document["inputs"], dtypes.keys())
    return {name: _array(name, value, dtypes[name]) for name, value in columns.items()}


def examples_of(document: Mapping[str, Any]) -> Array:
    """Read the `examples` of a Classify or Regress request, each with the features of `context`.

    The JSON form decides the kind of a feature, whatever the model expects: 1 is an integer and
    1.0 a float.

    Returns:
        (n,) dtype object: serialised `tf.train.Example`s.

    Raises:
        werkzeug.exceptions.BadRequest: there are no examples, or a feature is not a value or a list
            of values of one kind.
    """
    # Two serialised messages in a row are read as one, merged; the server does it like this too.
    context = _example(document["context"]) if "context" in document else b""
    examples = document.get("examples")
    if not isinstance(examples, list) or not examples:
        abort(400, f"'examples' must be a list with at least one element; got {shown(examples)}")
    return _objects([context + _example(example) for example in examples])


def _double(text: str) -> float:
    """Read a number with point or exponent, which must be a finite double."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {shown(text, 40)} is too big for a double")
    return value


def _columns_of_rows(rows: Any, names: Set[str]) -> dict[str, Any]:
    """Collect the values of `instances` by input name."""
    if not isinstance(rows, list) or not rows:
        abort(400, f"'instances' must be a list with at least one element; got {shown(rows)}")
    if len(names) == 1 and not any(_is_object(row) for row in rows):
        return dict.fromkeys(names, rows)
    for number, row in enumerate(rows):
        if not _is_object(row) or row.keys() != names:
            abort(
                400,
                f"Failed to process element: {number} of 'instances' list: each must be an object "
                f"with the keys {sorted(names)}, or with one key all may be values; got "
                f"{shown(row)}",
            )
    return {name: [row[name] for row in rows] for name in names}


def _columns(value: Any, names: Set[str]) -> dict[str, Any]:
    """Return the values of `inputs` by input name."""
    if len(names) == 1 and not _is_object(value):
        return dict.fromkeys(names, value)
    if not _is_object(value) or not names <= value.keys():
        abort(400, f"'inputs' must be an object with the keys {sorted(names)}; got {shown(value)}")
    return {name: value[name] for name in names}


def _array(name: str, value: Any, dtype: str) -> Array:
    """Make the array of an input from nested lists of JSON values."""
    if dtype not in _TYPES:
        abort(501, f"input {name!r} is of dtype {dtype}, for which JSON has no form")
    values = np.array(value, np.object_)
    leaves = values.ravel().tolist()
    # NumPy leaves lists as they are where they differ in length, and below its 64 axes.
    if wrong := set(map(type, leaves)) - _TYPES[dtype]:
        found = next(leaf for leaf in leaves if type(leaf) in wrong)
        remedy = "; a number that is missing is NaN" if found is None and "float" in dtype else ""
        abort(
            400,
            f"input {name!r} takes values of expected type: {dtype}, in lists that are equally "
            f"long and at most 64 deep; got {shown(found)}{remedy}",
        )
    try:
        if dtype == "string":
            return _objects([_bytes(leaf) for leaf in leaves]).reshape(values.shape)
        # As in the server, 1e39 becomes infinite in float32.
        with np.errstate(over="ignore"):
            return values.astype(dtype)
    except (OverflowError, ValueError) as error:
        abort(400, f"input {name!r} takes values of dtype {dtype}: {error}")


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_base64(value)


def _is_base64(value: Any) -> bool:
    """Return whether the value stands for bytes: {"b64": "..."} and nothing more."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def _bytes(value: Any) -> bytes:
    """Return a string in UTF-8, or the bytes of {"b64": "..."}; ValueError for anything else."""
    if isinstance(value, str):
        return value.encode()
    if not _is_base64(value):
        raise ValueError(f'bytes are a string or {{"b64": "..."}}; got {shown(value)}')
    text = value["b64"]
    try:
        # As in the server, the padding may be missing.
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise ValueError(f"Unable to base64 decode {shown(text)}: {error}") from error


def _example(features: Any) -> bytes:
    """Serialise an object of features as a `tf.train.Example`."""
    if not isinstance(features, dict):
        abort(400, f"Example must be JSON object; got {shown(features)}")
    example = example_pb2.Example()
    for name, content in features.items():
        values = content if isinstance(content, list) else [content]
        fields = {_FEATURE_FIELDS.get(type(value), "") for value in values}
        try:
            feature = example.features.feature[name]
            if "" in fields or len(fields) > 1:
                raise ValueError("1 is an integer, 1.0 a float")
            for field in fields:
                convert: Any = {"int64_list": int, "float_list": float, "bytes_list": _bytes}[field]
                getattr(feature, field).value.extend(map(convert, values))
        except ValueError as error:
            abort(
                400,
                f"Feature: {shown(name)} must be a number (integers are int64), a text, or a list "
                f"of one kind of them; got {shown(content)}: {error}",
            )
    return bytes(example.SerializeToString())


def _objects(values: Sequence[bytes]) -> Array:
    """Make a vector of dtype object, also of texts that are all of one length."""
    array = np.empty(len(values), np.object_)
    array[:] = values
    return array
