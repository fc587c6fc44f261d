"""A timer for comparing running times. D2L 3.1.2."""

from __future__ import annotations

import time

import numpy as np

__all__ = ["Timer"]


class Timer:
    """A stop-watch that keeps its times.

    Attributes:
        times: seconds from each start to its stop.

    Example:
        >>> timer = d2l.Timer()
        >>> seconds = timer.stop()
        >>> timer.times == [seconds]
        True

    Source: D2L 12.4.
    """

    def __init__(self) -> None:
        """Start the first time."""
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Start a time."""
        self._started_s = time.perf_counter()

    def stop(self) -> float:
        """End the time, keep it and return it, in seconds."""
        self.times.append(time.perf_counter() - self._started_s)
        return self.times[-1]

    def avg(self) -> float:
        """Return the mean of the times in seconds; NaN without times."""
        return sum(self.times) / len(self.times) if self.times else float("nan")

    def sum(self) -> float:
        """Return the sum of the times in seconds."""
        return sum(self.times)

    def cumsum(self) -> list[float]:
        """Return the running total of the times in seconds."""
        return [float(total) for total in np.cumsum(self.times)]
