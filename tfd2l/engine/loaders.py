"""What a data module's loaders are: data in memory, a `tf.data.Dataset`, or any iterable."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

Batch = tuple[Any, ...]


class IndexedBatches(Protocol):
    """Examples in memory: the order of a pass, and the fetch of a batch by its indices.

    `pipelines.batching` makes them. A loader that has one as its attribute `indexed_batches` is
    not iterated: the batches are gathered inside the compiled loop.
    """

    @property
    def batch_size(self) -> int:
        """Examples in a full batch."""

    @property
    def num_examples(self) -> int:
        """Examples in a pass."""

    @property
    def num_full(self) -> int:
        """Full batches in a pass."""

    @property
    def tail_size(self) -> int:
        """Examples in the smaller last batch, or 0."""

    @property
    def shuffle(self) -> bool:
        """Whether each pass has an order of its own."""

    def order(self, epoch: int) -> tf.Tensor:
        """Indices of the examples in pass `epoch`, (num_examples,) int32."""

    def fetch(self, indices: tf.Tensor) -> Batch:
        """The batch of the examples at `indices`, (k,) int32."""

    def on_current_device(self) -> IndexedBatches:
        """The same with its arrays on the current device."""


class Renewed:
    """An iterator that is good for one pass, such as a generator, and where to get the next one."""

    def __init__(self, first: Iterator[Any], again: Callable[[], Any]) -> None:
        """`first` is what there is now; each later pass asks `again()`."""
        self._first: Iterator[Any] | None = first
        self.again = again

    def __iter__(self) -> Iterator[Any]:
        """A pass over the batches."""
        first, self._first = self._first, None
        return iter(self.again()) if first is None else first


def renewed(loader: Any, again: Callable[[], Any]) -> Any:
    """The loader, if passes can be made over it again and again; or else one that asks anew."""
    return Renewed(loader, again) if isinstance(loader, Iterator) else loader


def indexed(loader: Any) -> IndexedBatches | None:
    """The examples in memory behind a loader; None for every other kind."""
    found: IndexedBatches | None = getattr(loader, "indexed_batches", None)
    return found


def as_batch(batch: Any) -> Batch:
    """The batch as a tuple, NumPy arrays in it as tensors."""
    return tuple(
        tf.nest.map_structure(
            lambda part: part if tf.is_tensor(part) else tf.convert_to_tensor(part), entry
        )
        for entry in batch
    )


@do_not_convert
def batch_size_of(batch: Batch) -> int:
    """Examples in a batch: the first axis of its targets."""
    shape = tf.nest.flatten(batch[-1])[0].shape
    return int(shape[0]) if shape.rank else 1


def example_of(loader: Any) -> Batch | None:
    """A batch to build layers with; None where there is none, or taking it would use it up."""
    examples = indexed(loader)
    if examples is not None:
        return examples.fetch(tf.constant([0]))
    batch = None if isinstance(loader, Renewed) else next(iter(loader), None)
    return None if batch is None else as_batch(batch)


def count_batches(loader: Any) -> int | None:
    """Batches in a pass over `loader`; None where it can't tell.

    Raises:
        ValueError: the passes would never end.
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
