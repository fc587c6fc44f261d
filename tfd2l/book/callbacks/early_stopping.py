"""Early stopping: ends a fit whose metric no longer improves."""

from __future__ import annotations

from typing import Any

from pipelines.basics.numbers import whole_number
from tfd2l.book.callbacks.monitor import MonitorCallback

__all__ = ["EarlyStopping"]


class EarlyStopping(MonitorCallback):
    """Ends the fit when a metric has not improved for some epochs.

    Its state is saved in checkpoints, so that a resumed fit ends as one without a break.

    Attributes:
        wait: epochs since the best one.
        stopped_epoch: the epoch after which it ended the fit, counted from 1; 0 if it did not.

    Example:
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> stop = d2l.EarlyStopping(monitor="val_loss", patience=2, min_delta=0.01)
        >>> trainer = d2l.Trainer(max_epochs=100, callbacks=[stop], enable_progress_bar=False)
        >>> history = trainer.fit(model, data)
        >>> len(history["epoch"]) == stop.stopped_epoch == stop.best_epoch + 2
        True
    """

    def __init__(
        self,
        monitor: str = "val_loss",
        mode: str = "auto",
        patience: int = 3,
        min_delta: float = 0.0,
        restore_best_weights: bool = False,
    ) -> None:
        """Set up.

        Args:
            monitor: the column of the history to follow.
            mode: 'min' if smaller values are better, 'max' if larger ones are; 'auto' tells by the
                name of the column.
            patience: the epochs in a row without improvement that end the fit; 0 counts as 1.
            min_delta: an improvement is by more than this, in the metric's unit.
            restore_best_weights: at the end of the fit, give the model the weights of the best
                epoch.

        Raises:
            ValueError: an argument out of range, or 'auto' doesn't know the column.
        """
        self.patience = whole_number("patience", patience, minimum=0)
        self.restore_best_weights = restore_best_weights
        super().__init__(monitor, mode, min_delta)

    def begin(self, state: dict[str, Any]) -> None:
        """Begin a fit with the state from a checkpoint, which is empty for a new fit."""
        super().begin(state)
        self.wait = int(state.get("wait", 0))
        self.stopped_epoch = 0
        self._best_weights: list[Any] | None = state.get("best_weights")

    def state_dict(self) -> dict[str, Any]:
        """The best value, its epoch and weights, and the epochs since then."""
        return {**super().state_dict(), "wait": self.wait, "best_weights": self._best_weights}

    def on_fit_begin(self, trainer: Any) -> None:
        """End a fit at once that resumes after its early end."""
        super().on_fit_begin(trainer)
        self._stop_if_due(trainer)

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Count the epochs without improvement."""
        improved = self.improved(trainer, row)
        if improved:
            self.wait = 0
            if self.restore_best_weights:
                self._best_weights = trainer.model.get_weights()
        elif improved is not None:
            self.wait += 1
            self._stop_if_due(trainer)

    def on_fit_end(self, trainer: Any) -> None:
        """Restore the best weights."""
        if self.restore_best_weights and self._best_weights is not None:
            trainer.model.set_weights(self._best_weights)

    def _stop_if_due(self, trainer: Any) -> None:
        if self.wait >= max(self.patience, 1):
            self.stopped_epoch = trainer.state.epoch
            trainer.should_stop = True
