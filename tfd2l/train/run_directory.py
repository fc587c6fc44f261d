"""A run's directory: its settings, metrics, TensorBoard events and checkpoints."""

from __future__ import annotations

import fcntl
import math
import os
import platform
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from pipelines.basics.files import is_temporary, remove_temporary_files, write_atomically
from tfd2l.book.trainer import Trainer
from tfd2l.engine.callback import Callback
from tfd2l.engine.checkpoint import (
    checkpoint_name,
    checkpoints,
    fault_of,
    prune,
    save_checkpoint,
)
from tfd2l.engine.history import History
from tfd2l.engine.step import Steps
from tfd2l.train.records import RECORD_FILE, RunError, read_record, write_record
from tfd2l.train.tensorboard import Events

KEEP_CHECKPOINTS, CHECKPOINTS, TENSORBOARD = 3, "checkpoints", "tensorboard"
LOCK_FILE, EXPORT_FILE, METRICS_FILE = ".lock", "export.json", "metrics.csv"
# Before the names of checkpoints that are none any more.
PASSED_OVER = "passed-over."
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
                    remove_temporary_files(directory)
                self._refuse_files_for_directories()
            else:
                # A process that was killed while it wrote its settings has left nothing else.
                remove_temporary_files(path, RECORD_FILE)
                self._refuse_content()
        except OSError as error:
            raise RunError(
                f"the run's directory {str(path)!r} can't be made or read: {error.strerror}; "
                "choose another with --run-dir."
            ) from error
        self._events = Events(path / TENSORBOARD)

    def write_config(self, settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Write `config.json`: settings, what data, which versions, when."""
        self.record = {
            "settings": settings,
            "data": data,
            "versions": versions(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
            # Of all runs anywhere, by which its exports are known.
            "id": uuid.uuid4().hex,
        }
        write_record(self.path, self.record)

    def change_settings(self, settings: Mapping[str, Any]) -> None:
        """Train on with other settings; what was finished with the old ones is so no longer."""
        (self.path / EXPORT_FILE).unlink(missing_ok=True)
        self.record = {**self.record, "settings": settings}
        write_record(self.path, self.record)

    def last_good_checkpoint(self, say: Callable[[str], object]) -> Path | None:
        """The latest checkpoint to go on from, None if there never was one.

        Those that are passed over, because they are damaged or their numbers are not finite, are
        renamed, so that they are in the way of none that follows.

        Args:
            say: given a line for each that is passed over.

        Raises:
            RunError: there are none to go on from, but there were.
        """
        found, passed_over = checkpoints(self.path / CHECKPOINTS), list[Path]()
        for path in found:
            fault = fault_of(path)
            if fault is None:
                for other in passed_over:
                    other.replace(other.with_name(f"{PASSED_OVER}{other.name}"))
                return path
            say(f"passed over: {fault}")
            passed_over.append(path)
        if found:
            raise RunError(
                f"a run goes on from a checkpoint that is whole; all {len(found)} in "
                f"{str(found[0].parent)!r} are damaged, or not finite. Put a copy of one back, or "
                "begin a new run."
            )
        if (self.path / METRICS_FILE).exists():
            raise RunError(
                f"a run goes on from a checkpoint; {str(self.path / CHECKPOINTS)!r} has none, "
                f"though {METRICS_FILE} is there, which comes after the first. Put a copy of one "
                "back, or begin a new run."
            )
        return None

    def keep(self, trainer: Trainer) -> None:
        """Write a checkpoint of the fit as it is now."""
        folder = self.path / CHECKPOINTS
        latest = save_checkpoint(folder, trainer.model, trainer.optim, trainer.state())
        spared, best = {latest.name}, _best_epoch(trainer.history)
        if best is not None:
            spared.add(checkpoint_name(best))
        prune(folder, KEEP_CHECKPOINTS, spared)

    def on_train_steps(self, trainer: Trainer, call: Sequence[Steps]) -> None:
        """Write a checkpoint, if it is time for one."""
        if self._every is not None and trainer.steps_of_epoch % self._every == 0:
            self.keep(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Bring checkpoints, metrics and events up to date."""
        # First what a resumed run starts from, then what it can write again.
        self.keep(trainer)
        self.write_metrics(trainer.history)
        self.write_events(trainer.history)

    def write_events(self, history: History) -> None:
        """Bring TensorBoard's events up to date.

        Raises:
            RunError: they can't be written.
        """
        try:
            self._events.write(history)
        except (tf.errors.OpError, OSError) as error:
            raise RunError(
                f"events for TensorBoard can't be written to {str(self.path / TENSORBOARD)!r} "
                f"({type(error).__name__}); make room, or remove what is in its place, and go on "
                f"with --resume {self.path}"
            ) from error

    def write_metrics(self, history: History) -> None:
        """Write `metrics.csv`."""
        if history:
            table = pd.DataFrame(history).astype({"epoch": int})
            write_atomically(self.path / METRICS_FILE, table.to_csv(index=False))

    def best_checkpoint(self, history: History) -> Path | None:
        """That of the epoch with the best validation, None if there is none."""
        best = _best_epoch(history)
        path = self.path / CHECKPOINTS / checkpoint_name(best or 0)
        return path if path.exists() else None

    def finish(self, export: Path, best: Path | None = None) -> None:
        """Note where the export is, and the best checkpoint; the run is finished."""
        note = {
            "export": str(export.absolute()),
            "best_checkpoint": None if best is None else str(best.relative_to(self.path)),
        }
        write_record(self.path, note, EXPORT_FILE)

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

    def _refuse_files_for_directories(self) -> None:
        for path in (self.path / CHECKPOINTS, self.path / TENSORBOARD):
            # Noticed when the first epoch is over, otherwise.
            if path.exists() and not path.is_dir():
                raise RunError(
                    f"{str(path)!r} must be a directory, and is a file; remove it, and put a copy "
                    "of the directory back if there is one."
                )

    def _refuse_content(self) -> None:
        entries = (e for e in self.path.iterdir() if not is_temporary(e, RECORD_FILE))
        taken = next((entry for entry in entries if entry.name != LOCK_FILE), None)
        if taken is not None:
            raise RunError(
                f"the run's directory {str(self.path)!r} is not empty (it has {taken.name!r}), and "
                "nothing is overwritten; choose a new one with --run-dir, or go on with a run by "
                "--resume."
            )

    def _lock(self) -> None:
        """Take the directory for this object, until it is closed or dies."""
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.close = weakref.finalize(self, os.close, lock)
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
    # TensorFlow comes under several names, such as tensorflow-cpu.
    found["tensorflow"] = str(tf.__version__)
    return found
