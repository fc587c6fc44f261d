"""Prepares rows by the statistics of the training rows, on pandas' frames.

`graph` does the same by TensorFlow's operations.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables import cells
from pipelines.tables.errors import TableError, refuse_duplicates
from pipelines.tables.statistics import Statistics, as_numbers, is_bools

__all__ = ["as_float32", "finite", "numbers_of", "prepare"]


def prepare(frame: pd.DataFrame, statistics: Statistics) -> tuple[pd.DataFrame, pd.Series | None]:
    """Turn rows, texts or typed, into numbers by the statistics of the training rows.

    A category that training did not have becomes 0 in all columns of its column's categories.
    Columns may come in any order; columns that training did not have are left out.

    Returns:
        The inputs, (n, d) float64, with the columns of `statistics.columns`; and the target, (n,)
        float64, or None if the statistics or the rows (as at prediction) have no target.

    Raises:
        TableError: a column is missing, there is text where a number belongs, or a number is too
            far from those of the training rows to be standardized.

    Example:
        >>> from pipelines.tables.statistics import fit
        >>> rows = pd.DataFrame({"Rooms": ["2", None, "4"], "Roof": ["Slate", "Tin", None]})
        >>> inputs, target = prepare(rows, fit(rows))
        >>> inputs.to_numpy().tolist()
        [[2.0, 1.0, 0.0, 0.0], [3.0, 0.0, 1.0, 0.0], [4.0, 0.0, 0.0, 1.0]]
    """
    refuse_duplicates("the table", list(frame.columns))
    used = [*statistics.means, *statistics.categories]
    if absent := [name for name in used if name not in frame.columns]:
        raise TableError(
            f"column {shown(absent[0])} is missing; training had {shown(used)}, here are "
            f"{shown(list(frame.columns))}."
        )
    if statistics.missing == "drop_rows":
        frame = frame.dropna(subset=used)
    prepared = {}
    for name, mean in statistics.means.items():
        read = _days if name in statistics.dates else numbers_of
        prepared[name] = read(frame[name]).fillna(mean)
    for name, deviation in statistics.deviations.items():
        prepared[name] = finite((prepared[name] - statistics.means[name]) / deviation, "float64")
    for name, values in statistics.categories.items():
        for value, is_value in zip(values, _matches(frame[name], values), strict=True):
            prepared[f"{name}_{value}"] = is_value.astype(np.float64)
        if statistics.missing == "impute":
            prepared[f"{name}_nan"] = cells.texts(frame[name]).isna().astype(np.float64)
    inputs = pd.DataFrame(prepared, index=frame.index, columns=statistics.columns, dtype=np.float64)
    if statistics.target is None or statistics.target not in frame.columns:
        return inputs, None
    target = numbers_of(frame[statistics.target])
    if target.isna().any():
        row = target.index[target.isna()][0]
        raise TableError(f"column {shown(statistics.target)}, row {row}: the target has no value.")
    return inputs, target


def numbers_of(column: pd.Series) -> pd.Series:
    """Convert a column to float64, missing values to NaN.

    Raises:
        TableError: a value is no number, or infinite.
    """
    found = cells.numbers(column)
    return _known(column, found.where(np.isfinite(found)), "number")


def as_float32(prepared: pd.DataFrame) -> npt.NDArray[np.float32]:
    """Convert prepared numbers, (n, d), to float32.

    Raises:
        TableError: a number is too large for float32.
    """
    with np.errstate(over="ignore"):
        found = prepared.astype(np.float32)
    if not np.isfinite(found.to_numpy()).all():
        for name in found.columns:
            finite(found[name], "float32")
    return found.to_numpy()


def _days(column: pd.Series) -> pd.Series:
    return _known(column, cells.days(column), "date such as 2020-01-31")


def _known(column: pd.Series, found: pd.Series, kind: str) -> pd.Series:
    """Return what was found, if it lacks no value that the column has."""
    wrong = found.isna() & cells.texts(column).notna()
    if wrong.any():
        row, text = column.index[wrong][0], shown(str(column[wrong].iloc[0]))
        raise TableError(f"column {shown(column.name)}, row {row}: {text} is no {kind}.")
    return found


def _matches(column: pd.Series, values: tuple[str, ...]) -> list[pd.Series]:
    """Compare a column with each of the categories: (n,) bool for each."""
    if (as_numbers_ := as_numbers(values)) is not None:
        found = cells.numbers(column).astype(np.float32)
        return [found == value for value in as_numbers_]
    words = cells.texts(column)
    if is_bools(values):
        words, values = words.str.lower(), tuple(value.lower() for value in values)
    matches = [words == value for value in values]
    if cells.is_numbers(column) and len(column) and not any(match.any() for match in matches):
        raise TableError(
            f"column {shown(column.name)} has numbers here, such as {shown(words.iloc[0])}, where "
            f"training had texts, such as {shown(values[0])}; read it as text, by dtype=str."
        )
    return matches


def finite(column: pd.Series, dtype: str) -> pd.Series:
    """Return the column, if all of its calculated numbers fit into `dtype`."""
    wrong = ~np.isfinite(column)
    if wrong.any():
        raise TableError(
            f"column {shown(column.name)}, row {column.index[wrong][0]}: the number is too large "
            f"for {dtype} once it is prepared. Correct or scale it."
        )
    return column
