"""The loaders of a data module: data in memory, a `tf.data.Dataset`, or any iterable of batches."""

from __future__ import annotations

import contextlib
import itertools
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.batching import IndexedBatches
from pipelines.tensors import as_tensor, described
from tfd2l.common.errors import reason
from tfd2l.engine.errors import LoaderError

__all__ = ["Batch", "BatchesByIndex", "Reiterable", "as_batch", "batch_size_of", "batches_of",
           "count_batches", "example_of", "indexed", "loader_of", "skip_passes"]  # fmt: skip

Batch = tuple[Any, ...]


class Reiterable:
    """An iterator for one pass, such as a generator, and the source of the next iterator.

    Attributes:
        number: of the next pass, from 0.
    """

    def __init__(self, first: Iterator[Any], data: Any, again: Callable[[], Any]) -> None:
        """Give `first` to the first pass, and the result of `again()` to each later one."""
        self._first: Iterator[Any] | None = first
        self._data, self.again = data, again
        self.number = 0

    def __iter__(self) -> Iterator[Any]:
        """Begin a pass over the batches."""
        first, self._first = self._first, None
        number, self.number = self.number, self.number + 1
        # A generator asks for shuffled loaders, whose orders are those of the pass, when its first
        # batch is taken.
        with _orders(self._data, number):
            batches = iter(self.again()) if first is None else first
            begun = [*itertools.islice(batches, 1)]
        return itertools.chain(begun, batches)


class BatchesByIndex:
    """Batches by their index, as in a `keras.utils.PyDataset`, whose hooks run around a pass."""

    def __init__(self, source: Any) -> None:
        """Read from `source`.

        Raises:
            ValueError: a pass would never end.
        """
        self.source = source
        if getattr(source, "num_batches", 0) is None:
            raise ValueError(
                f"{type(source).__name__}.num_batches is None, so an epoch would never end; let it "
                "return the number of batches that make an epoch."
            )
        if getattr(source, "workers", 1) > 1 or getattr(source, "use_multiprocessing", False):
            warnings.warn(
                f"the trainer reads the batches of {type(source).__name__} one after the other, "
                "without its workers; tf.data.Dataset.map(..., num_parallel_calls=tf.data.AUTOTUNE)"
                " works in parallel.",
                stacklevel=2,
            )

    def __len__(self) -> int:
        """The number of batches in the next pass."""
        number = getattr(self.source, "num_batches", None)
        return len(self.source) if number is None else int(number)

    def __iter__(self) -> Iterator[Any]:
        """Make a pass over the batches."""
        self._call("on_epoch_begin")
        for index in range(len(self)):
            yield self.source[index]
        self._call("on_epoch_end")

    def skip_pass(self) -> None:
        """Move on to the next pass without reading a batch."""
        self._call("on_epoch_begin")
        self._call("on_epoch_end")

    def _call(self, hook: str) -> None:
        getattr(self.source, hook, lambda: None)()


def loader_of(data: Any, *, train: bool) -> Any:
    """Ask a data module for the loader of a fit, which begins with the module's first order.

    Returns:
        An object that can be iterated in every epoch; None without validation data.

    Raises:
        TypeError: the data module returns no iterable.
        ValueError: a pass would never end.
    """
    again = data.train_dataloader if train else data.val_dataloader
    with _orders(data, 0):
        loader = again()
    if loader is None and not train:
        return None
    if isinstance(loader, Iterator):
        return Reiterable(loader, data, again)
    by_index = hasattr(loader, "__getitem__") and (
        hasattr(loader, "__len__") or hasattr(loader, "num_batches")
    )
    # A PyDataset can be iterated as well, but then leaves its hooks out.
    if by_index and (not hasattr(loader, "__iter__") or hasattr(loader, "on_epoch_end")):
        return BatchesByIndex(loader)
    if not hasattr(loader, "__iter__") and not hasattr(loader, "__getitem__"):
        raise TypeError(
            f"the loader of {type(data).__name__} for train={train} is {described(loader)}; let "
            "get_dataloader(train) return an iterable of batches, e.g. "
            "return self.get_tensorloader((X, y), train)."
        )
    return loader


def indexed(loader: Any) -> IndexedBatches | None:
    """The examples in memory behind a loader; None for other kinds of loaders.

    Such a loader is not iterated: the batches are gathered inside the compiled loop.
    """
    found: IndexedBatches | None = getattr(loader, "indexed_batches", None)
    return found


def batches_of(loader: Any) -> Iterator[Batch]:
    """Yield the batches of one pass as tensors.

    Raises:
        LoaderError: TensorFlow can't read a batch, e.g. as a generator behind it has failed. An
            error of a loader in Python is raised as it is.
        TypeError: as `as_batch`.
    """
    batches = iter(loader)
    for number in itertools.count(1):
        try:
            batch = next(batches)
        except StopIteration:
            return
        except tf.errors.OpError as error:
            raise LoaderError(
                f"batch {number} of the data can't be read: {reason(error).rstrip('.')}."
            ) from None  # TensorFlow's error would print a second traceback, as text in its own
        yield as_batch(batch)


def as_batch(batch: Any) -> Batch:
    """The batch as a tuple of tensors, or of structures of tensors.

    Raises:
        TypeError: it is neither a tuple nor a list, or it is empty.
        ValueError: a part of it can't become a tensor.
    """
    if not isinstance(batch, tuple | list) or not batch:
        raise TypeError(
            f"a batch must be a tuple such as (inputs, targets); got {described(batch)}. For arrays"
            " in memory return self.get_tensorloader((X, y), train); a data set of dicts has "
            "dataset.map(lambda row: (row['image'], row['label']))."
        )
    return tuple(_structure(entry) for entry in batch)


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
    if isinstance(loader, BatchesByIndex):
        return as_batch(loader.source[0]) if len(loader) else None
    return None if isinstance(loader, Reiterable) else next(batches_of(loader), None)


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
    try:
        return len(loader)
    # PyTorch's loader of an IterableDataset has a __len__ that raises.
    except (TypeError, NotImplementedError):
        return None


def skip_passes(loader: Any, number: int) -> None:
    """Move a loader on to its pass after `number` passes."""
    if isinstance(loader, Reiterable):
        loader.number = number
    for _ in range(number):
        if isinstance(loader, tf.data.Dataset):
            # Each iteration that begins moves the data set on to its next order.
            iter(loader)
        elif isinstance(loader, BatchesByIndex):
            loader.skip_pass()


def _orders(data: Any, number: int) -> contextlib.AbstractContextManager[None]:
    """Give the shuffled loaders of a data module the orders of pass `number`."""
    # A data module need not be a DataModule.
    fixed: Any = getattr(data, "fixed_sequence", None)
    nothing: contextlib.AbstractContextManager[None] = contextlib.nullcontext()
    return nothing if fixed is None else fixed(number)


def _structure(entry: Any) -> Any:
    """The entry with tensors in place of arrays, tables and lists of numbers."""
    if isinstance(entry, dict):
        return {name: _structure(part) for name, part in entry.items()}
    if isinstance(entry, list | tuple) and all(
        isinstance(leaf, int | float | str | bytes | np.generic) for leaf in tf.nest.flatten(entry)
    ):
        return as_tensor(entry)
    return tf.nest.map_structure(as_tensor, entry)
