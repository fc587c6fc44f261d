"""Mean and standard deviation of numbers that come in chunks."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = ["Moments"]


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
        # `Column.kind` refuses a spread that has become infinite.
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
