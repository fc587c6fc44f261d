"""What looks on while a model trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tfd2l.step import Steps
    from tfd2l.trainer import Trainer


class Callback:
    """Something that looks on while a model trains; every method may be left out."""

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Epoch `trainer.epoch` is about to start."""

    def on_train_steps(self, trainer: Trainer, steps: Steps) -> None:
        """Some training steps were made; their first value is the loss."""

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """An epoch and its validation are over; `row` is their line of the history."""
