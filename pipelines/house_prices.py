"""Reads and prepares the Kaggle competition's sale prices of houses in Ames, Iowa.

Source: D2L 5.7. The data is by Dean De Cock (2011); users get the files from Kaggle.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from pipelines.tables.csv_files import read_table
from pipelines.tables.errors import TableError
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import Statistics, fit

__all__ = ["ROW_NAME", "TARGET", "Prepared", "apply", "folds", "learn", "read"]

TARGET = "SalePrice"
ROW_NAME = "Id"


@dataclass(frozen=True)
class Prepared:
    """Rows as numbers.

    Attributes:
        inputs: (n, d) float64, standardized numbers and 0/1 columns of categories.
        log_prices: (n,) float64, natural logarithms of prices in dollars; None if there are no
            prices, as in the competition's test file.
    """

    inputs: pd.DataFrame
    log_prices: pd.Series | None


def read(path: Path | str) -> pd.DataFrame:
    """Read the rows of a file as text.

    Raises:
        TableError: the file is damaged, or is not a table of these houses.
        OSError: the file can't be opened.
    """
    frame = read_table(path)
    if ROW_NAME not in frame.columns:
        raise TableError(
            f"{path} has no column {ROW_NAME!r}, as the competition's files have; its columns "
            f"begin with {shown(list(frame.columns[:3]))}."
        )
    return frame


def learn(rows: pd.DataFrame) -> Statistics:
    """Learn means, deviations and categories of training rows of text.

    Raises:
        TableError: the rows have no prices, or as `fit`.
    """
    return fit(rows.drop(columns=ROW_NAME, errors="ignore"), TARGET, standardize=True)


def apply(rows: pd.DataFrame, statistics: Statistics) -> Prepared:
    """Turn rows of text into numbers, by the statistics of the training rows.

    Raises:
        TableError: as `prepare`, or a price is not above 0.
    """
    inputs, prices = prepare(rows, statistics)
    if prices is None:
        return Prepared(inputs, None)
    if (prices <= 0).any():
        row = prices.index[prices <= 0][0]
        raise TableError(f"column {TARGET!r}, row {row}: a price must be above 0.")
    # An error of a logarithm is a relative error, so cheap houses count as much as expensive ones.
    return Prepared(inputs, np.log(prices))


def folds(rows: pd.DataFrame, k: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Split rows k times into training and validation rows, each row once in validation.

    Args:
        rows: at least k.
        k: from 2 to the number of rows; each part has neighbouring rows, and their sizes differ
            by one at most.

    Raises:
        ValueError: `k` is out of range.

    Example:
        >>> rows = pd.DataFrame({"Id": ["1", "2", "3"]})
        >>> for train, val in folds(rows, 3):
        ...     print([*train["Id"]], [*val["Id"]])
        ['2', '3'] ['1']
        ['1', '3'] ['2']
        ['1', '2'] ['3']
    """
    if len(rows) < 2:
        raise ValueError(f"folds need at least 2 rows; got {len(rows)}.")
    hint = f"There are {len(rows)} rows, and each fold needs at least one."
    k = whole_number("k", k, minimum=2, maximum=len(rows), hint=hint)
    positions = np.arange(len(rows))
    # By position: rows of several files may have the same names.
    for part in np.array_split(positions, k):
        yield rows.iloc[np.setdiff1d(positions, part)], rows.iloc[part]
