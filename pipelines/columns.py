"""Learns the kind and the statistics of one column of text, chunk by chunk."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.basics.text import shown
from pipelines.csv_files import TableError

__all__ = ["MAX_CATEGORIES", "Column", "Moments"]

# A column with more different texts than this names the rows and doesn't sort them into kinds.
MAX_CATEGORIES = 1000


class Column:
    """Everything that `fit` learns about one column, chunk by chunk."""

    def __init__(self, name: str, as_categories: bool) -> None:
        self.name = name
        self.as_categories = as_categories
        self.has_missing = False
        self.moments = Moments()
        self.values: set[str] = set()
        # The first number's row, and the first text's row and the text itself, for errors.
        self.number_at: Any = None
        self.text_at: Any = None

    def add(self, column: pd.Series) -> None:
        """Learn from the rows of one chunk."""
        texts = column.dropna().astype("str")
        self.has_missing |= len(texts) < len(column)
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
        is_number = np.isfinite(numbers) & (not self.as_categories)
        self.moments.add(numbers[is_number])
        others = texts[~is_number]
        if self.number_at is None and is_number.any():
            self.number_at = texts.index[is_number][0]
        if self.text_at is None and len(others):
            self.text_at = (others.index[0], others.iloc[0])
        self.values.update(others.unique())
        if len(self.values) > MAX_CATEGORIES and self.number_at is None:
            raise TableError(
                f"column {shown(self.name)} has more than {MAX_CATEGORIES} categories; it names "
                "rows rather than kinds of them. Drop it."
            )

    def is_numeric(self) -> bool:
        """Decide between numbers and categories, once all chunks have been seen."""
        if self.moments.count == 0 and not self.values:
            raise TableError(
                f"column {shown(self.name)} has no value in any row; use missing='drop_columns'."
            )
        if self.moments.count and self.values:
            row, text = self.text_at
            raise TableError(
                f"column {shown(self.name)}, row {row}: {shown(text)} is no number, while row "
                f"{self.number_at} has one. Correct it, or pass categorical=[{shown(self.name)}]."
            )
        if self.moments.count and not math.isfinite(self.moments.mean + self.moments.spread):
            raise TableError(
                f"column {shown(self.name)}: the distances between its numbers, and their "
                "standard deviation, must fit into float64, which ends at 1.8e308. Scale them."
            )
        return not self.values


class Moments:
    """Mean and standard deviation of numbers that come in chunks.

    Welford's method, in Chan's form for chunks. It works on distances from the first number:
    large numbers close together keep the digits in which they differ.

    Attributes:
        count: of the numbers so far.
        spread: the square root of the sum of squared distances from the mean.
    """

    def __init__(self) -> None:
        self.count = 0
        self.spread = 0.0
        self._first = 0.0
        self._mean_distance = 0.0

    def add(self, numbers: npt.NDArray[np.float64]) -> None:
        """Include the numbers of a chunk, (n,)."""
        if len(numbers) == 0:
            return
        if self.count == 0:
            self._first = float(numbers[0])
        # `Column.is_numeric` refuses a spread that has become infinite.
        with np.errstate(over="ignore", invalid="ignore"):
            distances = numbers - self._first
            try:
                mean_distance = math.fsum(distances) / len(numbers)
            except OverflowError:
                mean_distance = math.inf
            deviations = distances - mean_distance
        step = mean_distance - self._mean_distance
        total = self.count + len(numbers)
        between = step * math.sqrt(self.count * len(numbers) / total)
        # hypot also holds where the squares would be too large or too small for a float.
        self.spread = math.hypot(self.spread, between, *deviations.tolist())
        self._mean_distance += step * len(numbers) / total
        self.count = total

    @property
    def mean(self) -> float:
        """The mean of the numbers; 0 if there are none."""
        return self._first + self._mean_distance

    @property
    def deviation(self) -> float:
        """The standard deviation over n - 1; 1 where all values are equal, which leaves zeros."""
        return self.spread / math.sqrt(self.count - 1) if self.spread else 1.0
