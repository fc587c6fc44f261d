"""What becomes of steps' numbers, with means and places worked by hand."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tfd2l.book.board import ProgressBoard
from tfd2l.common.errors import DivergedError
from tfd2l.engine.recorder import Recorder
from tfd2l.engine.step import Steps


def trainer_with(num_train: int | None = 4, num_val: int | None = 2) -> Any:
    """As much of a trainer as a recorder reads."""
    model = SimpleNamespace(
        plot_train_per_epoch=2, plot_valid_per_epoch=1, board=ProgressBoard(display=False)
    )
    return SimpleNamespace(
        model=model, epoch=0, train_batch_idx=0, val_batch_idx=0,
        num_train_batches=num_train, num_val_batches=num_val,
    )  # fmt: skip


def steps(*losses: float, size: int = 10) -> Steps:
    """Training steps that plot ten times their loss."""
    values = np.array([[loss, 10 * loss] for loss in losses], np.float32)
    return Steps(("train_loss", "train_big"), values, size)


def points(trainer: Any, label: str) -> list[tuple[float, float]]:
    return [(point.x, point.y) for point in trainer.model.board.data[label]]


def test_steps_become_means_and_points_half_an_epoch_apart() -> None:
    trainer = trainer_with()
    recorder = Recorder(trainer)
    recorder.take_in(steps(1, 2, 3), train=True)
    recorder.take_in(steps(4, size=5), train=True)
    assert (trainer.train_batch_idx, trainer.val_batch_idx, recorder.so_far.steps) == (4, 0, 4)
    row = recorder.so_far.row(1)
    assert row["train_loss"] == pytest.approx((10 * (1 + 2 + 3) + 5 * 4) / 35)
    assert row["train_big"] == pytest.approx(10 * row["train_loss"])
    # Of steps 0 and 1, and of 2 and 3, of which the latter had half as many examples.
    expected = [(0.125, 15), (0.625, (10 * 30 + 5 * 40) / 15)]
    np.testing.assert_allclose(points(trainer, "train_big"), expected)


def test_validation_is_drawn_at_the_end_of_the_epoch() -> None:
    trainer = trainer_with()
    recorder = Recorder(trainer)
    recorder.take_in(Steps(("val_loss",), np.array([[1], [3]], np.float32), 7), train=False)
    assert (trainer.train_batch_idx, trainer.val_batch_idx) == (0, 2)
    assert points(trainer, "val_loss") == [(1.0, 2.0)]


def test_a_step_that_plots_nothing_counts() -> None:
    trainer = trainer_with()
    recorder = Recorder(trainer)
    recorder.take_in(Steps((), np.zeros((2, 0), np.float32), 7), train=False)
    assert trainer.val_batch_idx == 2
    assert recorder.so_far.row(1) == {"epoch": 1.0}


def test_values_wait_until_the_length_of_a_pass_is_known() -> None:
    trainer = trainer_with(num_train=None)
    recorder = Recorder(trainer)
    recorder.take_in(steps(1, 2), train=True)
    assert not trainer.model.board.data
    trainer.num_train_batches = 2
    recorder.draw_postponed()
    assert points(trainer, "train_big") == [(0.0, 10.0), (0.5, 20.0)]


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -math.inf])
def test_steps_before_a_loss_that_is_no_number_are_taken_in(wrong: float) -> None:
    trainer = trainer_with()
    recorder = Recorder(trainer)
    recorder.take_in(steps(1), train=True)
    with pytest.raises(DivergedError, match=f"became {wrong} at step 3 of epoch 1;.*learning rate"):
        recorder.take_in(steps(2, wrong, 3), train=True)
    assert recorder.so_far.steps == trainer.train_batch_idx == 2
    assert recorder.so_far.row(1)["train_loss"] == pytest.approx(1.5)


def test_what_an_eager_step_plots_counts_with_the_size_of_its_batch() -> None:
    trainer = trainer_with()
    recorder = Recorder(trainer)
    for size, value in ((3, 1.0), (1, 5.0)):
        recorder.size = size
        recorder.draw("train_loss", value, train=True)
    assert recorder.so_far.row(1)["train_loss"] == pytest.approx(2.0)
