"""Clipping, against numbers worked by hand, and the scaling of losses."""

from __future__ import annotations

from collections.abc import Iterator

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfd2l.book.optim import SGD
from tfd2l.engine.optimizer import (
    apply_gradients,
    build_for,
    clip_by_global_norm,
    finalize,
    scaled_loss,
    with_loss_scale,
)


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


def test_gradients_that_the_optimizer_scales_by_a_fixed_factor_are_not_clipped_either() -> None:
    with pytest.raises(ValueError, match="gradient_clip_val=1 would clip"):
        with_loss_scale(keras.optimizers.SGD(0.1, loss_scale_factor=8.0), gradient_clip_val=1)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.1, momentum=0.9),
    "adam": lambda: keras.optimizers.Adam(0.1, amsgrad=True),
    "accumulating": lambda: keras.optimizers.Adam(0.1, gradient_accumulation_steps=2),
    "adafactor": lambda: keras.optimizers.Adafactor(0.1),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.1, momentum=0.5, centered=True),
    "schedule-free": lambda: keras.optimizers.ScheduleFreeAdamW(0.1),
    "multi": lambda: keras.optimizers.MultiOptimizer(
        keras.optimizers.OptimizerMap(keras.optimizers.Adam(0.1))
    ),
    "nadam": lambda: keras.optimizers.Nadam(0.1),
    "scaling": lambda: keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(0.1), 8.0),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_an_optimizer_keeps_its_state_when_it_meets_more_variables(name: str) -> None:
    # Both of one name and shape, as variables of scratch models are.
    first, second = (keras.Variable([[1.0, 2.0]], name="w") for _ in range(2))
    alone = keras.Variable([[1.0, 2.0]], name="w")
    met, other = OPTIMIZERS[name](), OPTIMIZERS[name]()
    gradients = [tf.constant([[float(n), 1.0]]) for n in range(1, 7)]
    build_for(met, [first])
    for gradient in gradients[:3]:
        met.apply([gradient], [first])
    build_for(met, [second, first])
    for gradient in gradients[3:]:
        met.apply([gradient, gradient], [first, second])
    for gradient in gradients:
        other.apply([gradient], [alone])
    np.testing.assert_array_equal(first, alone)
    assert not np.array_equal(second, [[1.0, 2.0]])
    # The state is the same, in the same order, as if it had been built for both at once.
    fresh = OPTIMIZERS[name]()
    build_for(fresh, [first, second])
    shapes = [v.shape for v in fresh.variables]
    assert [v.shape for v in met.variables] == shapes


def test_the_moving_average_of_a_variable_begins_at_its_value_when_it_is_met() -> None:
    first, second = keras.Variable([1.0]), keras.Variable([3.0])
    optimizer = keras.optimizers.SGD(0.1, use_ema=True, ema_momentum=0.5)
    build_for(optimizer, [first])
    optimizer.apply([tf.constant([10.0])], [first])
    build_for(optimizer, [first, second])
    optimizer.apply([tf.constant([0.0]), tf.constant([0.0])], [first, second])
    finalize(optimizer)
    np.testing.assert_allclose([first.numpy(), second.numpy()], [[0.0], [3.0]], atol=1e-7)


def test_constraints_of_layers_hold_with_any_optimizer() -> None:
    for optimizer in (SGD(1.0), keras.optimizers.SGD(1.0)):
        variable = keras.Variable([1.0, 1.0])
        variable.constraint = keras.constraints.NonNeg()
        apply_gradients(optimizer, [tf.constant([3.0, 0.5])], [variable])
        np.testing.assert_array_equal(variable, [0.0, 0.5])
