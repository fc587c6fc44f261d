"""JSON requests as arrays, by the rules of TensorFlow Serving's REST interface.

What its json_tensor.cc takes is taken, what it refuses is refused, and where it changes a value
silently the value is changed too, and told in `let_through`; so is what is not finite. The words of
the errors are our own. NumPy has 64 axes at most, so nothing is nested deeper.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np

from tfd2l.serve.json_values import (
    decode_base64,
    encode_text,
    is_base64,
    is_integer,
    refuse,
    shown,
)

__all__ = ["PredictRequest", "predict_request", "signature_name"]

Array = np.ndarray[Any, Any]

_MOST_AXES = 64
# What the server asks of a number for an input of this dtype. The small ones share a field of 32
# bits in its protos, and what is cut off there is cut off silently.
_RANGES = {
    "int8": (-(2**31), 2**31 - 1),
    "uint8": (-(2**31), 2**31 - 1),
    "int16": (-(2**31), 2**31 - 1),
    "int32": (-(2**31), 2**31 - 1),
    "int64": (-(2**63), 2**63 - 1),
    "uint32": (0, 2**32 - 1),
    "uint64": (0, 2**64 - 1),
}
# Integers that every float of the dtype near them tells apart; the server refuses others.
_LARGEST_EXACT = {"float32": 2**24 - 1, "float64": 2**53 - 1}


@dataclass(frozen=True)
class PredictRequest:
    """The arrays of a Predict request.

    Attributes:
        by_rows: `instances` were given, so the answer is `predictions`; else `inputs`.
        inputs: arrays of the signature's dtypes by input name; strings as dtype object (bytes).
        let_through: a line for each thing that was changed, ignored or taken silently.
    """

    by_rows: bool
    inputs: Mapping[str, Array]
    let_through: tuple[str, ...] = ()


def signature_name(document: Mapping[str, Any]) -> str:
    """The signature that a request asks for; 'serving_default' if it names none."""
    name = document.get("signature_name", "")
    if not isinstance(name, str):
        refuse(f"'signature_name' key must be a string value; got {shown(name)}")
    return name or "serving_default"


def predict_request(document: Mapping[str, Any], dtypes: Mapping[str, str]) -> PredictRequest:
    """The arrays of a Predict request, by rows (`instances`) or columns (`inputs`).

    Args:
        document: the request.
        dtypes: TensorFlow's name of each input's dtype, at least one.

    Raises:
        RestError: 400; neither or both of the two keys, names that are not the inputs', ragged
            lists, or values that the dtype can't hold. 501; a dtype that JSON has no form for.
    """
    if not dtypes:
        refuse("the signature has no inputs to fill")
    if "instances" in document and "inputs" in document:
        refuse("a request has one of 'inputs' and 'instances'; got both")
    if "instances" in document:
        columns, let_through = _columns_of_rows(document["instances"], dtypes), list[str]()
    elif "inputs" in document:
        columns, let_through = _columns(document["inputs"], dtypes)
    else:
        refuse("Missing 'inputs' or 'instances' key")
    inputs = {
        name: _array(name, value, dtypes[name], let_through) for name, value in columns.items()
    }
    return PredictRequest("instances" in document, inputs, tuple(let_through))


def _columns_of_rows(rows: Any, names: Collection[str]) -> dict[str, list[Any]]:
    """The values of `instances` by input name."""
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


def _columns(value: Any, names: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """The values of `inputs` by input name, and what was ignored."""
    if not _is_object(value):
        if len(names) > 1:
            refuse(f"'inputs' must be an object with the keys {sorted(names)}")
        [name] = names
        return {name: value}, []
    missing, others = sorted(set(names) - set(value)), sorted(set(value) - set(names))
    if missing:
        refuse(f"Missing named input: {missing[0]} in 'inputs' object")
    return {name: value[name] for name in names}, [
        f"'inputs' has {shown(name)}, which is no input and is ignored" for name in others
    ]


def _array(name: str, value: Any, dtype: str, let_through: list[str]) -> Array:
    """The value of an input as an array."""
    column = _flatten(name, value)
    if dtype == "string":
        array = np.empty(len(column.leaves), np.object_)
        array[:] = [_bytes(name, leaf) for leaf in column.leaves]
    elif dtype == "bool":
        column.require(lambda leaf: type(leaf) is bool, dtype)
        array = np.array(column.leaves, np.bool_)
    elif dtype in _RANGES:
        array = _integers(column, dtype, let_through)
    elif dtype in _LARGEST_EXACT:
        array = _floats(column, dtype, let_through)
    else:
        refuse(f"input {name!r} is of dtype {dtype}, for which JSON has no form", 501)
    return array.reshape(column.shape)


@dataclass(frozen=True)
class _Column:
    """The values of an input: the shape of its nested lists, and what is in the innermost."""

    name: str
    shape: tuple[int, ...]
    leaves: list[Any]

    def require(self, fits: Callable[[Any], bool], dtype: str) -> None:
        """Refuse the first value that doesn't fit."""
        for index, leaf in enumerate(self.leaves):
            if not fits(leaf):
                refuse(
                    f"JSON Value: {shown(leaf)} at {_place(index, self.shape)} of input "
                    f"{self.name!r} is not of expected type: {dtype}"
                )


