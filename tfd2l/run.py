"""A run's directory: its settings, metrics, TensorBoard events and checkpoints."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from tfd2l.callback import Callback
from tfd2l.checkpoint import prune, save_checkpoint
from tfd2l.trainer import Trainer

KEEP_CHECKPOINTS = 3
PACKAGES = ("tfd2l", "tensorflow", "keras", "numpy", "pandas")


class RunError(ValueError):
    """A run's directory can't be used."""


class RunDirectory(Callback):
    """Keeps what a run produces, up to date after every epoch.

    `config.json` (settings, versions, data), `metrics.csv` (a line an epoch), `tensorboard/`
    (the same as events) and `checkpoints/` (the last few epochs).
    """

    def __init__(self, path: Path) -> None:
        """Take a new or empty directory into use.

        Raises:
            RunError: something is in it already, or it can't be made.
        """
        try:
            path.mkdir(parents=True, exist_ok=True)
            taken = next(path.iterdir(), None)
        except OSError as error:
            raise RunError(
                f"the run's directory {str(path)!r} can't be made or read: {error.strerror}; "
                "choose another with --run-dir."
            ) from error
        if taken is not None:
            raise RunError(
                f"the run's directory {str(path)!r} is not empty (it has {taken.name!r}), and "
                "nothing is overwritten; choose a new one with --run-dir."
            )
        self.path = path
        self._events = tf.summary.create_file_writer(str(path / "tensorboard"))

    def write_config(self, settings: Mapping[str, Any], data: Mapping[str, Any]) -> None:
        """Write `config.json`: settings, what data, which versions, when."""
        record = {
            "settings": settings,
            "data": data,
            "versions": versions(),
            "started": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        write_whole(self.path / "config.json", json.dumps(record, indent=2) + "\n")

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Bring metrics, events and checkpoints up to date."""
        table = pd.DataFrame(trainer.history).astype({"epoch": int})
        write_whole(self.path / "metrics.csv", table.to_csv(index=False))
        epoch = trainer.epoch + 1
        with self._events.as_default(step=epoch):
            for name, value in row.items():
                if name != "epoch":
                    tf.summary.scalar(name, value)
        self._events.flush()
        checkpoints = self.path / "checkpoints"
        save_checkpoint(checkpoints, trainer.model, trainer.optim, epoch)
        prune(checkpoints, KEEP_CHECKPOINTS)


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


def write_whole(path: Path, text: str) -> None:
    """Write a text file so that it is there whole or not at all, also after a crash."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
