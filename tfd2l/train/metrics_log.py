"""Writes a run's history as `metrics.csv` and as events for TensorBoard."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf

from pipelines.basics.files import write_atomically
from tfd2l.engine.state import History
from tfd2l.train.records import RunError

__all__ = ["METRICS_FILE", "TENSORBOARD", "MetricsLog"]

METRICS_FILE, TENSORBOARD = "metrics.csv", "tensorboard"


class MetricsLog:
    """Writes the history of a run, as it grows, to the run's directory."""

    def __init__(self, run_path: Path) -> None:
        """Write below `run_path`; nothing is written yet."""
        self._path = run_path
        self._writer: Any = None
        self._rows_written = 0

    def write(self, history: History) -> None:
        """Bring both forms up to date.

        Raises:
            RunError: TensorBoard's events can't be written.
            OSError: `metrics.csv` can't be written.
        """
        self.write_table(history)
        folder = self._path / TENSORBOARD
        try:
            self._write_events(history, folder)
        except (tf.errors.OpError, OSError) as error:
            raise RunError(
                f"events for TensorBoard can't be written to {str(folder)!r} "
                f"({type(error).__name__}); make room, or remove the file in its place, and "
                f"resume with --resume {shlex.quote(str(self._path))}"
            ) from error

    def write_table(self, history: History) -> None:
        """Write `metrics.csv`, with a row for each epoch; without epochs nothing is written."""
        if history:
            table = pd.DataFrame(history).astype({"epoch": int})
            write_atomically(self._path / METRICS_FILE, table.to_csv(index=False))

    def _write_events(self, history: History, folder: Path) -> None:
        """Add events for the new rows; the first call replaces all events that are there.

        A process that was killed between a checkpoint and its events has left too few events, and
        one that resumed from an earlier checkpoint than the last has left some twice.
        """
        if self._writer is None:
            for old in folder.glob("events.out.tfevents.*"):
                old.unlink()
            self._writer = tf.summary.create_file_writer(str(folder))
        epochs = history.get("epoch", [])
        for row in range(self._rows_written, len(epochs)):
            with self._writer.as_default(step=int(epochs[row])):
                for name, column in history.items():
                    if name != "epoch":
                        tf.summary.scalar(name, column[row])
        self._rows_written = len(epochs)
        self._writer.flush()
