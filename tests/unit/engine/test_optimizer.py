"""Clipping, against numbers worked by hand, and the scaling of losses."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfd2l.book.optim import SGD
from tfd2l.engine.optimizer import clip_by_global_norm, scaled_loss, with_loss_scale


def test_clipping_scales_all_gradients_by_one_factor() -> None:
    # The joint norm of (3) and (0, 4) is 5; clipped to 1, each is a fifth of itself.
    clipped = clip_by_global_norm([tf.constant([3.0]), None, tf.constant([0.0, 4.0])], 1.0)
    first, none, last = clipped
    assert none is None
    assert first is not None
    assert last is not None
    np.testing.assert_allclose(first.numpy(), [0.6], rtol=1e-6)
    np.testing.assert_allclose(last.numpy(), [0.0, 0.8], rtol=1e-6)


def test_clipping_does_not_change_small_gradients() -> None:
    (same,) = clip_by_global_norm([tf.constant([3.0, 4.0])], 5.5)
    assert same is not None
    np.testing.assert_array_equal(same.numpy(), [3.0, 4.0])


@pytest.fixture
def half_precision() -> Iterator[None]:
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy("float32")


def test_in_float32_neither_the_optimizer_nor_the_loss_changes() -> None:
    loss = tf.constant(3.0)
    for optimizer in (SGD(0.1), keras.optimizers.SGD(0.1)):
        assert with_loss_scale(optimizer, gradient_clip_val=1) is optimizer
        assert float(scaled_loss(optimizer, loss)) == 3


@pytest.mark.usefixtures("half_precision")
def test_in_float16_the_loss_is_scaled_for_keras_optimizers_alone() -> None:
    wrapped = with_loss_scale(keras.optimizers.SGD(0.1))
    wrapped.build([keras.Variable([1.0])])
    # Keras' initial scale.
    assert float(scaled_loss(wrapped, tf.constant(3.0))) == 3 * 2**15
    assert with_loss_scale(wrapped) is wrapped
    scratch = SGD(0.1)
    assert with_loss_scale(scratch, gradient_clip_val=1) is scratch


@pytest.mark.usefixtures("half_precision")
def test_scaled_gradients_are_not_clipped() -> None:
    with pytest.raises(ValueError, match="gradient_clip_val=1 would clip .*global_clipnorm"):
        with_loss_scale(keras.optimizers.SGD(0.1), gradient_clip_val=1)
