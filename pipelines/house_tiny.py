"""The book's tiny table of houses: written, read and prepared by `pipelines.tables`.

Source: D2L 2.2.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.csv_files import read_table, write_table
from pipelines.tables import Missing, fit, prepare, to_tensors

TARGET = "Price"


def write(path: Path | str) -> None:
    """Write the table as a CSV file; it is there whole or not at all."""
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
    """The table as tensors: X, (n, d) float64, and y, (n,) float64, prices.

    Args:
        path: what `write` wrote, or another table with a numeric column `Price`.
        missing: 'impute', 'drop_rows' or 'drop_columns'.
    """
    frame = read_table(path)
    X, y = to_tensors(*prepare(frame, fit(frame, TARGET, missing=missing)))
    return X, y
