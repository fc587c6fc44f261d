"""tfd2l/book/functional.py against numbers worked by hand, or against NumPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from tfd2l.book import functional

LOGITS = arrays(np.float32, (3, 4), elements=st.floats(-1000, 1000, width=32))


def test_relu_keeps_positive_numbers() -> None:
    np.testing.assert_array_equal(functional.relu(tf.constant([-2.0, 0.0, 3.5])), [0, 0, 3.5])


def test_softmax_of_a_hand_worked_row() -> None:
    # exp(0) : exp(ln 2) : exp(ln 5) = 1 : 2 : 5
    row = tf.math.log([[1.0, 2.0, 5.0]])
    # Three float32 roundings of numbers below 1.
    np.testing.assert_allclose(functional.softmax(row), [[0.125, 0.25, 0.625]], atol=1e-6)


@given(LOGITS)
def test_softmax_rows_sum_to_one_however_large_the_logits(logits: np.ndarray) -> None:
    probabilities = functional.softmax(tf.constant(logits)).numpy()
    assert np.isfinite(probabilities).all()
    # Four float32 terms, each rounded to 6e-8 of its size.
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_cross_entropy_of_the_books_example() -> None:
    y_hat = tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    loss = functional.cross_entropy(y_hat, tf.constant([0, 2]))
    # -(ln 0.1 + ln 0.5) / 2 = (2.302585 + 0.693147) / 2
    assert float(loss) == pytest.approx(1.497866, abs=1e-6)


@given(LOGITS)
def test_cross_entropy_from_logits_is_log_sum_exp_less_the_true_logit(logits: np.ndarray) -> None:
    y = np.array([0, 3, 1])
    wide = logits.astype(np.float64)
    top = wide.max(axis=1)
    expected = np.log(np.exp(wide - top[:, None]).sum(axis=1)) + top - wide[range(3), y]
    losses = functional.cross_entropy_from_logits(tf.constant(logits), tf.constant(y))
    # Differences of numbers up to 2000 in float32 are exact to 2000 * 6e-8 = 1.2e-4.
    np.testing.assert_allclose(losses, expected, atol=2e-4)


def test_squared_loss_is_half_the_square() -> None:
    losses = functional.squared_loss(tf.constant([[3.0], [1.0]]), tf.constant([[1.0], [1.0]]))
    np.testing.assert_array_equal(losses, [[2.0], [0.0]])


def test_squared_loss_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(2, 1\) and \(2,\).*tf\.reshape"):
        functional.squared_loss(tf.ones((2, 1)), tf.ones(2))


def test_entropy_is_largest_for_the_uniform_and_zero_for_a_sure_outcome() -> None:
    p = tf.constant([[0.25] * 4, [0.0, 1.0, 0.0, 0.0]])
    np.testing.assert_allclose(functional.entropy(p), [math.log(4), 0.0], atol=1e-6)


def test_accuracy_counts_rows_whose_top_score_is_true() -> None:
    scores = tf.constant([[0.1, 0.9], [0.8, 0.2], [0.6, 0.4]])
    y = tf.constant([1, 0, 1])
    assert float(functional.accuracy(scores, y)) == pytest.approx(2 / 3)
    np.testing.assert_array_equal(functional.accuracy(scores, y, averaged=False), [1, 1, 0])


@pytest.mark.parametrize(
    "measure",
    [functional.cross_entropy, functional.cross_entropy_from_logits, functional.accuracy],
)
def test_scores_and_class_ids_of_different_lengths_are_refused(measure: object) -> None:
    with pytest.raises(ValueError, match=r"\(n, q\).*\(2, 3\) and \(4,\)"):
        measure(tf.ones((2, 3)), tf.constant([0, 1, 2, 0]))  # type: ignore[operator]
    with pytest.raises(ValueError, match=r"got \(3,\)"):
        measure(tf.ones(3), tf.constant([0, 1, 2]))  # type: ignore[operator]


def test_the_gradient_of_softmax_is_the_hand_worked_one() -> None:
    # For p = softmax(x), dp_0/dx = p_0 (e_0 - p): here p = (1/4, 3/4).
    x = tf.Variable(tf.math.log([[1.0, 3.0]]))
    with tf.GradientTape() as tape:
        first = functional.softmax(x)[0, 0]
    np.testing.assert_allclose(tape.gradient(first, x), [[3 / 16, -3 / 16]], atol=1e-7)


def test_relu_has_gradient_0_up_to_0_and_1_above() -> None:
    x = tf.Variable([-1.0, 0.0, 2.0])
    with tf.GradientTape() as tape:
        y = functional.relu(x)
    np.testing.assert_array_equal(tape.gradient(y, x), [0, 0, 1])


def test_dropout_keeps_the_mean_by_scaling_the_kept_numbers() -> None:
    dropped = functional.dropout_layer(tf.ones((400, 500)), 0.2).numpy()
    assert {*np.unique(dropped)} == {np.float32(0), np.float32(1.25)}
    # 200,000 draws: the share of zeros has a standard deviation of 0.0009; five of them.
    assert (dropped == 0).mean() == pytest.approx(0.2, abs=0.0045)


def test_dropout_of_0_and_of_1() -> None:
    X = tf.constant([[1.0, -2.0]])
    np.testing.assert_array_equal(functional.dropout_layer(X, 0), X)
    np.testing.assert_array_equal(functional.dropout_layer(X, 1), [[0, 0]])


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.int32, np.int64])
def test_class_ids_of_any_integers_count_the_same(dtype: type) -> None:
    Y_hat, y = tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]]), tf.constant(np.array([0, 2], dtype))
    # The book's own example.
    assert float(functional.cross_entropy(Y_hat, y)) == pytest.approx(1.4979, abs=1e-4)
    assert float(functional.accuracy(Y_hat, y)) == 0.5
    assert functional.cross_entropy_from_logits(Y_hat, y).shape == (2,)


@pytest.mark.parametrize("dtype", [np.float32, np.bool_])
def test_class_ids_must_be_integers(dtype: type) -> None:
    y = tf.constant(np.array([0, 1], dtype))
    for function in (functional.cross_entropy, functional.accuracy):
        with pytest.raises(ValueError, match=r"must be integers.*got (float32|bool).*tf.cast"):
            function(tf.ones((2, 3)), y)


def test_examples_are_flattened_one_by_one() -> None:
    assert functional.flattened(tf.ones((2, 2, 3, 1)), 6).shape == (2, 6)
    # An array of NumPy's own type, as a Keras layer takes it.
    rows = functional.flattened(np.arange(8.0).reshape(2, 2, 2), 4)
    assert (rows.shape, rows.dtype) == ((2, 4), tf.float32)
    # A reshape alone would make three examples of these two.
    with pytest.raises(
        ValueError, match=r"num_inputs=4 numbers; got 6, in inputs of shape \(2, 6\)"
    ):
        functional.flattened(tf.ones((2, 6)), 4)
    with pytest.raises(ValueError, match="must be float32; got uint8. Scale them"):
        functional.flattened(tf.ones((2, 4), tf.uint8), 4)


@pytest.mark.parametrize("dropout", [-0.1, 1.5, float("nan")])
def test_dropout_is_a_probability(dropout: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1; got .* It is a probability"):
        functional.dropout_layer(tf.ones(2), dropout)


def test_the_l2_penalty_is_half_the_sum_of_squares() -> None:
    assert float(functional.l2_penalty(tf.constant([3.0, 4.0]))) == 12.5


def test_cross_correlation_of_the_books_example() -> None:
    X = tf.reshape(tf.range(9.0), (3, 3))
    K = tf.reshape(tf.range(4.0), (2, 2))
    np.testing.assert_array_equal(functional.corr2d(X, K), [[19, 25], [37, 43]])


def test_a_kernel_larger_than_the_image_is_refused() -> None:
    with pytest.raises(ValueError, match=r"K \(h, w\), no larger; got shapes \(2, 3\) and \(3, 2"):
        functional.corr2d(tf.ones((2, 3)), tf.ones((3, 2)))


def test_arrays_and_lists_are_taken_as_tensors_are() -> None:
    Y_hat, Y = np.array([[0.1, 0.9], [0.5, 0.5]], np.float32), np.array([1, 0])
    for make in (np.asarray, np.ndarray.tolist):
        examples: Any = (make(Y_hat), make(Y))
        # -(ln 0.9 + ln 0.5) / 2
        assert float(functional.cross_entropy(*examples)) == pytest.approx(0.399254, abs=1e-6)
        assert float(functional.accuracy(*examples)) == 1.0
        assert functional.cross_entropy_from_logits(*examples).shape == (2,)
        assert float(functional.squared_loss(examples[0], examples[0])[0, 0]) == 0.0


def test_targets_of_another_dtype_are_refused_with_the_cast() -> None:
    with pytest.raises(ValueError, match=r"got float32 and float64\. Do: tf\.cast\(y"):
        functional.squared_loss(tf.zeros(2), tf.zeros(2, tf.float64))
