"""Batches examples in memory: shuffle -> batch -> map -> prefetch, the end of every pipeline.

`IndexedBatches` has two parts: the order of the examples in a pass, and the fetch of a batch by its
indices. `dataset()` makes an ordinary `tf.data.Dataset` of them. A training loop can instead take
the parts from the data set's attribute `indexed_batches` and gather the batches inside its own
compiled loop, which saves the transfer of every batch from `tf.data`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import MAX_INT32, whole_number
from pipelines.tensors import tensors_in_memory

__all__ = ["Batch", "IndexedBatches", "batched"]

Batch = tuple[tf.Tensor, ...]


def _unchanged(*arrays: tf.Tensor) -> Batch:
    return arrays


@dataclass(frozen=True, eq=False)
class IndexedBatches:
    """Examples in memory: the order of a pass, and the fetch of a batch.

    Attributes:
        arrays: tensors of any dtype with the examples on their first axis, (n, ...).
        batch_size: examples in a batch; the last batch of a pass may be smaller, but is not
            dropped.
        shuffle: give each pass an order of its own.
        seed: an integer; the order of a pass derives from it and from the number of the pass.
        prepare: maps the gathered arrays of one whole batch, e.g. to float32. It uses TensorFlow's
            operations, and no `if` or `for` over tensors.
    """

    # Without `repr`, errors would print the arrays.
    arrays: Batch = field(repr=False)
    batch_size: int
    shuffle: bool
    seed: int
    prepare: Callable[..., Batch] = _unchanged

    @property
    def num_examples(self) -> int:
        """Number of examples in a pass."""
        return int(self.arrays[0].shape[0])

    @property
    def num_full(self) -> int:
        """Number of batches with exactly `batch_size` examples in a pass."""
        return self.num_examples // self.batch_size

    @property
    def tail_size(self) -> int:
        """Number of examples in the smaller last batch; 0 if all batches are full."""
        return self.num_examples % self.batch_size

    @property
    def num_batches(self) -> int:
        """Number of batches in a pass, with the smaller last one."""
        return math.ceil(self.num_examples / self.batch_size)

    def order(self, epoch: int | tf.Tensor) -> tf.Tensor:
        """Return the indices of the examples in the order of pass `epoch`: (n,) int32.

        The order depends on the seed and on `epoch` alone, so that a pass can be repeated,
        resumed in the middle or split between workers.

        Args:
            epoch: number of the pass; an int or () integer.
        """
        indices = tf.range(self.num_examples)
        if not self.shuffle:
            return indices
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(epoch, tf.int64)])
        return tf.random.experimental.stateless_shuffle(indices, seed=seed)

    def fetch(self, indices: tf.Tensor) -> Batch:
        """Return the prepared batch of the examples at `indices`.

        Args:
            indices: (k,) int32 in [0, n).

        Returns:
            Tensors with k examples on their first axis, as `prepare` returns them.
        """
        return self.prepare(*(tf.gather(array, indices) for array in self.arrays))

    def on_current_device(self) -> IndexedBatches:
        """Return the same batches with their arrays, shapes and dtypes kept, on the current device.

        On the host nothing is copied.
        """
        return replace(self, arrays=tuple(tf.identity(array) for array in self.arrays))

    def dataset(self, sequence: int = 0) -> tf.data.Dataset:
        """Return the batches as a `tf.data.Dataset` that can be iterated any number of times.

        Its elements are tuples of tensors with k <= batch_size examples on their first axis, as
        `prepare` returns them. With `shuffle`, each iteration has a fresh order.

        Args:
            sequence: number of the sequence from which the iterations take their orders, at
                least 0; no order is in two of them.
        """
        # A random number for each iteration, derived from the seed, serves as number of the pass.
        # Each iteration draws numbers of its own, of which a sequence takes one.
        numbers = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True)
        indices = (
            (numbers.skip(sequence) if sequence else numbers)
            .take(1)
            .flat_map(
                do_not_convert(
                    lambda number: tf.data.Dataset.from_tensor_slices(self.order(number))
                )
            )
        )
        # Otherwise each iteration copies the arrays, as part of the graph that is optimized.
        options = tf.data.Options()
        options.experimental_optimization.apply_default_optimizations = False
        batches = (
            indices.batch(self.batch_size)
            .map(
                do_not_convert(self.fetch), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
            )
            .apply(tf.data.experimental.assert_cardinality(self.num_batches))
            .prefetch(tf.data.AUTOTUNE)
            .with_options(options)
        )
        batches.indexed_batches = self
        return batches


def batched(
    arrays: Any,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    sequence: int = 0,
    prepare: Callable[..., Batch] = _unchanged,
) -> tf.data.Dataset:
    """Make a `tf.data.Dataset` of batches from examples in memory.

    Args:
        arrays: a tuple or list of tensors, NumPy arrays, pandas tables or lists, of any dtype with
            the examples on their first axis, all (n, ...).
        batch_size: examples in a batch, at least 1; the last batch may be smaller.
        shuffle: give every pass over the data set a fresh order of the examples. Another call with
            the same seed and sequence begins again with the first order.
        seed: an integer; the same seed gives the same orders.
        sequence: a number of at least 0; data sets of one seed and different sequences have no
            order in common. A `DataModule` numbers its loaders this way.
        prepare: maps the arrays of one batch to the batch; called once a batch, in parallel. It
            uses TensorFlow's operations, and no `if` or `for` over tensors.

    Returns:
        A data set of tuples. Its attribute `indexed_batches` holds the examples; data sets that
        `take`, `map` and the like derive from it have no such attribute.

    Raises:
        TypeError: `arrays` is one array, or a dict of them.
        ValueError: no arrays, no examples, lengths that differ, other objects than numbers and
            texts, or a bad batch size, seed or sequence.

    Example:
        >>> X, y = np.arange(5.0), np.arange(5)
        >>> for batch in batched((X, y), batch_size=2, shuffle=False):
        ...     print([part.numpy().tolist() for part in batch])
        [[0.0, 1.0], [0, 1]]
        [[2.0, 3.0], [2, 3]]
        [[4.0], [4]]
    """
    batch_size = whole_number("batch_size", batch_size)
    seed = whole_number("seed", seed, minimum=-MAX_INT32)
    sequence = whole_number("sequence", sequence, minimum=0)
    # On the host: a GPU's memory may be too small for the whole data.
    with tf.device("/CPU:0"):
        tensors = tuple(tensors_in_memory(arrays))
    return IndexedBatches(tensors, batch_size, shuffle, seed, prepare).dataset(sequence)
