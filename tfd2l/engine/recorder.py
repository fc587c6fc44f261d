"""What becomes of the numbers that steps give: means of the epoch, and points on the board."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np

from tfd2l.common.errors import DivergedError
from tfd2l.engine.history import EpochSoFar
from tfd2l.engine.step import Steps

if TYPE_CHECKING:
    from tfd2l.book.trainer import Trainer


class Recorder:
    """Takes in the steps of a trainer's epoch, and draws what the model plotted in them.

    Attributes:
        so_far: what the epoch has given.
        size: examples in the batch of the step that runs, or ran last.
    """

    def __init__(self, trainer: Trainer) -> None:
        """Nothing yet."""
        self._trainer = trainer
        self.so_far, self.size = EpochSoFar(), 1

    def take_in(self, steps: Steps, train: bool) -> None:
        """Count the steps and, where they were traced, draw what the model plotted in them.

        Raises:
            DivergedError: a training loss is not finite. The steps before it were taken in.
        """
        trainer, self.size = self._trainer, steps.size
        values, diverged = steps.values, None
        if train and not np.isfinite(values[:, 0]).all():
            first = int(np.flatnonzero(~np.isfinite(values[:, 0]))[0])
            values, diverged = values[:first], values[first, 0]
        columns = values.T.tolist()
        for label, column in list(zip(steps.labels, columns, strict=True))[train:]:
            self._draw(label, column, train, trainer.train_batch_idx)
        if train:
            for loss in columns[0]:
                self.so_far.returned.add(loss, steps.size)
            self.so_far.steps += len(values)
            trainer.train_batch_idx += len(values)
        else:
            trainer.val_batch_idx += len(values)
        if diverged is not None:
            raise DivergedError(
                f"the training loss became {diverged} at step {self.so_far.steps + 1} of epoch "
                f"{trainer.epoch + 1}; try a smaller learning rate, gradient_clip_val=1, or look "
                "for a logarithm of 0 in the loss and for NaN or class ids out of range in the "
                "data."
            )

    def draw(self, label: str, value: float, train: bool) -> None:
        """Take a value that the step which runs has plotted."""
        self._draw(label, [value], train, self._trainer.train_batch_idx)

    def draw_postponed(self) -> None:
        """Once a pass is over its length is known, and what waited for that can be placed."""
        for label, value, train, batch_idx, size in self.so_far.postponed:
            self._place(label, [value], train, batch_idx, size)

    def _draw(self, label: str, values: list[float], train: bool, batch_idx: int) -> None:
        """Add plotted values, one a step from `batch_idx` on, to the means and the board."""
        mean = self.so_far.plotted[label]
        for value in values:
            mean.add(value, self.size)
        if self._steps_of_a_pass(train) is None:
            self.so_far.postponed += (
                (label, value, train, batch_idx + i, self.size) for i, value in enumerate(values)
            )
        else:
            self._place(label, values, train, batch_idx, self.size)

    def _place(
        self, label: str, values: Iterable[float], train: bool, batch_idx: int, size: int
    ) -> None:
        """Give the board values at their places on the axis of epochs."""
        model = self._trainer.model
        per_epoch = model.plot_train_per_epoch if train else model.plot_valid_per_epoch
        # A reader's own fit_epoch may validate without having been given validation data.
        count = max(self._steps_of_a_pass(train) or 0, 1)
        every_n, draw = math.ceil(count / per_epoch), model.board.draw
        for i, value in enumerate(values):
            x = (batch_idx + i) / count if train else self._trainer.epoch + 1
            draw(x, value, label, every_n=every_n, weight=size)

    def _steps_of_a_pass(self, train: bool) -> int | None:
        trainer = self._trainer
        return trainer.num_train_batches if train else trainer.num_val_batches
