"""What an epoch's numbers become: means, and rows of a table."""

from __future__ import annotations

import math
from dataclasses import dataclass

History = dict[str, list[float]]


@dataclass
class Mean:
    """A weighted mean that grows."""

    total: float = 0.0
    weight: float = 0.0

    def add(self, value: float, weight: float) -> None:
        """Take in a value that stands for `weight` examples."""
        self.total += value * weight
        self.weight += weight

    @property
    def value(self) -> float:
        """The mean of what came so far; NaN if nothing did."""
        return self.total / self.weight if self.weight else math.nan


def append_row(history: History, row: dict[str, float]) -> None:
    """Add a row in place; a column that appears late, or pauses, has NaN where it has no value."""
    rows = max((len(column) for column in history.values()), default=0)
    for name in {**history, **row}:
        history.setdefault(name, [math.nan] * rows).append(row.get(name, math.nan))
