"""A run's directory: its settings, metrics, TensorBoard events and checkpoints."""

from __future__ import annotations

import fcntl
import json
import math
import os
import platform
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from tfd2l.callback import Callback
from tfd2l.checkpoint import checkpoints, prune, save_checkpoint
from tfd2l.files import remove_drafts, write_whole
from tfd2l.history import History
from tfd2l.record import RunError, read_record, write_record
from tfd2l.step import Steps
from tfd2l.trainer import Trainer
from tfd2l.weights import read_weights

KEEP_CHECKPOINTS, CHECKPOINTS = 3, "checkpoints"
LOCK_FILE, EXPORT_FILE = ".lock", "export.json"
__all__ = ["RunDirectory", "RunError", "new_run_path", "versions"]
PACKAGES = ("tfd2l", "tensorflow", "keras", "numpy", "pandas")


class RunDirectory(Callback):
    """Keeps what a run produces, up to date after every epoch.

    `config.json` (settings, versions, data), `metrics.csv` (a line an epoch), `tensorboard/`
    (the same as events) and `checkpoints/` (the last few, and the best epoch's). One process at
    a time uses it.
    """

    def __init__(
        self, path: Path, resume: bool = False, checkpoint_every: int | None = None
    ) -> None:
        """Take a directory into use.

        Args:
            path: new or empty; with `resume` a run's.
            resume: go on with the run that is there.
            checkpoint_every: write checkpoints also after so many steps within an epoch.

        Raises:
            RunError: something else is in it, another process uses it, or it can't be made.
        """
        self.path, self._every = path, checkpoint_every
        if resume:
            self.record = read_record(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not resume:
                # Before the lock too, whose file would be something new in a stranger's directory.
                self._refuse_content()
            self._lock()
            if resume:
                for directory in (path, path / CHECKPOINTS):
                    remove_drafts(directory)
            else:
                self._refuse_content()
        except OSError as error:
            raise RunError(
                f"the run's directory {str(path)!r} can't be made or read: {error.strerror}; "
                "choose another with --run-dir."
            ) from error
        self._events: Any = None

    def write_config(self, settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Write `config.json`: settings, what data, which versions, when."""
        self.record = {
            "settings": settings,
            "data": data,
            "versions": versions(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_record(self.path, self.record)

    def check_data(self, data: Mapping[str, Any]) -> None:
        """Raise RunError unless the data is what the run began with."""
        # Through JSON, as the record went.
        known, now = self.record["data"], json.loads(json.dumps(data))
        # Where it lies may change, what it is may not.
        if {**known, "source": None} != {**now, "source": None}:
            raise RunError(
                f"the run in {str(self.path)!r} began with other data ({known}) than there is now "
                f"({now}). Put that data back, or begin a new run."
            )

    def last_good_checkpoint(self, say: Callable[[str], object]) -> Path | None:
        """The latest checkpoint that is whole, None if there never was one.

        Args:
            say: given a line for each that is passed over.

        Raises:
            RunError: all are damaged.
        """
        found = checkpoints(self.path / CHECKPOINTS)
        for path in found:
            try:
                read_weights(path)
            except ValueError as error:
                say(f"passed over: {error}")
            except OSError as error:
                # Those of reading don't name the file.
                say(f"passed over: {str(path)!r} can't be read: {error.strerror or error}")
            else:
                return path
        if found:
            raise RunError(
                f"a run goes on from a checkpoint that is whole; all {len(found)} in "
                f"{str(found[0].parent)!r} are damaged. Put a copy of one back, or begin a new run."
            )
        return None

    def keep(self, trainer: Trainer) -> None:
        """Write a checkpoint of the fit as it is now."""
        folder = self.path / CHECKPOINTS
        save_checkpoint(folder, trainer.model, trainer.optim, trainer.state())
        prune(folder, KEEP_CHECKPOINTS, _best_epoch(trainer.history))

    def on_train_steps(self, trainer: Trainer, call: Sequence[Steps]) -> None:
        """Write a checkpoint, if it is time for one."""
        if self._every is not None and trainer.steps_of_epoch % self._every == 0:
            self.keep(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Bring checkpoints, metrics and events up to date."""
        # First what a resumed run starts from, then what it can write again.
        self.keep(trainer)
        self.write_metrics(trainer.history)
        try:
            self._write_events(trainer.epoch + 1, row)
        except tf.errors.OpError as error:
            raise RunError(
                f"events for TensorBoard can't be written to {str(self.path / 'tensorboard')!r} "
                f"({type(error).__name__}); make room, or remove what is in its place."
            ) from error

    def _write_events(self, epoch: int, row: Mapping[str, float]) -> None:
        """Add an epoch's row to the events."""
        if self._events is None:
            self._events = tf.summary.create_file_writer(str(self.path / "tensorboard"))
        with self._events.as_default(step=epoch):
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        self._events.flush()

    def write_metrics(self, history: History) -> None:
        """Write `metrics.csv`."""
        if history:
            table = pd.DataFrame(history).astype({"epoch": int})
            write_whole(self.path / "metrics.csv", table.to_csv(index=False))

    def finish(self, export: Path) -> None:
        """Note where the export is; a finished run is not gone on with."""
        write_record(self.path, {"export": str(export)}, EXPORT_FILE)

    @property
    def export(self) -> str | None:
        """Where the export of a finished run is; None if the run is not finished.

        Raises:
            RunError: the note of it is damaged.
        """
        path = self.path / EXPORT_FILE
        if not path.exists():
            return None
        try:
            return str(read_record(self.path, EXPORT_FILE)["export"])
        except (RunError, KeyError) as error:
            raise RunError(
                f"{str(path)!r}, which says where the finished run's export is, is damaged. Remove "
                "it, and --resume publishes the export again."
            ) from error

    def _refuse_content(self) -> None:
        taken = next((entry for entry in self.path.iterdir() if entry.name != LOCK_FILE), None)
        if taken is not None:
            raise RunError(
                f"the run's directory {str(self.path)!r} is not empty (it has {taken.name!r}), and "
                "nothing is overwritten; choose a new one with --run-dir, or go on with a run by "
                "--resume."
            )

    def _lock(self) -> None:
        """Take the directory for this object, as long as it lives."""
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process is at work in the run's directory {str(self.path)!r}; wait for "
                "it, or choose another with --run-dir."
            ) from error


def _best_epoch(history: History) -> int | None:
    """The epoch of the highest validation accuracy, or else of the lowest loss; None without."""
    for name, sign in (("val_acc", -1), ("val_loss", 1), ("train_loss", 1)):
        if history.get(name):
            values = [math.inf if math.isnan(value) else sign * value for value in history[name]]
            return values.index(min(values)) + 1
    return None


def new_run_path(parent: Path, name: str) -> Path:
    """A directory of its own for a run, made at once: `<name>-<date>-<time>`, in UTC.

    Raises:
        RunError: it can't be made.
    """
    stem = f"{name}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    number = 1
    while True:
        path = parent / (stem if number == 1 else f"{stem}-{number}")
        try:
            path.mkdir(parents=True)
        except FileExistsError:
            number += 1
        except OSError as error:
            raise RunError(
                f"the run's directory {str(path)!r} can't be made: {error.strerror}; "
                "choose another with --run-dir."
            ) from error
        else:
            return path


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape a run."""
    found = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            # Run from a checkout that is on the path but not installed.
            found[package] = "not installed"
    return found
