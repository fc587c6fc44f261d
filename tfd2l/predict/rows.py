"""Checks rows of a table before they are sent, and converts them to a model's inputs.

Rows are a `pandas.DataFrame`, a list of dicts, or a dict of columns.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeGuard

import numpy as np

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.text import shown
from tfd2l.predict.answers import ServingError
from tfd2l.predict.forms import RowForm

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


def check_rows(rows: Rows, form: RowForm) -> dict[str, Array]:
    """Return an array for each input: (n, ...) float32, or (n,) strings as dtype object (bytes).

    A value that is missing (None, NaN, pandas' NA, or a text that says so) becomes NaN or the empty
    text. Texts are read by the dialect of the training rows. Columns that are no inputs are
    ignored.

    Raises:
        ServingError: a column is missing, there is text where a number belongs or numbers where
            training had text, a number is too big for float32, or there is no row.
    """
    if not form.is_table:
        return _features(rows, form)
    try:
        arrays = _columns(rows, form)
    # pandas has a ValueError for columns that differ in length, Python for text without a UTF-8.
    except (Tfd2lError, ValueError) as error:
        raise ServingError(str(error)) from error
    for name, array in arrays.items():
        if array.dtype == np.float32 and np.isinf(array).any():
            raise ServingError(f"column {shown(name)} has a number that is too big for float32.")
        if not len(array):
            raise ServingError("rows must be at least one; got none.")
    return arrays


def _columns(rows: Rows, form: RowForm) -> dict[str, Array]:
    # pandas, which images don't need, takes long to import.
    import pandas as pd

    from pipelines.tables.dialect import Dialect
    from pipelines.tables.errors import no_column
    from pipelines.tables.rows import rows_for

    if isinstance(rows, Sequence):
        for number, row in enumerate(rows):
            if absent := [name for name in form.columns if name not in row]:
                raise no_column(f"row {number}", absent[0], map(str, row))
    frame = pd.DataFrame(rows)
    frame.columns = frame.columns.map(lambda name: str(name).strip())
    if absent := [name for name in form.columns if name not in frame]:
        raise no_column("the table", absent[0], frame.columns)
    # The dialect is that of all columns, but others need not keep to it.
    frame = Dialect(**form.dialect or {}).clean(frame[[*form.columns]])
    arrays = rows_for(frame, {name: spec.dtype for name, spec in form.columns.items()})
    return {name: _as_bytes(a) if a.dtype == object else a for name, a in arrays.items()}


def _as_bytes(texts: Array) -> Array:
    encoded = np.empty(len(texts), np.object_)
    encoded[:] = [text.encode() for text in texts]
    return encoded


def _features(rows: Rows, form: RowForm) -> dict[str, Array]:
    """Read numbers without names, {'features': (n, d)}."""
    [(name, spec)] = form.columns.items()
    try:
        [array] = [np.asarray(rows[name], np.float32)] if isinstance(rows, Mapping) else []
    except (KeyError, TypeError, ValueError) as error:
        raise ServingError(
            f"the model takes {{{name!r}: X}} with numbers, (n, d); got {shown(rows)}."
        ) from error
    width = (spec.shape or (None, None))[1]
    if array.ndim != 2 or width not in (None, array.shape[1]) or not array.size:
        raise ServingError(f"{name} must have shape (n, {width or 'd'}); got {array.shape}.")
    return {name: array}
