"""TensorBoard's events: all rows of the history, in order, each once."""

from __future__ import annotations

from pathlib import Path

import pytest
import tensorflow as tf

from tfd2l.engine.history import History
from tfd2l.train.metrics_log import MetricsLog

HISTORY = History(epoch=[1.0, 2.0, 3.0], val_loss=[0.5, 0.25, 0.125], seconds=[3.0, 2.0, 1.0])


def first(rows: int) -> History:
    return History({name: column[:rows] for name, column in HISTORY.items()})


def logged(directory: Path) -> list[tuple[int, str, float]]:
    return [
        (event.step, value.tag, float(tf.make_ndarray(value.tensor)))
        for path in sorted((directory / "tensorboard").iterdir())
        for event in tf.compat.v1.train.summary_iterator(str(path))
        for value in event.summary.value
    ]


EXPECTED = [
    (1, "val_loss", 0.5), (1, "seconds", 3.0),
    (2, "val_loss", 0.25), (2, "seconds", 2.0),
    (3, "val_loss", 0.125), (3, "seconds", 1.0),
]  # fmt: skip


def test_each_row_is_written_once_though_the_history_is_written_again(tmp_path: Path) -> None:
    events = MetricsLog(tmp_path)
    for rows in (1, 2, 2, 3):
        events.write(first(rows))
    assert logged(tmp_path) == EXPECTED


@pytest.mark.parametrize("rows", [0, 1, 3])
def test_the_events_of_another_process_are_replaced_by_the_whole_history(
    rows: int, tmp_path: Path
) -> None:
    # Too few events, if the process was killed before it wrote them; too many, if the run resumes
    # from an earlier checkpoint.
    MetricsLog(tmp_path).write(first(rows))
    # Events of other programs, and a copy of ours.
    [ours] = (tmp_path / "tensorboard").iterdir()
    foreign = ["notes", "events.out.tfevents.1.host.1.0.v2", f"{ours.name}.mybest"]
    for name in foreign:
        (tmp_path / "tensorboard" / name).touch()
    events = MetricsLog(tmp_path)
    events.write(first(2))
    events.write(HISTORY)
    for name in foreign:
        (tmp_path / "tensorboard" / name).unlink()
    assert logged(tmp_path) == EXPECTED
