"""The loaders of a data module: data in memory, a `tf.data.Dataset`, or any iterable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.batching import IndexedBatches

__all__ = ["Batch", "Reiterable", "as_batch", "batch_size_of", "count_batches", "example_of",
           "indexed", "reiterable", "skip_passes"]  # fmt: skip

Batch = tuple[Any, ...]


class Reiterable:
    """An iterator for one pass, such as a generator, and the source of the next iterator."""

    def __init__(self, first: Iterator[Any], again: Callable[[], Any]) -> None:
        """Give `first` to the first pass, and the result of `again()` to each later one."""
        self._first: Iterator[Any] | None = first
        self.again = again

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass over the batches."""
        first, self._first = self._first, None
        return iter(self.again()) if first is None else first


def reiterable(loader: Any, again: Callable[[], Any]) -> Any:
    """The loader itself, or a Reiterable around a loader that is good for one pass only."""
    return Reiterable(loader, again) if isinstance(loader, Iterator) else loader


def indexed(loader: Any) -> IndexedBatches | None:
    """The examples in memory behind a loader; None for other kinds of loaders.

    Such a loader is not iterated: the batches are gathered inside the compiled loop.
    """
    found: IndexedBatches | None = getattr(loader, "indexed_batches", None)
    return found


def as_batch(batch: Any) -> Batch:
    """The batch as a tuple of tensors, or of structures of tensors."""
    return tuple(
        tf.nest.map_structure(
            lambda part: part if tf.is_tensor(part) else tf.convert_to_tensor(part), entry
        )
        for entry in batch
    )


@do_not_convert
def batch_size_of(batch: Batch) -> int:
    """The number of examples in a batch: the first axis of its targets."""
    shape = tf.nest.flatten(batch[-1])[0].shape
    return int(shape[0]) if shape.rank else 1


def example_of(loader: Any) -> Batch | None:
    """A batch to build layers with; None where there is none, or taking one would use it up."""
    examples = indexed(loader)
    if examples is not None:
        return examples.fetch(tf.constant([0]))
    batch = None if isinstance(loader, Reiterable) else next(iter(loader), None)
    return None if batch is None else as_batch(batch)


def count_batches(loader: Any) -> int | None:
    """The number of batches in a pass over `loader`; None where the loader does not know.

    Raises:
        ValueError: a pass would never end.
    """
    if isinstance(loader, tf.data.Dataset):
        count = int(loader.cardinality())
        if count == tf.data.INFINITE_CARDINALITY:
            raise ValueError(
                "the data set repeats without end, so an epoch of it would too; "
                "say how many batches make an epoch, e.g. dataset.take(100)."
            )
        return None if count == tf.data.UNKNOWN_CARDINALITY else count
    return len(loader) if hasattr(loader, "__len__") else None


def skip_passes(loader: Any, number: int) -> None:
    """Move a data set on to the order of its pass after `number` passes."""
    if isinstance(loader, tf.data.Dataset):
        # Each iteration that begins moves the data set on to its next order.
        for _ in range(number):
            iter(loader)
