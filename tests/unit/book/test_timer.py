"""tfd2l/book/timer.py, on a clock that is set by hand."""

from __future__ import annotations

import math

import pytest

from tfd2l.book.timer import Timer


def test_times_are_kept_and_summed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([10.0, 12.0, 20.0, 25.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    timer = Timer()
    assert timer.stop() == 2.0
    timer.start()
    assert timer.stop() == 5.0
    assert (timer.times, timer.sum(), timer.avg()) == ([2.0, 5.0], 7.0, 3.5)
    assert timer.cumsum() == [2.0, 7.0]


def test_without_a_time_the_mean_is_not_a_number() -> None:
    timer = Timer()
    assert math.isnan(timer.avg())
    assert (timer.sum(), timer.cumsum()) == (0, [])
