"""Writes a fit for TensorBoard: epochs, loss by step, learning rate, hyperparameters, images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.plugins.hparams.api_pb2 import STATUS_SUCCESS
from tensorboard.plugins.hparams.summary import session_end_pb
from tensorboard.plugins.hparams.summary_v2 import hparams_pb

from tfd2l.book.callbacks.event_file import (
    EventFile,
    image_summary,
    remove_event_files,
    scalar_summary,
)
from tfd2l.engine.callback import Callback, StepResults

__all__ = ["TensorBoard"]

_RUNS = ("", "train", "validation")


class TensorBoard(Callback):
    """Writes a fit for TensorBoard, by the names of Keras' callback, so that both can be compared.

    The runs `train` and `validation` below `log_dir` have the columns of the history as
    `epoch_loss`, `epoch_acc` and so on, at step 1 after the first epoch; `train` has also
    `epoch_learning_rate`, and the points of the model's board by training step, as `batch_loss`:
    `model.plot_train_per_epoch` is their number in an epoch. `log_dir` itself has the
    hyperparameters and the images. All is on disk when a hook ends.

    The first event replaces those of an earlier fit in the same `log_dir`. A resumed fit writes
    its charts from the start, by the checkpoint. Of several processes that train together, the
    first one writes.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> charts = d2l.TensorBoard(folder, hparams={"batch_size": data.batch_size})
        >>> trainer = d2l.Trainer(max_epochs=2, callbacks=charts, enable_progress_bar=False)
        >>> history = trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), data)
        >>> sorted(str(path.parent.relative_to(folder)) for path in folder.rglob("events.*"))
        ['.', 'train', 'validation']
    """

    def __init__(
        self, log_dir: Path | str = "logs", hparams: Mapping[str, Any] | None = None
    ) -> None:
        """Set up; nothing is written before a fit.

        Args:
            log_dir: the directory of this fit; `tensorboard --logdir` takes it, or one that has
                those of several fits.
            hparams: hyperparameters to show beside the model's own (`model.hparams`), `max_epochs`
                and `gradient_clip_val`; a value that is no number is shown as text.
        """
        self.log_dir = Path(log_dir)
        given = hparams or {}
        self.hparams = {n: str(v) if _shown(v) is None else _shown(v) for n, v in given.items()}
        self._loaded: list[float] = []
        self._files: dict[str, EventFile] = {}
        self._num_points: dict[str, int] = {}
        self._begin([], is_chief=True)

    def on_fit_begin(self, trainer: Any) -> None:
        """Write the hyperparameters and, of a resumed fit, what was before.

        Raises:
            OSError: the events can't be written; the other hooks raise it, too.
        """
        # The checkpoint may be of a fit without this callback.
        unknown = [math.nan] * trainer.state.epoch
        self._begin([*self._loaded, *unknown][: len(unknown)], trainer.is_chief)
        self._loaded = []
        if self._is_chief:
            for name in _RUNS:
                remove_event_files(self.log_dir / name)
        self._add("", [(0, hparams_pb(self._all_hparams(trainer)))])
        self._write_rows(trainer)
        self._write_points(trainer)

    def on_train_batches_end(self, trainer: Any, results: Sequence[StepResults]) -> None:
        """Write the new points of the model's board."""
        self._write_points(trainer)

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Write the epoch's row of the history, and the learning rate at its end."""
        rate = _learning_rate(trainer.optim)
        self._rates.append(math.nan if rate is None else rate)
        self._write_rows(trainer)
        self._write_points(trainer)

    def on_fit_end(self, trainer: Any) -> None:
        """Close the files."""
        self._add("", [(0, Summary.FromString(session_end_pb(STATUS_SUCCESS).SerializeToString()))])
        for file in self._files.values():
            file.close()
        self._files = {}

    def write_image(self, name: str, path: Path, step: int) -> None:
        """Write a PNG file as an image; after a fit, since the next one replaces it.

        Args:
            name: the image's title.
            path: the file.
            step: the epoch that it belongs to, counted from 1.

        Raises:
            OSError: the file can't be read, or the event not be written.
        """
        self._add("", [(step, image_summary(name, path.read_bytes()))])

    def state_dict(self) -> dict[str, Any]:
        """The learning rates of the epochs; the rest is in the fit's own state."""
        return {"learning_rate": list(self._rates)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Keep the rates for `on_fit_begin`."""
        self._loaded = [float(rate) for rate in state.get("learning_rate", [])]

    def _begin(self, rates: list[float], is_chief: bool) -> None:
        """Begin a fit with the learning rates of the epochs that it has behind it."""
        self._rates, self._is_chief = rates, is_chief
        self._num_rows = 0
        self._files, self._num_points = {}, {}

    def _all_hparams(self, trainer: Any) -> dict[str, Any]:
        """The hyperparameters of trainer and model that a table can show, and those given."""
        own = {name: getattr(trainer, name) for name in ("max_epochs", "gradient_clip_val")}
        found = {**own, **getattr(trainer.model, "hparams", {})}
        # The resolution of the board is an argument of all models, and changes no result.
        shown = {n: _shown(value) for n, value in found.items() if not n.startswith("plot_")}
        return {name: value for name, value in shown.items() if value is not None} | self.hparams

    def _write_rows(self, trainer: Any) -> None:
        """Write the rows of the history that are new."""
        history = trainer.history
        train, val = list[tuple[int, Summary]](), list[tuple[int, Summary]]()
        for number in range(self._num_rows, len(history.get("epoch", []))):
            row = {name: column[number] for name, column in history.items()}
            epoch = int(row.pop("epoch"))
            row["learning_rate"] = self._rates[number]
            known = {name: value for name, value in row.items() if not math.isnan(value)}
            for events, of_val in ((train, False), (val, True)):
                values = {
                    f"epoch_{name.removeprefix('train_').removeprefix('val_')}": value
                    for name, value in known.items()
                    if name.startswith("val_") is of_val
                }
                if values:
                    events.append((epoch, scalar_summary(values)))
            self._num_rows = number + 1
        self._add("train", train)
        self._add("validation", val)

    def _write_points(self, trainer: Any) -> None:
        """Write the points of the board's training curves that are new, by step from 1."""
        count = trainer.num_train_batches
        if count is None:
            return
        for label, points in trainer.model.board.data.items():
            known = self._num_points.get(label, 0)
            if len(points) > known and label.startswith("train_"):
                tag = f"batch_{label.removeprefix('train_')}"
                events = [
                    (round(point.x * count) + 1, scalar_summary({tag: point.y}))
                    for point in points[known:]
                ]
                self._add("train", events)
                self._num_points[label] = len(points)

    def _add(self, run: str, events: Sequence[tuple[int, Summary]]) -> None:
        if not events or not self._is_chief:
            return
        if run not in self._files:
            self._files[run] = EventFile(self.log_dir / run)
        self._files[run].add(events)


def _learning_rate(optimizer: Any) -> float | None:
    """The present rate of an optimizer, that of its schedule if it has one; None without a rate."""
    optimizer = getattr(optimizer, "inner_optimizer", optimizer)
    if isinstance(optimizer, keras.optimizers.Optimizer):
        # By a tensor, since several devices have the variable several times.
        return float(tf.convert_to_tensor(optimizer.learning_rate))
    rate = getattr(optimizer, "lr", None)
    return float(rate) if isinstance(rate, int | float) else None


def _shown(value: Any) -> Any:
    """A hyperparameter as a number or text, sequences as text; None for other objects."""
    if isinstance(value, list | tuple):
        return str(value)
    return value if isinstance(value, bool | int | float | str | np.generic) else None
