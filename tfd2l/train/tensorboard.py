"""A run's history as events for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfd2l.engine.state import History

__all__ = ["Events"]


class Events:
    """Writes a history, as it grows, to a directory that TensorBoard reads."""

    def __init__(self, directory: Path) -> None:
        """Nothing is written yet."""
        self._directory = directory
        self._writer: Any = None
        self._written = 0

    def write(self, history: History) -> None:
        """Add the rows that are new; at first all of them, in place of the files that are there.

        A process that was killed between a checkpoint and its events, or went on from an earlier
        checkpoint than the last, has left too few of them or some twice.

        Raises:
            OSError, tf.errors.OpError: they can't be written.
        """
        if self._writer is None:
            for old in self._directory.glob("events.out.tfevents.*"):
                old.unlink()
            self._writer = tf.summary.create_file_writer(str(self._directory))
        epochs = history.get("epoch", [])
        for row in range(self._written, len(epochs)):
            with self._writer.as_default(step=int(epochs[row])):
                for name, column in history.items():
                    if name != "epoch":
                        tf.summary.scalar(name, column[row])
        self._written = len(epochs)
        self._writer.flush()
