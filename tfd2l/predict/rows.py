"""Checks rows of a table before they are sent, and converts them to a model's inputs.

Rows are a `pandas.DataFrame`, a list of dicts, or a dict of columns.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from pipelines.basics.text import shown
from tfd2l.export.signature_types import TensorSpec
from tfd2l.predict.answers import ServingError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Rows", "are_rows", "check_rows"]

Array = np.ndarray[Any, Any]
Rows: TypeAlias = "pd.DataFrame | Sequence[Mapping[Any, Any]] | Mapping[str, Any]"


def are_rows(examples: Any) -> TypeGuard[Rows]:
    """Return True for rows of named values, and False for arrays such as images."""
    if isinstance(examples, Mapping) or hasattr(examples, "columns"):
        return True
    in_order = isinstance(examples, Sequence) and not isinstance(examples, str | bytes)
    return in_order and bool(examples) and all(isinstance(row, Mapping) for row in examples)


def check_rows(rows: Rows, specs: Mapping[str, TensorSpec]) -> dict[str, Array]:
    """Return the values of each input: (n, ...) float32, or (n,) strings as dtype object (bytes).

    A number that is missing (None, NaN or pandas' NA) becomes NaN, and a text that is missing the
    empty one. In a column of text, a number stands for its decimal text, and 10.0 for 10, as pandas
    makes floats of whole numbers where a column has a gap. Columns that are no inputs are ignored.

    Raises:
        ServingError: a column is missing, there is text where a number belongs, a number is too
            big for float32, the columns differ in length, or there is no row.
    """
    columns = _columns(rows, specs)
    arrays = {name: _array(name, columns[name], spec) for name, spec in specs.items()}
    lengths = {name: len(array) for name, array in arrays.items()}
    if len({*lengths.values()}) != 1 or 0 in lengths.values():
        raise ServingError(
            f"rows must have a value in each column, and be at least one; got {shown(lengths)} "
            "values."
        )
    return arrays


def _columns(rows: Rows, specs: Mapping[str, TensorSpec]) -> dict[str, Sequence[Any]]:
    if isinstance(rows, Sequence):
        for number, row in enumerate(rows):
            _check_names(row, specs, f"row {number}")
        return {name: [row[name] for row in rows] for name in specs}
    _check_names(rows, specs, "the table")
    return {name: list(rows[name]) for name in specs}


def _check_names(found: Any, specs: Mapping[str, TensorSpec], place: str) -> None:
    if absent := [name for name in specs if name not in found]:
        raise ServingError(
            f"the model takes the columns {shown(list(specs))}; {place} has no {shown(absent[0])}, "
            f"but {shown(list(found))}. A value that is missing is None."
        )


def _array(name: str, values: Sequence[Any], spec: TensorSpec) -> Array:
    sizes = (spec.shape or (None,))[1:]
    if spec.dtype == "string":
        texts = np.empty(len(values), np.object_)
        texts[:] = [_text(name, row, value) for row, value in enumerate(values)]
        return texts
    if not sizes:
        return np.array([_number(name, row, value) for row, value in enumerate(values)], np.float32)
    try:
        array = np.asarray(values, np.float32)
    except (TypeError, ValueError) as error:
        raise ServingError(f"{shown(name)} must have numbers, (n, {sizes[0]}); {error}.") from error
    fits = [size in (None, own) for size, own in zip(sizes, array.shape[1:], strict=False)]
    if array.ndim != 1 + len(sizes) or not all(fits):
        wanted = ", ".join(str(size or "any") for size in sizes)
        raise ServingError(f"{shown(name)} must have shape (n, {wanted}); got {array.shape}.")
    return array


def _is_missing(value: Any) -> bool:
    # pandas' NA and NaT are not equal to themselves in a way that `bool` takes.
    is_na = type(value).__name__ in ("NAType", "NaTType")
    return value is None or is_na or (isinstance(value, float | np.floating) and np.isnan(value))


def _number(name: str, row: int, value: Any) -> float:
    if _is_missing(value):
        return math.nan
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    # The largest float32; a larger number would become infinite in silence.
    if math.isnan(number) or (abs(number) > 3.4028235e38 and not math.isinf(number)):
        raise ServingError(
            f"column {shown(name)} takes numbers of float32, and None for a missing one; row {row} "
            f"has {shown(value)}."
        )
    return number


def _text(name: str, row: int, value: Any) -> bytes:
    if _is_missing(value):
        return b""
    if isinstance(value, bytes):
        return value
    if isinstance(value, float | np.floating) and float(value).is_integer():
        value = int(value)
    if not isinstance(value, str | bool | int | float | np.generic):
        raise ServingError(
            f"column {shown(name)} takes texts, and None for a missing one; row {row} has "
            f"{shown(value)}."
        )
    try:
        return str(value).encode()
    except UnicodeEncodeError as error:
        raise ServingError(f"column {shown(name)}, row {row}: {error}.") from error
