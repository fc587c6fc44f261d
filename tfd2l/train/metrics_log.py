"""Writes a run's history as `metrics.csv` and as events for TensorBoard."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pandas as pd
import tensorflow as tf
from tensorboard.plugins.scalar.summary_v2 import scalar_pb

from pipelines.basics.files import write_atomically
from tfd2l.engine.history import History
from tfd2l.train.records import RunError

__all__ = ["METRICS_FILE", "TENSORBOARD", "MetricsLog"]

METRICS_FILE, TENSORBOARD = "metrics.csv", "tensorboard"
# TensorFlow names a file of events by time, host, process and number, and appends this.
_SUFFIX = ".tfd2l.v2"
_OUR_EVENTS = re.compile(r"events\.out\.tfevents\.[0-9]+\..+\.[0-9]+\.[0-9]+\.tfd2l\.v2")


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
                # Events of other programs, and copies of ours, have other names.
                if _OUR_EVENTS.fullmatch(old.name):
                    old.unlink()
            self._writer = tf.summary.create_file_writer(str(folder), filename_suffix=_SUFFIX)
        epochs = history.get("epoch", [])
        for row in range(self._rows_written, len(epochs)):
            # Protos that are joined are one proto. An event costs more time than its values.
            summary = b"".join(
                scalar_pb(name, column[row]).SerializeToString()
                for name, column in history.items()
                if name != "epoch"
            )
            with self._writer.as_default(step=int(epochs[row])):
                tf.summary.experimental.write_raw_pb(summary)
        self._rows_written = len(epochs)
        self._writer.flush()
