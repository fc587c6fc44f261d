"""Writes files of events for TensorBoard, and recognizes those that it wrote."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tensorflow as tf
from tensorboard.compat.proto.event_pb2 import Event
from tensorboard.compat.proto.summary_pb2 import Summary
from tensorboard.compat.proto.tensor_pb2 import TensorProto
from tensorboard.compat.proto.types_pb2 import DT_FLOAT, DT_STRING
from tensorboard.plugins.image import metadata as image_metadata
from tensorboard.plugins.scalar import metadata as scalar_metadata

__all__ = ["EventFile", "image_summary", "remove_event_files", "scalar_summary"]

# As TensorFlow names such files, by time, host, process and number, and with an ending of our own.
_NAME = "events.out.tfevents.{time:.0f}.{host}.{process}.{number}.tfd2l.v2"
_OURS = re.compile(r"events\.out\.tfevents\.[0-9]+\..+\.[0-9]+\.[0-9]+\.tfd2l\.v2")
_numbers = itertools.count()
_SCALAR = scalar_metadata.create_summary_metadata(display_name=None, description=None)
_IMAGE = image_metadata.create_summary_metadata(display_name=None, description=None)


class EventFile:
    """A new file of events in a folder, which TensorBoard shows as a run."""

    def __init__(self, folder: Path) -> None:
        """Make the folder, and a file in it.

        Raises:
            OSError: they can't be written.
        """
        self._folder = folder
        name = _NAME.format(
            time=time.time(), host=socket.gethostname(), process=os.getpid(), number=next(_numbers)
        )
        with self._explained():
            folder.mkdir(parents=True, exist_ok=True)
            self._writer = tf.io.TFRecordWriter(str(folder / name))
        self._add(Event(wall_time=time.time(), file_version="brain.Event:2"))

    def add(self, summaries: Sequence[tuple[int, Summary]]) -> None:
        """Append summaries, each with its step, and have them on disk.

        Raises:
            OSError: they can't be written.
        """
        now = time.time()
        self._add(*(Event(wall_time=now, step=step, summary=each) for step, each in summaries))

    def close(self) -> None:
        """Close the file."""
        with self._explained():
            self._writer.close()

    def _add(self, *events: Event) -> None:
        with self._explained():
            for event in events:
                self._writer.write(event.SerializeToString())
            # To the operating system, which keeps it if this process is killed.
            self._writer.flush()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except (tf.errors.OpError, OSError) as error:
            raise OSError(
                f"events for TensorBoard can't be written to {str(self._folder)!r} "
                f"({type(error).__name__}); make room, or remove the file in its place."
            ) from error


def remove_event_files(folder: Path) -> None:
    """Remove the files that EventFile wrote; those of other programs, and copies, stay."""
    for path in folder.glob("events.out.tfevents.*"):
        if _OURS.fullmatch(path.name):
            path.unlink()


def scalar_summary(values: Mapping[str, float]) -> Summary:
    """A summary of numbers by tag."""
    summary = Summary()
    for tag, value in values.items():
        # tensorboard's own scalar_pb takes five times as long.
        tensor = TensorProto(dtype=DT_FLOAT, float_val=[value], tensor_shape={})
        summary.value.add(tag=tag, tensor=tensor, metadata=_SCALAR)
    return summary


def image_summary(tag: str, png: bytes) -> Summary:
    """A summary of an image, which is shown as it is encoded."""
    # The header of a PNG has its width and height in these bytes.
    width, height = (str(int.from_bytes(png[at : at + 4], "big")).encode() for at in (16, 20))
    tensor = TensorProto(
        dtype=DT_STRING, string_val=[width, height, png], tensor_shape={"dim": [{"size": 3}]}
    )
    summary = Summary()
    summary.value.add(tag=tag, tensor=tensor, metadata=_IMAGE)
    return summary
