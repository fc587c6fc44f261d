"""Takes the batches of a stream in groups of one kind, which one compiled call can run."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import tensorflow as tf

from tfd2l.engine.loaders import Batch
from tfd2l.engine.passes.calls import CALL_S
from tfd2l.engine.tracing.step import spec_of

__all__ = ["Group", "Groups", "Kind", "one_ahead"]


@dataclass(frozen=True)
class Kind:
    """The kind of a batch: batches of one kind can be stacked.

    Attributes:
        key: shapes and dtypes, in the order of `tf.nest.flatten`.
        dense: all parts are ordinary tensors, neither ragged nor sparse.
    """

    key: tuple[Any, ...]
    dense: bool

    @classmethod
    def of(cls, batch: Batch) -> Kind:
        """The kind of a batch."""
        key = tuple(tf.nest.flatten(spec_of(batch)))
        return cls(key, all(isinstance(spec, tf.TensorSpec) for spec in key))

    @property
    def size_bytes(self) -> int:
        """Bytes of a dense batch, at least 1."""
        return max(
            1, sum(int(spec.shape.num_elements()) * int(spec.dtype.size) for spec in self.key)
        )


@dataclass
class Group:
    """Batches of one kind, which follow each other.

    Attributes:
        kind: the kind of all of them.
        batches: the batches in their order, at least one.
        fast: XLA may compile their steps.
        singly: no compiled loop can run their steps.
    """

    kind: Kind
    batches: list[Batch]
    fast: bool
    singly: bool
    _stack: tuple[int, Batch] | None = field(default=None, repr=False)

    def stack(self, length: int) -> Batch:
        """The batches along a new first axis, the last one filling it up to `length`."""
        if self._stack is None or self._stack[0] != length:
            batches = [*self.batches, *self.batches[-1:] * (length - len(self.batches))]
            parts = tf.nest.map_structure(lambda *parts: tf.stack(parts), *batches)
            self._stack = length, parts
        return self._stack[1]


class Groups:
    """The batches of one pass, in groups of one kind and in their order.

    An error of the stream is raised after the batches before it were given away.
    """

    def __init__(self, batches: Iterator[Batch], *, patient: bool = False) -> None:
        """Take the batches of an iterator; a patient one waits for a slow stream."""
        self._patient = patient
        self._batches = batches
        self._waiting: list[tuple[Batch, Kind]] = []
        self._error: Exception | None = None
        self._ended = False
        self._asked_s = 0.0

    def skip(self, count: int) -> None:
        """Leave out the next batches, or those that there are."""
        for _ in range(count):
            if not self._see(1):
                return
            self._waiting.pop(0)

    def alike(self) -> Kind | None:
        """The kind of the next two batches; None if it is not the same or there is only one."""
        if not self._see(2):
            return None
        (_, first), (_, second) = self._waiting[:2]
        return first if first == second else None

    def kind(self) -> Kind | None:
        """The kind of the next batch; None at the end."""
        self._asked_s = time.monotonic()
        return self._waiting[0][1] if self._see(1) else None

    def take(self, most: int) -> list[Batch]:
        """Take the batch after `kind()` and those of its kind that follow, `most` altogether.

        `CALL_S` seconds after `kind()` was called, take those that came until then: a slow stream
        is not waited for.
        """
        batch, kind = self._waiting.pop(0)
        group = [batch]
        while (
            len(group) < most
            and (self._patient or time.monotonic() - self._asked_s < CALL_S)
            and self._see(1, tolerant=True)
            and self._waiting[0][1] == kind
        ):
            group.append(self._waiting.pop(0)[0])
        return group

    def _see(self, count: int, tolerant: bool = False) -> bool:
        """Read until `count` batches wait; False if there are fewer.

        An error that is met is raised at once, or later if `tolerant` or if batches wait.
        """
        while len(self._waiting) < count and not self._ended:
            try:
                batch = next(self._batches)
                self._waiting.append((batch, Kind.of(batch)))
            except StopIteration:
                self._ended = True
            except Exception as error:
                self._ended, self._error = True, error
        if self._error is not None and not self._waiting and not tolerant:
            raise self._error
        return len(self._waiting) >= count


def one_ahead(groups: Generator[Group | None]) -> Iterator[Group]:
    """Yield the groups before None; a thread prepares each while the one before is in use.

    What the iterator does after None is not waited for.
    """
    thread = ThreadPoolExecutor(1, thread_name_prefix="stream")
    coming = thread.submit(next, groups)
    try:
        while (group := coming.result()) is not None:
            coming = thread.submit(next, groups)
            yield group
    finally:
        coming.cancel()
        # An interpreter that is about to end takes no more work.
        with contextlib.suppress(RuntimeError):
            thread.submit(groups.close)
        thread.shutdown(wait=False)
