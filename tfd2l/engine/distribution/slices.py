"""The slice of a batch that each replica gets."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfd2l.engine.loaders import Batch, batch_size_of

__all__ = ["in_replica", "slice_of"]


def slice_of(batch: Batch, number: int, count: int) -> tuple[Batch, float]:
    """The slice of replica `number` of `count`, and its share of the batch's examples.

    Slices follow each other in the order of the batch, and their sizes differ by one at most. A
    replica without an example gets the first one, with a share of 0: it takes part in each sum.

    Args:
        batch: a structure of tensors (n, ...); those of shape () go to every replica.
        number: from 0.
        count: the number of replicas.

    Raises:
        ValueError: another first axis than that of the targets.

    Example:
        >>> [slice_of((tf.range(3),), i, 2)[0][0].numpy().tolist() for i in range(2)]
        [[0, 1], [2]]
    """
    total = batch_size_of(batch)
    size, more = divmod(total, count)
    start = number * size + min(number, more)
    size += number < more
    share = size / max(total, 1)
    if not size:
        start, size = 0, min(total, 1)

    def cut(part: Any) -> Any:
        if part.shape.rank == 0:
            return part
        if part.shape[0] != total:
            raise ValueError(
                f"several devices share a batch by its first axis, of {total} targets; got a part "
                f"of shape {part.shape}. Let each part have one entry for each target."
            )
        if isinstance(part, tf.SparseTensor):
            rest = tf.shape(part, tf.int64)[1:]
            begin, sizes = [tf.concat([[n], r], 0) for n, r in ((start, 0 * rest), (size, rest))]
            return tf.sparse.slice(part, begin, sizes)
        return part[start : start + size]

    slices: Batch = tf.nest.map_structure(cut, batch)
    return slices, share


def in_replica() -> bool:
    """Return True within the step of a replica."""
    return tf.distribute.has_strategy() and not tf.distribute.in_cross_replica_context()
