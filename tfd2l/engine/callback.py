"""Callbacks: hooks that the trainer calls while a model trains. Imports nothing slow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Callback", "OutsideSteps", "StepResults", "in_order", "restore_states", "states_of"]


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
    are as the last step left them, so everything can be saved there. A hook ends the fit with
    `trainer.should_stop = True`.

    Attributes:
        runs_last: True has this callback called after the others, whose state it saves.

    Example:
        >>> class Report(d2l.Callback):
        ...     def on_epoch_end(self, trainer, row):
        ...         print("epoch", int(row["epoch"]))
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2, num_train=64, num_val=32)
        >>> trainer = d2l.Trainer(max_epochs=2, callbacks=[Report()], enable_progress_bar=False)
        >>> history = trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), data)
        epoch 1
        epoch 2
    """

    runs_last = False

    def on_fit_begin(self, trainer: Any) -> None:
        """Called before the first epoch; a resumed fit has its state from the checkpoint by now."""

    def on_epoch_begin(self, trainer: Any) -> None:
        """Called before epoch number `trainer.epoch`, counted from 0."""

    def on_train_batches_end(self, trainer: Any, results: Sequence[StepResults]) -> None:
        """Called after the training steps of one compiled call; `results` are their values."""

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Called after an epoch and its validation; `row` is its row of the history."""

    def on_fit_end(self, trainer: Any) -> None:
        """Called after the last epoch; not if an error or a signal ends the fit."""

    def state_dict(self) -> dict[str, Any]:
        """The state to save in checkpoints: JSON values and NumPy arrays by name."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take the state from a checkpoint; called before `on_fit_begin` of a resumed fit."""


def in_order(callbacks: Iterable[Callback]) -> list[Callback]:
    """The callbacks in the order of their calls: as given, those that run last at the end."""
    return sorted(callbacks, key=lambda callback: callback.runs_last)


def states_of(callbacks: Iterable[Callback]) -> dict[str, list[dict[str, Any]]]:
    """The states of the callbacks that have one, by the names of their classes."""
    states: dict[str, list[dict[str, Any]]] = {}
    for callback in callbacks:
        states.setdefault(type(callback).__name__, []).append(callback.state_dict())
    return {name: found for name, found in states.items() if any(found)}


def restore_states(
    callbacks: Iterable[Callback], states: Mapping[str, Sequence[dict[str, Any]]]
) -> list[str]:
    """Give the callbacks their states back; callbacks of one class are matched in their order.

    Returns:
        The names of classes that have states, and too few callbacks to take them. TensorBoard is
        none of them: a fit that resumes without it ends the same.
    """
    left = {name: list(found) for name, found in states.items()}
    for callback in callbacks:
        if left.get(type(callback).__name__):
            callback.load_state_dict(left[type(callback).__name__].pop(0))
    return [name for name, found in left.items() if found and name != "TensorBoard"]
