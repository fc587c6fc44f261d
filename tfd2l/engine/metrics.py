"""Turns the values of steps into means of the epoch and points on the model's board."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.engine.callback import StepResults
from tfd2l.engine.distribution.slices import in_replica
from tfd2l.engine.errors import DivergedError
from tfd2l.engine.loaders import Batch, batch_size_of
from tfd2l.engine.state import EpochMetrics, FitState, Postponed
from tfd2l.engine.tracing.step import Named

__all__ = ["NO_BATCHES", "Recorder"]

NO_BATCHES = "the training data has no batches; give it at least one example."


class Board(Protocol):
    """The part of a ProgressBoard that a recorder uses."""

    def draw(self, x: float, y: float, label: str, every_n: int, weight: float) -> None:
        """Add a value to a curve."""

    def flush(self) -> None:
        """Draw the values that still wait."""


class PlottingModel(Protocol):
    """The part of a Module that a recorder uses."""

    board: Board
    plot_train_per_epoch: int
    plot_valid_per_epoch: int


class Recorder:
    """Records the steps of a fit in its state, and draws what the model plots.

    Attributes:
        model: the model whose steps are recorded; the trainer sets it.
        epoch: the epoch that runs or ran last, counted from 0.
        size: examples in the batch of the running step.
    """

    model: PlottingModel

    def __init__(self, state: FitState) -> None:
        """Record in `state`."""
        self._state = state
        self.epoch = 0
        # Of a step in replicas, each is traced in a thread of its own.
        self._step = threading.local()
        self.size = 1
        self._started_s = math.nan
        self._before = (0, 0)

    @property
    def named(self) -> Named:
        """Values that the running step has plotted while it is traced."""
        return getattr(self._step, "named", [])

    def begin_epoch(self, epoch: int) -> None:
        """Start the clock of an epoch, which may have been interrupted before."""
        self.epoch, self.size = epoch, 1
        self._started_s = time.perf_counter()
        state = self._state
        self._before = (state.train_batch_idx - state.so_far.steps, state.val_batch_idx)

    @do_not_convert
    def begin_step(self, batch: Batch) -> None:
        """Note the size of the batch; what is plotted from here on belongs to this step."""
        self._step.named, self.size = [], batch_size_of(batch)

    @do_not_convert
    def record(self, label: str, value: Any, train: bool) -> None:
        """Take a value that a step plots: at once when eager, else as an output of the step."""
        if tf.executing_eagerly() and not in_replica():
            mean = float(tf.reduce_mean(tf.cast(value, tf.float32)))
            self._draw(label, [mean], train)
        else:
            self.named.append((label, value))

    def take(self, call: Sequence[StepResults], train: bool) -> None:
        """Record the steps of one call.

        Raises:
            DivergedError: a loss is not finite; the training steps before it are recorded.
        """
        for results in call:
            self._take(results, train)

    def seconds(self) -> float:
        """Seconds spent on the running epoch, those before an interruption included."""
        return self._state.so_far.seconds + time.perf_counter() - self._started_s

    def end_epoch(self) -> dict[str, float]:
        """Draw what had to wait for the end of the epoch, and add its row to the history.

        Raises:
            ValueError: the training pass had no batches.
        """
        state = self._state
        self._learn_lengths()
        for label, value, train, batch_idx, size in state.so_far.postponed:
            self._place(label, [value], train, batch_idx, size)
        self.model.board.flush()
        row = {**state.so_far.row(self.epoch + 1), "seconds": self.seconds()}
        state.history.append_row(row)
        state.so_far, state.epoch = EpochMetrics.empty(), self.epoch + 1
        return row

    def _take(self, results: StepResults, train: bool) -> None:
        state, self.size = self._state, results.size
        values, loss = results.values, None
        if train and not np.isfinite(values[:, 0]).all():
            first = int(np.flatnonzero(~np.isfinite(values[:, 0]))[0])
            values, loss = values[:first], values[first, 0]
        columns = values.T.tolist()
        # The first value of a training step is the loss that it returned; the rest was plotted.
        first_plotted = 1 if train else 0
        for number in range(first_plotted, len(columns)):
            self._draw(results.labels[number], columns[number], train)
        if not train:
            state.val_batch_idx += len(values)
            return
        for value in columns[0]:
            state.so_far.returned = state.so_far.returned.plus(value, results.size)
        state.so_far.steps += len(values)
        state.train_batch_idx += len(values)
        if loss is not None:
            raise DivergedError(
                f"the training loss became {loss} at step {state.so_far.steps + 1} of epoch "
                f"{self.epoch + 1}; try a smaller learning rate, gradient_clip_val=1, or look "
                "for a logarithm of 0 in the loss and for NaN or class ids out of range in the "
                "data."
            )

    def _draw(self, label: str, values: list[float], train: bool) -> None:
        """Add plotted values, one for each of the next steps, to the means and the board.

        Raises:
            DivergedError: a validation loss is not finite.
        """
        state, batch_idx = self._state, self._state.train_batch_idx
        for number, value in enumerate(values):
            if label == "val_loss" and not train and not math.isfinite(value):
                step = state.val_batch_idx - self._before[1] + number + 1
                raise DivergedError(
                    f"the validation loss became {value} at step {step} of the validation of epoch "
                    f"{self.epoch + 1}; look for a logarithm of 0 in the loss and for infinite or "
                    "NaN numbers in the validation data, or try a smaller learning rate."
                )
            state.so_far.add(label, value, self.size)
        if self._num_batches(train) is None:
            state.so_far.postponed += (
                Postponed(label, value, train, batch_idx + i, self.size)
                for i, value in enumerate(values)
            )
        else:
            self._place(label, values, train, batch_idx, self.size)

    def _place(
        self, label: str, values: list[float], train: bool, batch_idx: int, size: int
    ) -> None:
        """Draw values at their places on the axis of epochs."""
        model = self.model
        per_epoch = model.plot_train_per_epoch if train else model.plot_valid_per_epoch
        # A user's own fit_epoch may validate without validation data of the data module.
        count = max(self._num_batches(train) or 0, 1)
        every_n = math.ceil(count / per_epoch)
        for i, value in enumerate(values):
            x = (batch_idx + i) / count if train else self.epoch + 1
            model.board.draw(x, value, label, every_n=every_n, weight=size)

    def _num_batches(self, train: bool) -> int | None:
        return self._state.num_batches.train if train else self._state.num_batches.val

    def _learn_lengths(self) -> None:
        """Count the batches of passes whose lengths were unknown before they ended."""
        state = self._state
        train, val = state.num_batches
        if train is None:
            train = state.train_batch_idx - self._before[0]
            if train == 0:
                raise ValueError(NO_BATCHES)
        if val is None:
            val = state.val_batch_idx - self._before[1]
        state.num_batches = state.num_batches._replace(train=train, val=val)
