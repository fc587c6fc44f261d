"""Chooses the number of steps in a compiled call by the time that it takes."""

from __future__ import annotations

__all__ = ["CALL_S", "CallSizer"]

# Seconds of a call, after which Python serves the progress bar, the live board and Ctrl-C.
CALL_S = 0.25


class CallSizer:
    """Chooses the number of steps in a call so that it takes about `CALL_S` seconds."""

    def __init__(self) -> None:
        self._steps_per_s: float | None = None
        self._calls = 0

    def steps_in_a_call(self) -> int:
        """The number of steps for the next call; one for the first."""
        if self._steps_per_s is None:
            return 1
        return max(1, round(self._steps_per_s * CALL_S))

    def note(self, steps: int, seconds: float) -> None:
        """Note the time of a call; that of the first, which also compiles, says nothing."""
        self._calls += 1
        if self._calls == 1:
            self._steps_per_s = 8 / CALL_S
        elif steps and seconds > 0:
            self._steps_per_s = steps / seconds
