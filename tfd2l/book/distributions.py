"""The distribution of section 2.6, without tensorflow-probability, which does not support Keras 3.

`from tfd2l import distributions as tfd` replaces the book's import of tensorflow-probability.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number

__all__ = ["Multinomial"]


class Multinomial:
    """Counts of each of q outcomes in a number of independent draws.

    Example:
        >>> from tfd2l import distributions as tfd
        >>> fair_coin = tfd.Multinomial(total_count=100, probs=[0.5, 0.5])
        >>> counts = fair_coin.sample()
        >>> counts.shape, float(tf.reduce_sum(counts))
        (TensorShape([2]), 100.0)

    Source: D2L 2.6.1.
    """

    def __init__(self, total_count: int, probs: Any) -> None:
        """Check and normalize the probabilities.

        Args:
            total_count: draws, at least 1.
            probs: (q,) float, the outcomes' probabilities; they are divided by their sum.

        Raises:
            ValueError: `total_count` is below 1, or `probs` are not probabilities.
        """
        values = np.asarray(probs, np.float32)
        if values.ndim != 1 or not (values >= 0).all() or not 0 < values.sum() < np.inf:
            raise ValueError(
                f"probs must be (q,), finite, at least 0, not all 0; got {values.tolist()!r}."
            )
        # tensorflow-probability requires a float, so book code may pass 10.0.
        if isinstance(total_count, float | np.floating) and float(total_count).is_integer():
            total_count = int(total_count)
        self.total_count = whole_number("total_count", total_count)
        self.probs = tf.constant(values / values.sum())

    def sample(self, sample_shape: SupportsIndex | Sequence[SupportsIndex] = ()) -> tf.Tensor:
        """Draw samples.

        Args:
            sample_shape: sizes of at least 0, or one such size.

        Returns:
            sample_shape + (q,) float32 counts; those of each sample sum to `total_count`.

        Raises:
            ValueError: a size is below 0.
        """
        sizes = [sample_shape] if isinstance(sample_shape, SupportsIndex) else sample_shape
        shape = tuple(map(operator.index, sizes))
        if min(shape, default=0) < 0:
            raise ValueError(f"sample_shape has sizes of at least 0; got {sample_shape!r}.")
        outcomes, samples = int(self.probs.shape[0]), math.prod(shape)
        draws = tf.random.categorical(
            tf.math.log(self.probs)[tf.newaxis], samples * self.total_count, dtype=tf.int32
        )
        draws = tf.reshape(draws, (samples, self.total_count))
        counts = tf.math.bincount(draws, minlength=outcomes, maxlength=outcomes, axis=-1)
        return tf.reshape(tf.cast(counts, tf.float32), (*shape, outcomes))

    def mean(self) -> tf.Tensor:
        """Return the expected counts, (q,) float32."""
        return self.total_count * self.probs
