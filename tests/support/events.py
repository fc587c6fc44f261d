"""Reads TensorBoard's events by TensorFlow's own reader, each as often as it is there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

__all__ = ["events_in", "scalars_in"]


def events_in(log_dir: Path) -> list[tuple[str, int, Any]]:
    """The values of all events below a directory: the run, the step, and the value's message."""
    return [
        (str(path.parent.relative_to(log_dir)), event.step, value)
        for path in sorted(log_dir.rglob("events.out.tfevents.*"))
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


def scalars_in(log_dir: Path) -> dict[tuple[str, str], list[tuple[int, float]]]:
    """The step and number of each event, in their order, by run and tag."""
    found: dict[tuple[str, str], list[tuple[int, float]]] = {}
    for run, step, value in events_in(log_dir):
        if value.metadata.plugin_data.plugin_name == "scalars":
            number = float(tf.make_ndarray(value.tensor))
            found.setdefault((run, value.tag), []).append((step, number))
    return found
