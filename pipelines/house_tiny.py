"""Writes, reads and prepares the book's tiny table of houses.

Source: D2L 2.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.tables.batches import to_tensors
from pipelines.tables.csv_files import read_table, write_table
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import Missing, fit

__all__ = ["TARGET", "load", "write"]

TARGET = "Price"


def write(path: Path | str) -> None:
    """Write the table as a CSV file, atomically."""
    frame = pd.DataFrame(
        {
            "NumRooms": [None, "2", "4", None],
            "RoofType": [None, None, "Slate", None],
            TARGET: ["127500", "106000", "178100", "140000"],
        },
        dtype="str",
    )
    write_table(frame, path)


def load(path: Path | str, missing: Missing = "impute") -> tuple[Any, Any]:
    """Load a table as tensors.

    Args:
        path: the file of `write`, or another table with a numeric column `Price`.
        missing: 'impute', 'drop_rows' or 'drop_columns'.

    Returns:
        X, (n, d) float64, and y, (n,) float64, the prices.

    Raises:
        TableError: the table is damaged, or has no such column.
        OSError: the file can't be opened.
    """
    frame = read_table(path)
    X, y = to_tensors(*prepare(frame, fit(frame, TARGET, missing=missing)))
    return X, y
