"""A run's directory: its settings, metrics, checkpoints and, in the end, where its export is."""

from __future__ import annotations

import fcntl
import math
import os
import uuid
import weakref
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pipelines.basics.files import is_temporary, remove_temporary_files
from pipelines.basics.text import shown
from tfd2l.book.trainer import Trainer
from tfd2l.common.packages import package_versions
from tfd2l.engine.callback import Callback, StepResults
from tfd2l.engine.checkpoint import (
    checkpoint_name,
    checkpoints,
    explain_damage,
    is_checkpoint,
    prune,
    save_checkpoint,
)
from tfd2l.engine.history import History
from tfd2l.train.metrics_log import METRICS_FILE, TENSORBOARD, write_metrics
from tfd2l.train.records import RECORD_FILE, RunError, read_record, write_record

__all__ = ["CHECKPOINTS", "EXPORT_FILE", "KEEP_CHECKPOINTS", "RunDirectory", "new_run_path"]

KEEP_CHECKPOINTS = 3
CHECKPOINTS, LOCK_FILE, EXPORT_FILE = "checkpoints", ".lock", "export.json"
# Begins the names of checkpoints from which no run resumes.
PASSED_OVER = "passed-over."


class RunDirectory(Callback):
    """Keeps what a run produces, and brings it up to date after every epoch.

    `config.json` has settings, versions and data, `metrics.csv` a row for each epoch, and
    `checkpoints/` the last few and the best epoch's. One process at a time uses the directory.

    Attributes:
        path: the directory.
        record: what `config.json` has.
    """

    def __init__(
        self, path: Path, resume: bool = False, checkpoint_every: int | None = None
    ) -> None:
        """Make or reopen a directory, and lock it.

        Args:
            path: new or empty; with `resume`, the directory of a run.
            resume: reopen the directory of a run.
            checkpoint_every: also write a checkpoint after so many steps within an epoch.

        Raises:
            RunError: the directory has other files, is used by another process, or can't be made.
        """
        self.path = path
        self._every = checkpoint_every
        if resume:
            self.record = read_record(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            if not resume:
                # Also before the lock, whose file would be new in a directory of other files.
                self._refuse_content()
            self._lock()
            if resume:
                for directory in (path, path / CHECKPOINTS):
                    remove_temporary_files(directory)
                self._refuse_files_for_directories()
            else:
                # A process that was killed while it wrote its settings has left only this file.
                remove_temporary_files(path, RECORD_FILE)
                self._refuse_content()
        except OSError as error:
            raise RunError(
                f"the run's directory {str(path)!r} can't be made or read: {error.strerror}; "
                "choose another with --run-dir."
            ) from error

    def keep_settings(
        self,
        settings: Mapping[str, Any],
        data: Mapping[str, Any],
        changes: Mapping[str, Any] | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> None:
        """Write `config.json`: settings, data, versions, time and origin.

        Args:
            settings: all settings of the run.
            data: name, seed, source and hashes of the data.
            changes: for a resumed run, the settings that differ from before. Any change makes a
                finished run unfinished.
            origin: facts about the command and the program, from `records.origin`.
        """
        if changes is None:
            self.record = {
                **(origin or {}),
                "settings": settings,
                "data": data,
                "versions": package_versions(),
                "started": datetime.now(UTC).isoformat(timespec="seconds"),
                # Unique among all runs anywhere: the exports of the run are recognized by it.
                "id": uuid.uuid4().hex,
            }
        elif changes:
            (self.path / EXPORT_FILE).unlink(missing_ok=True)
            self.record = {**self.record, "settings": settings}
        else:
            return
        write_record(self.path, self.record)

    def last_good_checkpoint(self, say: Callable[[str], object]) -> Path | None:
        """The latest checkpoint that a run can resume from, None if there never was one.

        Later checkpoints, which are damaged or not finite, are renamed, so that the resumed run can
        write checkpoints of the same names.

        Args:
            say: called with a line for each checkpoint that is passed over.

        Raises:
            RunError: all checkpoints are unusable, or all are gone.
        """
        found = checkpoints(self.path / CHECKPOINTS)
        self._say_foreign(say)
        passed_over: list[Path] = []
        for path in found:
            fault = explain_damage(path)
            if fault is None:
                for other in passed_over:
                    other.replace(other.with_name(f"{PASSED_OVER}{other.name}"))
                return path
            say(f"passed over: {fault}")
            passed_over.append(path)
        if found:
            raise RunError(
                f"a run resumes from a checkpoint that is whole; all {len(found)} in "
                f"{str(found[0].parent)!r} are damaged, or not finite. Put a copy of one back, or "
                "begin a new run."
            )
        if (self.path / METRICS_FILE).exists():
            raise RunError(
                f"a run resumes from a checkpoint; {str(self.path / CHECKPOINTS)!r} has none, "
                f"though {METRICS_FILE} is there, which is written after the first checkpoint. Put "
                "a copy of one back, or begin a new run."
            )
        return None

    def keep(self, trainer: Trainer) -> None:
        """Write a checkpoint of the fit in its present state, and delete old ones."""
        folder = self.path / CHECKPOINTS
        latest = save_checkpoint(folder, trainer.model, trainer.optim, trainer.state_dict())
        self.prune(trainer.history, latest)

    def prune(self, history: History, latest: Path | None = None) -> None:
        """Delete all checkpoints but the last few, the best epoch's and the latest."""
        spared = set() if latest is None else {latest.name}
        best = _best_epoch(history)
        if best is not None:
            spared.add(checkpoint_name(best))
        prune(self.path / CHECKPOINTS, KEEP_CHECKPOINTS, spared)

    def on_train_batches_end(self, trainer: Trainer, results: Sequence[StepResults]) -> None:
        """Write a checkpoint after each multiple of `checkpoint_every` steps."""
        if self._every is not None and trainer.steps_of_epoch % self._every == 0:
            self.keep(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write the epoch's checkpoint and metrics, if it is an epoch to keep."""
        epoch = trainer.state.epoch
        if not _is_kept(epoch) and epoch < trainer.max_epochs:
            return
        # The checkpoint first: a resumed run can write the metrics again from it.
        self.keep(trainer)
        write_metrics(self.path, trainer.history)

    def best_checkpoint(self, history: History) -> Path | None:
        """The checkpoint of the epoch with the best validation; None before the first."""
        best = _best_epoch(history)
        path = self.path / CHECKPOINTS / checkpoint_name(best or 0)
        return path if path.exists() else None

    def finish(self, conclusion: Mapping[str, Any], best: Path | None = None) -> None:
        """Record the end of the run, which makes it a finished one.

        Args:
            conclusion: JSON values; `export` is the published version's directory, or None.
            best: the best epoch's checkpoint.
        """
        note = {
            **conclusion,
            "best_checkpoint": None if best is None else str(best.relative_to(self.path)),
        }
        write_record(self.path, note, EXPORT_FILE)

    @property
    def conclusion(self) -> dict[str, Any] | None:
        """The record of the end of a finished run; None if the run is not finished.

        Raises:
            RunError: the record of it is damaged.
        """
        path = self.path / EXPORT_FILE
        if not path.exists():
            return None
        try:
            found = read_record(self.path, EXPORT_FILE)
            if not isinstance(found["export"], str | None):
                raise RunError(f"export is {shown(found['export'])}")
        except (RunError, KeyError) as error:
            raise RunError(
                f"{str(path)!r}, which names the finished run's export, is damaged. Remove it, and "
                "--resume publishes the export again."
            ) from error
        return found

    def _refuse_files_for_directories(self) -> None:
        for path in (self.path / CHECKPOINTS, self.path / TENSORBOARD):
            # Without this check, the end of the first epoch would fail.
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
                "nothing is overwritten; choose a new one with --run-dir, or resume a run with "
                "--resume."
            )

    def _say_foreign(self, say: Callable[[str], object]) -> None:
        folder = self.path / CHECKPOINTS
        names = [path.name for path in folder.glob("[!.]*")]
        if foreign := [n for n in names if not is_checkpoint(n.removeprefix(PASSED_OVER))]:
            named = shown(sorted(foreign))
            say(f"not of this run, so neither used nor removed: {named} in {folder}")

    def _lock(self) -> None:
        """Lock the directory until this object is closed or its process ends."""
        lock = os.open(self.path / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.close = weakref.finalize(self, os.close, lock)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise RunError(
                f"another process uses the run's directory {str(self.path)!r}; wait for its end, "
                "or choose another directory with --run-dir."
            ) from error


def _best_epoch(history: History) -> int | None:
    """The kept epoch of the highest validation accuracy, or else of the lowest loss, if any."""
    for name, sign in (("val_acc", -1), ("val_loss", 1), ("train_loss", 1)):
        if history.get(name):
            values = {
                epoch: math.inf if math.isnan(value) else sign * value
                for epoch, value in enumerate(history[name], 1)
                if _is_kept(epoch)
            }
            return min(values, key=values.__getitem__)
    return None


def _is_kept(epoch: int) -> bool:
    """True for the first thousand epochs, every second of the next thousand, and so on.

    Checkpoint and metrics have a row for each epoch. Written after each, they would cost time that
    grows with the square of the number of epochs.
    """
    return epoch % (1 + epoch // 1000) == 0


def new_run_path(parent: Path, name: str) -> Path:
    """Make a new directory for a run, named `<name>-<date>-<time>` in UTC; a long name is cut.

    Raises:
        RunError: it can't be made.
    """
    # Names of files have at most 255 characters.
    stem = f"{name[:200]}-{datetime.now(UTC):%Y%m%d-%H%M%S}"
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
