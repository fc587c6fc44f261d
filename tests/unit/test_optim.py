"""The scratch optimizer and clipping, by hand arithmetic."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from tfd2l.optim import SGD, clip_by_global_norm


def test_sgd_subtracts_lr_times_the_gradient_in_place() -> None:
    w, b = tf.Variable([[1.0], [2.0]]), tf.Variable([3.0])
    SGD(0.5).apply_gradients([(tf.constant([[2.0], [-4.0]]), w), (None, b)])
    np.testing.assert_array_equal(w, [[0.0], [4.0]])
    np.testing.assert_array_equal(b, [3.0])


@pytest.mark.parametrize("lr", [0, -0.1, float("nan")])
def test_sgd_refuses_a_rate_that_is_not_above_zero(lr: float) -> None:
    with pytest.raises(ValueError, match="above 0; got"):
        SGD(lr)


def test_clipping_scales_all_gradients_by_one_factor() -> None:
    # The joint norm of (3) and (0, 4) is 5; clipped to 1, each is a fifth of itself.
    clipped = clip_by_global_norm([tf.constant([3.0]), None, tf.constant([0.0, 4.0])], 1.0)
    first, none, last = clipped
    assert none is None
    assert first is not None
    assert last is not None
    np.testing.assert_allclose(first.numpy(), [0.6], rtol=1e-6)
    np.testing.assert_allclose(last.numpy(), [0.0, 0.8], rtol=1e-6)


def test_clipping_leaves_small_gradients_alone() -> None:
    (same,) = clip_by_global_norm([tf.constant([3.0, 4.0])], 5.5)
    assert same is not None
    np.testing.assert_array_equal(same.numpy(), [3.0, 4.0])
