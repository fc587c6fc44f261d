"""Section 4.1: one-hot labels, softmax, cross-entropy and entropy, against hand numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


def test_a_one_hot_vector_has_a_one_at_the_class() -> None:
    np.testing.assert_array_equal(tf.one_hot([0, 2, 1], depth=3), [[1, 0, 0], [0, 0, 1], [0, 1, 0]])


def test_one_hot_of_a_class_out_of_range_is_all_zeros() -> None:
    np.testing.assert_array_equal(tf.one_hot([7, -1], depth=3), np.zeros((2, 3)))


def test_softmax_of_log_1_2_5_is_1_2_5_eighths() -> None:
    # Three float32 roundings of numbers below 1.
    np.testing.assert_allclose(
        d2l.softmax(tf.math.log([[1.0, 2.0, 5.0]])), [[1 / 8, 2 / 8, 5 / 8]], atol=1e-6
    )


def test_softmax_is_positive_sums_to_one_and_keeps_the_order() -> None:
    o = tf.random.normal((100, 6), stddev=4.0)
    y_hat = d2l.softmax(o).numpy()
    assert (y_hat > 0).all()
    # Six float32 terms, each rounded to 6e-8 of its size.
    np.testing.assert_allclose(y_hat.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_array_equal(np.argsort(y_hat, axis=1), np.argsort(o, axis=1))


def test_softmax_does_not_change_when_a_number_is_added_to_all_logits() -> None:
    o = tf.constant([[0.0, 1.0, 2.0]])
    # 1000 is added and subtracted exactly, so the two are the same computation.
    np.testing.assert_array_equal(d2l.softmax(o + 1000), d2l.softmax(o))


def test_the_plain_formula_overflows_where_the_librarys_does_not() -> None:
    large = tf.constant([[1000.0, 1001.0]])
    naive = tf.exp(large) / tf.reduce_sum(tf.exp(large), axis=1, keepdims=True)
    assert np.isnan(naive).all()
    assert np.isfinite(d2l.softmax(large)).all()


def test_cross_entropy_is_the_sum_with_a_one_hot_label() -> None:
    y, y_hat = tf.constant([0, 2]), tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    by_sum = -tf.reduce_sum(tf.one_hot(y, 3) * tf.math.log(y_hat), axis=1)
    # ln 10 and ln 2, rounded to float32.
    np.testing.assert_allclose(by_sum, [2.302585, 0.693147], atol=1e-6)
    assert float(d2l.cross_entropy(y_hat, y)) == pytest.approx(1.497866, abs=1e-6)


def test_the_gradient_of_the_loss_by_the_logits_is_softmax_less_one_hot() -> None:
    o, y = tf.Variable([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]]), tf.constant([1, 2])
    with tf.GradientTape() as tape:
        losses = d2l.cross_entropy_from_logits(o, y)
    wide = np.exp(np.array([[2.0, -1.0, 0.5], [0.0, 0.0, 0.0]]))
    expected = wide / wide.sum(axis=1, keepdims=True) - [[0, 1, 0], [0, 0, 1]]
    # A few float32 roundings of numbers up to 1.
    np.testing.assert_allclose(tape.gradient(losses, o), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("P", "nats"),
    [
        ([1.0, 0.0], 0.0),
        ([0.5, 0.5], math.log(2)),
        ([0.5, 0.25, 0.25], 1.5 * math.log(2)),
        ([0.1] * 10, math.log(10)),
    ],
)
def test_entropy_of_well_known_distributions(P: list[float], nats: float) -> None:
    # Ten float32 terms, each rounded to 1e-8.
    assert float(d2l.entropy(tf.constant(P))) == pytest.approx(nats, abs=1e-6)


def test_cross_entropy_is_lowest_at_the_distribution_itself() -> None:
    P = np.array([0.7, 0.3], np.float32)
    q = np.arange(0.01, 1, 0.01, dtype=np.float32)
    expected_surprise = -(P[0] * np.log(q) + P[1] * np.log(1 - q))
    assert q[expected_surprise.argmin()] == pytest.approx(0.7, abs=1e-6)  # a step is 0.01
    # Both are sums of two float32 numbers below 1.
    assert expected_surprise.min() == pytest.approx(float(d2l.entropy(tf.constant(P))), abs=1e-6)


def test_guessing_among_ten_classes_has_the_loss_log_10() -> None:
    losses = d2l.cross_entropy_from_logits(tf.zeros((4, 10)), tf.range(4))
    np.testing.assert_allclose(losses, 2.302585, atol=1e-6)  # rounded to float32
