"""Means and positions of the steps' values, against numbers worked by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tfd2l.book.board import ProgressBoard
from tfd2l.engine.callback import StepResults
from tfd2l.engine.errors import DivergedError
from tfd2l.engine.metrics import Recorder
from tfd2l.engine.state import FitState, NumBatches


def recording(num_train: int | None = 4, num_val: int | None = 2) -> tuple[Recorder, FitState]:
    state = FitState.new()
    state.num_batches = NumBatches(num_train, num_val)
    recorder = Recorder(state)
    model: Any = SimpleNamespace(
        plot_train_per_epoch=2, plot_valid_per_epoch=1, board=ProgressBoard(display=False)
    )
    recorder.model = model
    recorder.begin_epoch(0)
    return recorder, state


def steps(*losses: float, size: int = 10) -> list[StepResults]:
    """Training steps that plot ten times their loss."""
    values = np.array([[loss, 10 * loss] for loss in losses], np.float32)
    return [StepResults(("train_loss", "train_big"), values, size)]


def points(recorder: Recorder, label: str) -> list[tuple[float, float]]:
    board: Any = recorder.model.board
    return [tuple(point) for point in board.data[label]]


def test_steps_become_means_and_points_half_an_epoch_apart() -> None:
    recorder, state = recording()
    recorder.take(steps(1, 2, 3) + steps(4, size=5), train=True)
    assert (state.train_batch_idx, state.val_batch_idx, state.so_far.steps) == (4, 0, 4)
    row = state.so_far.row(1)
    assert row["train_loss"] == pytest.approx((10 * (1 + 2 + 3) + 5 * 4) / 35)
    assert row["train_big"] == pytest.approx(10 * row["train_loss"])
    # One point for steps 0 and 1, one for steps 2 and 3; step 3 has half the weight.
    expected = [(0.125, 15), (0.625, (10 * 30 + 5 * 40) / 15)]
    np.testing.assert_allclose(points(recorder, "train_big"), expected)


def test_validation_is_plotted_at_the_end_of_the_epoch() -> None:
    recorder, state = recording()
    results = StepResults(("val_loss",), np.array([[1], [3]], np.float32), 7)
    recorder.take([results], train=False)
    assert (state.train_batch_idx, state.val_batch_idx) == (0, 2)
    assert points(recorder, "val_loss") == [(1.0, 2.0)]


def test_a_step_that_plots_nothing_is_counted() -> None:
    recorder, state = recording()
    recorder.take([StepResults((), np.zeros((2, 0), np.float32), 7)], train=False)
    assert state.val_batch_idx == 2
    assert state.so_far.row(1) == {"epoch": 1.0}


def test_values_are_postponed_until_the_length_of_a_pass_is_known() -> None:
    recorder, state = recording(num_train=None)
    recorder.take(steps(1, 2), train=True)
    assert len(state.so_far.postponed) == 2
    row = recorder.end_epoch()
    assert state.num_batches == (2, 2)
    assert points(recorder, "train_big") == [(0.0, 10.0), (0.5, 20.0)]
    assert (row["train_loss"], state.history["train_loss"], state.epoch) == (1.5, [1.5], 1)
    assert not state.so_far.postponed


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_steps_before_an_infinite_or_nan_loss_are_recorded(wrong: float) -> None:
    recorder, state = recording()
    recorder.take(steps(1), train=True)
    with pytest.raises(DivergedError, match=f"became {wrong} at step 3 of epoch 1;.*learning rate"):
        recorder.take(steps(2, wrong, 3), train=True)
    assert state.so_far.steps == state.train_batch_idx == 2
    assert state.so_far.row(1)["train_loss"] == pytest.approx(1.5)


def test_values_of_eager_steps_are_weighted_by_batch_size() -> None:
    recorder, state = recording()
    for size, value in ((3, 1.0), (1, 5.0)):
        recorder.begin_step((tf.zeros(size),))
        recorder.record("train_loss", value, train=True)
    assert state.so_far.row(1)["train_loss"] == pytest.approx(2.0)