def _flatten(name: str, value: Any) -> _Column:
    """Take nested lists apart, level by level, as none of them may make Python call too deep."""
    shape, items = list[int](), [value]
    while list in (kinds := set(map(type, items))):
        if len(kinds) > 1:
            odd = next(at for at, item in enumerate(items) if type(item) is not list)
            refuse(f"input {name!r} has a value beside lists, at {_place(odd, shape)}")
        if len(set(map(len, items))) > 1:
            odd = next(at for at, item in enumerate(items) if len(item) != len(items[0]))
            refuse(
                f"the lists of input {name!r} must be of one length; that at {_place(odd, shape)} "
                f"has {len(items[odd])} elements, the first one has {len(items[0])}"
            )
        if len(shape) == _MOST_AXES:
            refuse(f"input {name!r} has more than {_MOST_AXES} levels of lists")
        shape.append(len(items[0]))
        items = list(chain.from_iterable(items))
    return _Column(name, tuple(shape), items)


def _integers(column: _Column, dtype: str, let_through: list[str]) -> Array:
    """Integers of a dtype; those that don't fit wrap round where the server lets them."""
    least, largest = _RANGES[dtype]
    leaves = column.leaves
    # Whole lists at once; one by one only to find what is wrong.
    right = set(map(type, leaves)) <= {int}
    if not right or min(leaves, default=0) < least or max(leaves, default=0) > largest:
        column.require(lambda leaf: type(leaf) is int and least <= leaf <= largest, dtype)
    wide = np.array(leaves, np.uint64 if dtype == "uint64" else np.int64)
    array, limits = wide.astype(dtype), np.iinfo(dtype)
    wrapped = np.flatnonzero(array.astype(wide.dtype) != wide)
    if len(wrapped):
        first = int(wrapped[0])
        let_through.append(
            f"input {column.name!r} is {dtype}, {limits.min} to {limits.max}, and {len(wrapped)} "
            f"of its values are not: {wide[first]} at {_place(first, column.shape)} was taken as "
            f"{array[first]}"
        )
    return array


def _floats(column: _Column, dtype: str, let_through: list[str]) -> Array:
    """Numbers as floats of a dtype; integers must be exact, others need only be in range.

    What is no number is let through, as the server's JSON parser has words for it.
    """
    kinds = set(map(type, column.leaves))
    if not kinds <= {int, float}:
        column.require(lambda leaf: type(leaf) in (int, float), dtype)
    if int in kinds:
        exact = _LARGEST_EXACT[dtype]
        column.require(lambda leaf: not is_integer(leaf) or abs(leaf) <= exact, dtype)
    try:
        wide = np.array(column.leaves, np.float64)
    except OverflowError:
        refuse(f"JSON Parse error: a number of input {column.name!r} is too big for a double")
    finite = np.isfinite(wide)
    if not finite.all():
        odd = np.flatnonzero(~finite)
        let_through.append(
            f"input {column.name!r} has {len(odd)} values that are not finite, the first of them "
            f"{wide[odd[0]]} at {_place(int(odd[0]), column.shape)}"
        )
    beyond = finite & (np.abs(wide) > np.finfo(dtype).max)
    if beyond.any():
        refuse(
            f"Cannot convert JSON value: {wide[beyond][0]} of input {column.name!r} to {dtype} "
            "without loss of precision"
        )
    return wide.astype(dtype)


def _bytes(name: str, leaf: Any) -> bytes:
    """A string, or the object that stands for bytes."""
    if isinstance(leaf, str):
        return encode_text(leaf)
    if not is_base64(leaf):
        refuse(f'input {name!r} takes strings and {{"b64": "..."}}; got {shown(leaf)}')
    return decode_base64(leaf)


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not is_base64(value)


def _place(index: int, shape: Sequence[int]) -> str:
    """Where the element with this number is, such as [0][27]."""
    if not shape:
        return "the top"
    return "".join(f"[{part}]" for part in np.unravel_index(index, tuple(shape)))
