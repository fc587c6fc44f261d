"""What looks on while a model trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfd2l.book.trainer import Trainer
    from tfd2l.engine.step import Steps


class Callback:
    """Something that looks on while a model trains; every method may be left out."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Epoch `trainer.epoch` is about to start."""

    def on_train_steps(self, trainer: Trainer, call: Sequence[Steps]) -> None:
        """Some training steps were made, in one call; their first value is the loss.

        Model and optimizer are where the last of them left them, so all can be saved here.
        """

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """An epoch and its validation are over; `row` is their line of the history."""
