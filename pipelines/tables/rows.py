"""Turns the rows of a frame into the raw inputs of a served model. Needs no TensorFlow."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables import cells
from pipelines.tables.errors import TableError, no_column, refuse_duplicates
from pipelines.tables.preparation import numbers_of

__all__ = ["rows_for"]


def rows_for(frame: pd.DataFrame, columns: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    """Turn rows, texts or typed, into an array for each raw column of a model.

    Args:
        frame: the rows, as `read_table` reads them or as `Dialect.clean` returns them.
        columns: the type of each column, `float32` or `string`, as a name or as one of TensorFlow's
            or NumPy's types.

    Returns:
        For each column (n,) float32, NaN for missing values, or (n,) object of str, empty for
        missing values. Other columns of the frame are left out.

    Raises:
        TableError: a column is missing, there is text where a number belongs, or numbers where
            training had text.

    Example:
        >>> frame = pd.DataFrame({"Roof": ["Slate", None], "Rooms": ["3", "NA"], "Id": ["1", "2"]})
        >>> frame = frame.replace("NA", None)
        >>> rows = rows_for(frame, {"Rooms": "float32", "Roof": "string"})
        >>> rows["Rooms"].tolist(), rows["Roof"].tolist()
        ([3.0, nan], ['Slate', ''])
    """
    refuse_duplicates("the table", list(frame.columns))
    found = {}
    for name, dtype in columns.items():
        if name not in frame.columns:
            raise no_column("the table", name, list(frame.columns))
        column = frame[name]
        if getattr(dtype, "name", dtype) == "float32":
            with np.errstate(over="ignore"):
                found[name] = numbers_of(column).to_numpy(np.float32)
            continue
        if cells.is_numbers(column) and column.notna().any():
            raise TableError(
                f"column {shown(name)} has numbers here, such as {column.dropna().iloc[0]}, where "
                "training had texts; read it as text, by dtype=str."
            )
        found[name] = cells.texts(column).fillna("").to_numpy(object)
    return found
