"""Section 3.1: the model, one operation for a whole vector, the normal density, a step of SGD."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


def normal(x: np.ndarray, mu: float, sigma: float) -> np.ndarray:
    p = 1 / math.sqrt(2 * math.pi * sigma**2)
    density: np.ndarray = p * np.exp(-0.5 * (x - mu) ** 2 / sigma**2)
    return density


def test_a_prediction_is_a_weighted_sum_and_the_bias_is_added_to_every_row() -> None:
    X = tf.constant([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    prediction = tf.linalg.matvec(X, [2.0, -1.0]) + 0.5
    np.testing.assert_array_equal(prediction, [0.5, 2.5, 4.5])


def test_loop_vector_and_graph_give_the_same_sums() -> None:
    a, b = tf.range(100.0), tf.ones(100)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def one_by_one(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        c = tf.TensorArray(tf.float32, size=tf.size(a))
        for i in tf.range(tf.size(a)):
            c = c.write(i, a[i] + b[i])
        return c.stack()

    expected = np.arange(1.0, 101.0)
    np.testing.assert_array_equal(tf.stack([a[i] + b[i] for i in range(100)]), expected)
    np.testing.assert_array_equal(a + b, expected)
    np.testing.assert_array_equal(one_by_one(a, b), expected)


@pytest.mark.parametrize(("mu", "sigma"), [(0, 1), (0, 2), (3, 1)])
def test_the_densities_have_area_one_and_their_highest_point_at_the_mean(
    mu: float, sigma: float
) -> None:
    x = np.arange(mu - 8 * sigma, mu + 8 * sigma, 0.01)
    p = normal(x, mu, sigma)
    # Beyond eight deviations lies 1e-15; sums of a smooth curve converge as fast.
    assert p.sum() * 0.01 == pytest.approx(1, abs=1e-6)
    assert x[p.argmax()] == pytest.approx(mu, abs=0.01)
    assert p.max() == pytest.approx(0.398942 / sigma, abs=1e-5)


def test_the_three_curves_of_the_picture_are_drawn_with_their_names() -> None:
    x = np.arange(-7, 7, 0.01)
    params = [(0, 1), (0, 2), (3, 1)]
    axes = d2l.plot(
        x,
        [normal(x, mu, sigma) for mu, sigma in params],
        xlabel="x",
        ylabel="p(x)",
        figsize=(4.5, 2.5),
        legend=[f"mean {mu}, std {sigma}" for mu, sigma in params],
    )
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == [
        "mean 0, std 1",
        "mean 0, std 2",
        "mean 3, std 1",
    ]
    np.testing.assert_array_equal(axes.lines[2].get_ydata(), normal(x, 3, 1))


def test_the_likeliest_weight_under_normal_noise_is_that_of_least_squares() -> None:
    random = np.random.default_rng(0)
    x = random.normal(size=50)
    y = 2 * x + random.normal(scale=0.5, size=50)
    weights = np.linspace(1, 3, 401)
    errors = y - weights[:, None] * x
    log_likelihood = np.log(normal(errors, 0, 0.5)).sum(axis=1)
    assert log_likelihood.argmax() == (errors**2).sum(axis=1).argmin()
    # Only half the sum of squares over the variance depends on the weight.
    rest = -log_likelihood - (errors**2).sum(axis=1) / (2 * 0.5**2)
    np.testing.assert_allclose(rest, 50 * math.log(math.sqrt(2 * math.pi) * 0.5))


def test_a_step_of_sgd_on_three_examples_is_the_hand_worked_one() -> None:
    X, y = tf.constant([[1.0], [2.0], [3.0]]), tf.constant([2.0, 4.0, 6.0])
    w = tf.Variable([0.0])
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(d2l.squared_loss(tf.linalg.matvec(X, w), y))
    d2l.SGD(lr=0.1).apply_gradients([(tape.gradient(loss, w), w)])
    # (4 + 16 + 36) / 2 / 3; the gradient is -(2 + 8 + 18) / 3.
    assert float(loss) == pytest.approx(28 / 3, rel=1e-6)
    assert w.numpy() == pytest.approx(2.8 / 3, rel=1e-6)
