"""Section 5.1: why hidden layers need activations; the activations and their gradients."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

X = np.arange(-8.0, 8.0, 0.1)
# At 0 itself ReLU and pReLU have no derivative; another test is about the value used there.
SMOOTH = np.abs(X) > 1e-6


def prelu(x: tf.Tensor, a: float | tf.Variable = 0.25) -> tf.Tensor:
    return tf.maximum(0.0, x) + a * tf.minimum(x, 0.0)


def sigmoid(x: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-x)))


# The function in TensorFlow; it and its derivative by formula, in float64.
ACTIVATIONS: dict[str, tuple[Callable[..., tf.Tensor], np.ndarray, np.ndarray]] = {
    "relu": (tf.nn.relu, np.maximum(X, 0), (X > 0) * 1.0),
    "d2l.relu": (d2l.relu, np.maximum(X, 0), (X > 0) * 1.0),
    "sigmoid": (tf.sigmoid, sigmoid(X), sigmoid(X) * (1 - sigmoid(X))),
    "tanh": (tf.tanh, np.tanh(X), 1 - np.tanh(X) ** 2),
    "pReLU": (prelu, np.where(X > 0, X, 0.25 * X), np.where(X > 0, 1, 0.25)),
}


def value_and_gradient(
    function: Callable[..., tf.Tensor], x: tf.Tensor
) -> tuple[tf.Tensor, tf.Tensor]:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return y, tape.gradient(y, x)


def test_the_range_has_160_points_from_minus_8_to_just_below_8() -> None:
    x = tf.range(-8.0, 8.0, 0.1)
    assert x.shape == (160,)
    # float32 adds up 160 roundings of a step.
    np.testing.assert_allclose(x, X, atol=1e-5)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_an_activation_and_its_gradient_follow_their_formulas(name: str) -> None:
    function, value, derivative = ACTIVATIONS[name]
    y, gradient = value_and_gradient(function, tf.constant(X, tf.float32))
    # Numbers up to 8 in float32; and 1 - tanh^2 loses the digits that 1 can't hold.
    np.testing.assert_allclose(y, value, atol=1e-6)
    np.testing.assert_allclose(gradient[SMOOTH], derivative[SMOOTH], atol=1e-6)


def test_the_gradients_peak_at_a_quarter_and_at_one() -> None:
    zero = tf.constant(0.0)
    assert float(value_and_gradient(tf.sigmoid, zero)[1]) == 0.25
    assert float(value_and_gradient(tf.tanh, zero)[1]) == 1.0


def test_at_zero_relu_has_gradient_0_and_a_maximum_that_of_its_first_argument() -> None:
    zero = tf.constant(0.0)
    assert float(value_and_gradient(tf.nn.relu, zero)[1]) == 0
    assert float(value_and_gradient(lambda x: tf.maximum(x, 0.0), zero)[1]) == 1
    assert float(value_and_gradient(lambda x: tf.maximum(0.0, x), zero)[1]) == 0
    assert float(value_and_gradient(prelu, zero)[1]) == 0.25


def test_prelu_learns_its_share_from_the_negative_inputs() -> None:
    a = tf.Variable(0.25)
    with tf.GradientTape() as tape:
        y = prelu(tf.constant([-2.0, -1.0, 3.0]), a)
    np.testing.assert_array_equal(y, [-0.5, -0.25, 3.0])
    assert float(tape.gradient(y, a)) == -3  # -2 - 1


def test_tanh_is_a_sigmoid_in_other_units() -> None:
    x = tf.constant(X, tf.float32)
    # Numbers up to 2 in float32.
    np.testing.assert_allclose(tf.tanh(x) + 1, 2 * tf.sigmoid(2 * x), atol=1e-6)


def test_two_linear_layers_are_one() -> None:
    inputs, W1, W2 = (tf.random.normal(shape) for shape in ((5, 4), (4, 8), (8, 3)))
    b1, b2 = tf.random.normal((8,)), tf.random.normal((3,))
    two = (inputs @ W1 + b1) @ W2 + b2
    one = inputs @ (W1 @ W2) + (tf.linalg.matvec(W2, b1, transpose_a=True) + b2)
    # Sums of a dozen float32 products up to 10.
    np.testing.assert_allclose(one, two, atol=1e-5)


def test_two_hidden_units_compute_exclusive_or() -> None:
    inputs = tf.constant([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    H = d2l.relu(inputs @ tf.ones((2, 2)) + tf.constant([0.0, -1.0]))
    np.testing.assert_array_equal(H, [[0, 0], [1, 0], [1, 0], [2, 1]])
    np.testing.assert_array_equal(tf.linalg.matvec(H, [1.0, -2.0]), [0, 1, 1, 0])


def test_no_linear_model_computes_exclusive_or() -> None:
    inputs = np.array([[0, 0, 1], [0, 1, 1], [1, 0, 1], [1, 1, 1]])
    fitted = np.linalg.lstsq(inputs, np.array([0, 1, 1, 0]))[0]
    # The best in least squares says 1/2 to all four; float64 rounding.
    np.testing.assert_allclose(inputs @ fitted, 0.5, atol=1e-12)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_plots_show_the_gradient_over_the_range(name: str) -> None:
    x = tf.range(-8.0, 8.0, 0.1)
    _, gradient = value_and_gradient(ACTIVATIONS[name][0], x)
    axes = d2l.plot(x, gradient, "x", f"grad of {name}", figsize=(5, 2.5))
    [line] = axes.get_lines()
    np.testing.assert_array_equal(line.get_xdata(), x)
    np.testing.assert_array_equal(line.get_ydata(), gradient)
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", f"grad of {name}")
