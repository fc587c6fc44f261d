"""tfd2l/book/optim.py: the scratch optimizer, by hand arithmetic."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfd2l.book.optim import SGD, learning_rate


def test_sgd_subtracts_lr_times_the_gradient_in_place() -> None:
    w, b = tf.Variable([[1.0], [2.0]]), tf.Variable([3.0])
    SGD(0.5).apply_gradients([(tf.constant([[2.0], [-4.0]]), w), (None, b)])
    np.testing.assert_array_equal(w, [[0.0], [4.0]])
    np.testing.assert_array_equal(b, [3.0])


@pytest.mark.parametrize("lr", [0, -0.1, float("nan")])
def test_sgd_refuses_a_rate_that_is_not_above_zero(lr: float) -> None:
    with pytest.raises(ValueError, match="above 0; got"):
        SGD(lr)


@pytest.mark.parametrize("lr", [0.5, np.float64(0.5), np.float32(0.5), tf.constant(0.5)])
def test_a_rate_may_be_a_number_of_any_library(lr: Any) -> None:
    w = tf.Variable([1.0])
    SGD(lr).apply_gradients([(tf.constant([1.0]), w)])
    np.testing.assert_array_equal(w, [0.5])


@pytest.mark.parametrize("lr", [tf.Variable(0.5), keras.Variable(0.5)])
def test_a_rate_that_is_a_variable_is_read_at_each_step(lr: Any) -> None:
    w = tf.Variable([1.0])
    sgd = SGD(lr)
    assert sgd.lr is lr
    lr.assign(0.25)
    sgd.apply_gradients([(tf.constant([1.0]), w)])
    np.testing.assert_array_equal(w, [0.75])


def test_a_schedule_is_accepted_but_sgd_from_scratch_refuses_it() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    assert learning_rate(schedule) is schedule
    with pytest.raises(ValueError, match=r"got the schedule ExponentialDecay.*optimizers.SGD"):
        SGD(schedule)
