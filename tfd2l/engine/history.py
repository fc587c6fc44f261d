"""What an epoch's numbers become: means, and rows of a table."""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from html import escape
from typing import Any

# A plotted value that has no place yet: label, value, whether of training, batch index, batch size.
Postponed = tuple[str, float, bool, int, int]


class History(dict[str, list[float]]):
    """A fit's numbers: a list for each column, with an entry for each epoch."""

    def _repr_html_(self) -> str:
        """What a notebook shows of it: a table with a row for each epoch."""
        head = "".join(f"<th>{escape(name)}</th>" for name in self)
        rows = "".join(
            f"<tr>{''.join(f'<td>{value:.4g}</td>' for value in row)}</tr>"
            for row in zip(*self.values(), strict=True)
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


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


@dataclass
class EpochSoFar:
    """What the steps of an epoch have given.

    Attributes:
        steps: training steps made, as far as the trainer itself made them.
        returned: of the losses that the training steps returned.
        plotted: of what the model plotted, by label.
        postponed: what can be drawn when the number of steps is known.
        seconds: spent before the run was interrupted.
    """

    steps: int = 0
    returned: Mean = field(default_factory=Mean)
    plotted: defaultdict[str, Mean] = field(default_factory=lambda: defaultdict(Mean))
    postponed: list[Postponed] = field(default_factory=list)
    seconds: float = 0.0

    def row(self, epoch: int) -> dict[str, float]:
        """The epoch's line of the history but for its seconds."""
        row = {"epoch": float(epoch)}
        if self.returned.weight:
            row["train_loss"] = self.returned.value
        return row | {k: mean.value for k, mean in self.plotted.items() if k not in row}

    def to_json(self) -> dict[str, Any]:
        """All of it as JSON values."""
        return {
            "steps": self.steps,
            "returned": [self.returned.total, self.returned.weight],
            "plotted": {k: [mean.total, mean.weight] for k, mean in self.plotted.items()},
            "postponed": [list(entry) for entry in self.postponed],
            "seconds": self.seconds,
        }

    @classmethod
    def from_json(cls, found: dict[str, Any]) -> EpochSoFar:
        """What `to_json` gave."""
        plotted = {key: Mean(*mean) for key, mean in found["plotted"].items()}
        postponed: list[Any] = [tuple(entry) for entry in found["postponed"]]
        return cls(
            found["steps"],
            Mean(*found["returned"]),
            defaultdict(Mean, plotted),
            postponed,
            found["seconds"],
        )


def append_row(history: History, row: dict[str, float]) -> None:
    """Add a row in place; a column that appears late, or pauses, has NaN where it has no value."""
    rows = max((len(column) for column in history.values()), default=0)
    for name in {**history, **row}:
        history.setdefault(name, [math.nan] * rows).append(row.get(name, math.nan))
