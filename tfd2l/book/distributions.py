"""Random numbers of section 2.6, without tensorflow-probability (which has none for Keras 3).

`from tfd2l import distributions as tfd` stands in for the book's import of it.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, SupportsIndex

import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number


class Multinomial:
    """How often each of q outcomes comes up in a number of independent draws.

    Source: D2L 2.6.1.
    """

    def __init__(self, total_count: int, probs: Any) -> None:
        """Set up.

        Args:
            total_count: draws, at least 1.
            probs: (q,) float, the outcomes' probabilities; they are divided by their sum.

        Raises:
            ValueError: a number of draws below 1, or probabilities that are none.
        """
        values = np.asarray(probs, np.float32)
        if values.ndim != 1 or not (values >= 0).all() or not 0 < values.sum() < np.inf:
            raise ValueError(
                f"probs must be (q,), finite, none below 0, not all 0; got {values.tolist()!r}."
            )
        # tensorflow-probability wants it as a float, so 10.0 is a whole number here.
        if isinstance(total_count, float | np.floating) and float(total_count).is_integer():
            total_count = int(total_count)
        self.total_count = whole_number("total_count", total_count)
        self.probs = tf.constant(values / values.sum())

    def sample(self, sample_shape: SupportsIndex | Sequence[SupportsIndex] = ()) -> tf.Tensor:
        """Draw: sample_shape + (q,) float32 counts, which sum to `total_count` each.

        Raises:
            ValueError: a size below 0.
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
        """The expected counts, (q,) float32."""
        return self.total_count * self.probs
