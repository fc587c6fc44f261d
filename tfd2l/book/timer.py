"""Running times."""

from __future__ import annotations

import time

import numpy as np


class Timer:
    """A stop-watch that keeps its times.

    Attributes:
        times: seconds from each start to its stop.

    Source: D2L 12.4.
    """

    def __init__(self) -> None:
        """Start at once."""
        self.times: list[float] = []
        self.start()

    def start(self) -> None:
        """Begin a time."""
        self._started_s = time.perf_counter()

    def stop(self) -> float:
        """End the time and keep it; seconds."""
        self.times.append(time.perf_counter() - self._started_s)
        return self.times[-1]

    def avg(self) -> float:
        """The mean of the times, seconds; NaN if there is none."""
        return sum(self.times) / len(self.times) if self.times else float("nan")

    def sum(self) -> float:
        """The times together, seconds."""
        return sum(self.times)

    def cumsum(self) -> list[float]:
        """The running total of the times, seconds."""
        return [float(total) for total in np.cumsum(self.times)]
