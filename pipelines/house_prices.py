"""Sale prices of houses in Ames, Iowa, as the Kaggle competition gives them: read and prepared.

Source: D2L 5.7. The data is by Dean De Cock (2011); the files are Kaggle's, which the user has.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from pipelines.csv_files import TableError, read_table
from pipelines.tables import Statistics, fit, prepare

TARGET, ROW_NAME = "SalePrice", "Id"


@dataclass(frozen=True)
class Prepared:
    """Rows as numbers.

    Attributes:
        inputs: (n, d) float64, standardised numbers and 0/1 columns of categories.
        log_prices: (n,) float64, natural logarithms of prices in dollars; None where there are
            no prices, as in the competition's test file.
    """

    inputs: pd.DataFrame
    log_prices: pd.Series | None


def read(path: Path | str) -> pd.DataFrame:
    """The rows of a file as text.

    Raises:
        TableError: it is no table of these houses, or damaged.
        OSError: it can't be opened.
    """
    frame = read_table(path)
    if ROW_NAME not in frame.columns:
        raise TableError(
            f"{path} has no column {ROW_NAME!r}, as the competition's files have; its columns "
            f"begin with {shown(list(frame.columns[:3]))}."
        )
    return frame


def learn(rows: pd.DataFrame) -> Statistics:
    """Means, deviations and categories of training rows, as text, prices among them.

    Raises:
        TableError: there are no prices, or as `fit`.
    """
    return fit(rows.drop(columns=ROW_NAME, errors="ignore"), TARGET, standardize=True)


def apply(rows: pd.DataFrame, statistics: Statistics) -> Prepared:
    """Rows of text as numbers, by the statistics of the training rows.

    Raises:
        TableError: as `prepare`, or a price is not above 0.
    """
    inputs, prices = prepare(rows, statistics)
    if prices is None:
        return Prepared(inputs, None)
    if (prices <= 0).any():
        row = prices.index[prices <= 0][0]
        raise TableError(f"column {TARGET!r}, row {row}: a price must be above 0.")
    # Errors in the logarithm are relative ones, so cheap houses count as much as dear ones.
    return Prepared(inputs, np.log(prices))


def folds(rows: pd.DataFrame, k: int) -> Iterator[tuple[pd.DataFrame, pd.DataFrame]]:
    """Split rows k times into training and validation rows, each row once in validation.

    Args:
        rows: at least k.
        k: at least 2; the parts are neighbouring rows and differ by one in size at most.

    Raises:
        ValueError: a `k` that can't be had.
    """
    if len(rows) < 2:
        raise ValueError(f"folds need at least 2 rows; got {len(rows)}.")
    hint = f"There are {len(rows)} rows, and each fold has one at least."
    k = whole_number("k", k, minimum=2, maximum=len(rows), hint=hint)
    everyone = np.arange(len(rows))
    # By place: rows of several files may have the same names.
    for part in np.array_split(everyone, k):
        yield rows.iloc[np.setdiff1d(everyone, part)], rows.iloc[part]
