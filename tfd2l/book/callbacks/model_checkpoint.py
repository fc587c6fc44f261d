"""Writes checkpoints of a fit, of each epoch or of the best one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tfd2l.book.callbacks.monitor import MonitorCallback
from tfd2l.engine.checkpoint import write_checkpoint

__all__ = ["ModelCheckpoint"]


class ModelCheckpoint(MonitorCallback):
    """Writes a checkpoint at the end of epochs, whole or not at all.

    A checkpoint has the whole state of the fit: `Trainer.fit(model, data, checkpoint=path)` resumes
    from it, and `model.load_weights(path)` reads the model's part alone.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> keep = d2l.ModelCheckpoint(folder / "best", save_best_only=True)
        >>> trainer = d2l.Trainer(max_epochs=2, callbacks=[keep], enable_progress_bar=False)
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> history = trainer.fit(model, data)
        >>> keep.best == min(history["val_loss"])
        True
        >>> model.load_weights(folder / "best")
    """

    # Its checkpoints have the other callbacks' states as the epoch leaves them.
    runs_last = True

    def __init__(
        self,
        path: Path | str,
        monitor: str = "val_loss",
        mode: str = "auto",
        save_best_only: bool = False,
    ) -> None:
        """Set up.

        Args:
            path: the file, which each checkpoint replaces. Names in braces stand for the epoch and
                the other columns of the history: "epoch-{epoch:03d}-{val_loss:.2f}".
            monitor: the column of the history that tells the best epoch.
            mode: 'min' if smaller values are better, 'max' if larger ones are; 'auto' tells by the
                name of the column.
            save_best_only: write the checkpoints of epochs that improve on all before.

        Raises:
            ValueError: `mode` is another one, or 'auto' doesn't know the column.
        """
        super().__init__(monitor, mode, min_delta=0.0)
        self.path = Path(path)
        self.save_best_only = save_best_only

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Write the epoch's checkpoint.

        Raises:
            ValueError: the history has no column `monitor`, or none that `path` names.
            DivergedError: a weight is infinite or NaN.
            OSError: the file can't be written.
        """
        wanted = not self.save_best_only or self.improved(trainer, row)
        if wanted and trainer.is_chief:
            write_checkpoint(self._path_of(row), trainer.model, trainer.optim, trainer.state_dict())

    def _path_of(self, row: dict[str, float]) -> Path:
        try:
            return Path(str(self.path).format(**{**row, "epoch": int(row["epoch"])}))
        except (KeyError, IndexError, ValueError) as error:
            raise ValueError(
                f"the path of ModelCheckpoint, {str(self.path)!r}, may name columns of the history "
                f"in braces, {list(row)}; {error!r} is no such name."
            ) from error
