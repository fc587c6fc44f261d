"""The base of callbacks that follow a metric and know its best value so far."""

from __future__ import annotations

import math
from typing import Any

from pipelines.basics.numbers import real_number
from tfd2l.engine.callback import Callback

__all__ = ["MonitorCallback"]

# Parts of the names of metrics that are better when they are higher, or lower.
_HIGHER = ("acc", "auc", "precision", "recall", "f1", "iou", "r2")
_LOWER = ("loss", "err", "mse", "mae", "rmse", "msle", "perplexity")


class MonitorCallback(Callback):
    """Follows a column of the history.

    Attributes:
        monitor: the column.
        mode: 'min' or 'max', the better direction.
        best: its best value in this fit, NaN before the first. Infinite or NaN values are never
            the best.
        best_epoch: the epoch of that value, counted from 1 as in the history; 0 before the first.
    """

    def __init__(self, monitor: str, mode: str, min_delta: float) -> None:
        """Follow `monitor`; gains of at most `min_delta` are none.

        Raises:
            ValueError: `mode` is none of 'auto', 'min' and 'max', or 'auto' doesn't know `monitor`.
        """
        self.monitor = monitor
        self.mode = _direction(monitor, mode)
        self.min_delta = real_number("min_delta", min_delta)
        self._loaded: dict[str, Any] = {}
        self.begin({})

    def begin(self, state: dict[str, Any]) -> None:
        """Begin a fit with the state from a checkpoint, which is empty for a new fit."""
        self.best = float(state.get("best", math.nan))
        self.best_epoch = int(state.get("best_epoch", 0))

    def on_fit_begin(self, trainer: Any) -> None:
        """Begin anew, or with the checkpoint's state."""
        state, self._loaded = self._loaded, {}
        self.begin(state)

    def state_dict(self) -> dict[str, Any]:
        """The best value and its epoch."""
        return {"best": self.best, "best_epoch": self.best_epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the state for `on_fit_begin`."""
        self._loaded = state

    def improved(self, trainer: Any, row: dict[str, float]) -> bool | None:
        """Note the epoch's value, and return True if it is the best; None if the epoch has none.

        Raises:
            ValueError: no epoch has had the column.
        """
        if self.monitor not in trainer.history:
            raise ValueError(
                f"{type(self).__name__} monitors {self.monitor!r}, which the history doesn't have; "
                f"monitor one of {[name for name in row if name not in ('epoch', 'seconds')]}."
            )
        if self.monitor not in row:
            return None
        value = row[self.monitor]
        gain = self.best - value if self.mode == "min" else value - self.best
        better = math.isfinite(value) and (math.isnan(self.best) or gain > self.min_delta)
        if better:
            self.best, self.best_epoch = value, int(row["epoch"])
        return better


def _direction(monitor: str, mode: str) -> str:
    """The better direction of a metric, 'min' or 'max'; 'auto' tells by its name."""
    if mode not in ("auto", "min", "max"):
        raise ValueError(f"mode must be 'auto', 'min' or 'max'; got {mode!r}.")
    if mode != "auto":
        return mode
    if any(part in monitor for part in _LOWER):
        return "min"
    if any(part in monitor for part in _HIGHER):
        return "max"
    raise ValueError(
        f"mode='auto' can't tell whether {monitor!r} should become small or large; pass mode='min' "
        "or mode='max'."
    )
