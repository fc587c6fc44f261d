"""Callbacks: hooks that the trainer calls while a model trains. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Callback", "OutsideSteps", "StepResults"]


@dataclass(frozen=True)
class StepResults:
    """The values of some steps on batches of one size.

    Attributes:
        labels: names of the values, in the order in which the step returned them; the first value
            of a training step is the loss.
        values: (steps, labels) float32.
        size: examples in each of the batches.
    """

    labels: tuple[str, ...]
    values: npt.NDArray[np.float32]
    size: int


class OutsideSteps:
    """Marks objects that work between steps: a compiled step does not depend on them."""


class Callback(OutsideSteps):
    """The base class of callbacks; a subclass overrides the hooks that it needs.

    The trainer, a d2l.Trainer, calls the hooks between steps and passes itself: model and optimizer
    are as the last step left them, so everything can be saved there.

    Example:
        >>> class Report(d2l.Callback):
        ...     def on_epoch_end(self, trainer, row):
        ...         print("epoch", int(row["epoch"]))
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2, num_train=64, num_val=32)
        >>> trainer = d2l.Trainer(max_epochs=2, callbacks=[Report()])
        >>> history = trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), data)
        epoch 1
        epoch 2
    """

    def on_epoch_begin(self, trainer: Any) -> None:
        """Called before epoch number `trainer.epoch`, counted from 0."""

    def on_train_batches_end(self, trainer: Any, results: Sequence[StepResults]) -> None:
        """Called after the training steps of one compiled call; `results` are their values."""

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Called after an epoch and its validation; `row` is its row of the history."""
