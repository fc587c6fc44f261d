"""The one tail of every pipeline in memory: shuffle -> batch -> map -> prefetch.

A pass over the data is a pair: the order of its examples, and the fetch of a batch by its
indices. Iterated, the pair is an ordinary `tf.data.Dataset`. A training loop that finds it, as the
data set's attribute `indexed_batches`, can gather the batches inside its own compiled loop instead,
which saves the hand-over of every batch from `tf.data`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import MAX_INT32, whole_number

Batch = tuple[tf.Tensor, ...]


def _as_they_are(*arrays: tf.Tensor) -> Batch:
    return arrays


@dataclass(frozen=True, eq=False)
class IndexedBatches:
    """Examples in memory, as the order of a pass and the fetch of a batch.

    Attributes:
        arrays: tensors with the examples on their first axis, (n, ...).
        batch_size: examples in a batch; the last batch of a pass is smaller, never dropped.
        shuffle: whether each pass has an order of its own.
        seed: what the orders derive from, together with the number of the pass.
        prepare: maps the gathered arrays of one whole batch, e.g. to float32; made of TensorFlow's
            operations, without Python's `if` and `for` over tensors.
    """

    # Not in the text of errors: arrays are long.
    arrays: Batch = field(repr=False)
    batch_size: int
    shuffle: bool
    seed: int
    prepare: Callable[..., Batch] = _as_they_are

    @property
    def num_examples(self) -> int:
        """Examples in a pass."""
        return int(self.arrays[0].shape[0])

    @property
    def num_full(self) -> int:
        """Batches of exactly `batch_size` examples in a pass."""
        return self.num_examples // self.batch_size

    @property
    def tail_size(self) -> int:
        """Examples in the smaller last batch; 0 when there is none."""
        return self.num_examples % self.batch_size

    @property
    def num_batches(self) -> int:
        """Batches in a pass, the smaller last one included."""
        return self.num_full + (self.tail_size > 0)

    def order(self, epoch: int | tf.Tensor) -> tf.Tensor:
        """Indices of the examples in the order of pass `epoch`: (n,) int32.

        The order depends on the seed and on `epoch` alone, so that a pass can be repeated,
        resumed in the middle or split between workers.
        """
        indices = tf.range(self.num_examples)
        if not self.shuffle:
            return indices
        seed = tf.stack([tf.cast(self.seed, tf.int64), tf.cast(epoch, tf.int64)])
        return tf.random.experimental.stateless_shuffle(indices, seed=seed)

    def fetch(self, indices: tf.Tensor) -> Batch:
        """The prepared batch of the examples at `indices`, (k,) int32."""
        return self.prepare(*(tf.gather(array, indices) for array in self.arrays))

    def on_current_device(self) -> IndexedBatches:
        """The same with the arrays on the device that is current; on the host nothing is copied."""
        return replace(self, arrays=tuple(tf.identity(array) for array in self.arrays))

    def dataset(self) -> tf.data.Dataset:
        """The batches as a data set that can be iterated again and again.

        Each iteration of a shuffled one is a pass with a fresh order.
        """
        # One number an iteration, derived from the seed, stands in for the number of the pass.
        passes = tf.data.Dataset.random(seed=self.seed, rerandomize_each_iteration=True).take(1)
        indices = passes.flat_map(
            do_not_convert(lambda number: tf.data.Dataset.from_tensor_slices(self.order(number)))
        )
        batches = (
            indices.batch(self.batch_size)
            .map(
                do_not_convert(self.fetch), num_parallel_calls=tf.data.AUTOTUNE, deterministic=True
            )
            .apply(tf.data.experimental.assert_cardinality(self.num_batches))
            .prefetch(tf.data.AUTOTUNE)
        )
        batches.indexed_batches = self
        return batches


def batched(
    arrays: Sequence[Any],
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    prepare: Callable[..., Batch] = _as_they_are,
) -> tf.data.Dataset:
    """Batches of examples that lie in memory, as a `tf.data.Dataset`.

    Args:
        arrays: tensors or NumPy arrays with the examples on their first axis, all (n, ...).
        batch_size: examples in a batch, at least 1; the last batch may be smaller.
        shuffle: give every pass a fresh order of the examples.
        seed: an integer; the same seed gives the same orders.
        prepare: maps the arrays of one batch to the batch; called once a batch, in parallel; made
            of TensorFlow's operations, without Python's `if` and `for` over tensors.

    Returns:
        A data set of tuples. As it stands, its attribute `indexed_batches` has the examples
        behind it; what `take`, `map` and the like derive from it is an ordinary data set.

    Raises:
        ValueError: no arrays, no examples, lengths that differ, or a bad batch size or seed.
    """
    batch_size = whole_number("batch_size", batch_size)
    seed = whole_number("seed", seed, minimum=-MAX_INT32)
    # On the host: a data set of any size then stays out of a GPU's memory until it is asked for.
    with tf.device("/CPU:0"):
        tensors = tuple(tf.convert_to_tensor(array) for array in arrays)
    lengths = [tensor.shape[0] if tensor.shape.rank else None for tensor in tensors]
    if not tensors or None in lengths or len(set(lengths)) > 1 or lengths[0] == 0:
        raise ValueError(
            "the arrays need one length, at least 1, on their first axis; "
            f"got shapes {[tuple(tensor.shape) for tensor in tensors]}."
        )
    return IndexedBatches(tensors, batch_size, shuffle, seed, prepare).dataset()
