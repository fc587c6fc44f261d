"""tfd2l/book/distributions.py: counts, their moments, and errors."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfd2l.book import distributions as tfd

FAIR = tf.ones(2) / 2


@pytest.mark.parametrize(
    ("sample_shape", "expected"),
    [
        ((), (2,)),
        (5, (5, 2)),
        (np.int64(5), (5, 2)),
        (tf.constant(5), (5, 2)),
        ((5,), (5, 2)),
        ([3, 4], (3, 4, 2)),
        (tf.TensorShape([3, 4]), (3, 4, 2)),
        (0, (0, 2)),
        ((3, 0), (3, 0, 2)),
    ],
)
def test_a_sample_has_the_given_shape_and_counts_every_draw(
    sample_shape: Any, expected: tuple[int, ...]
) -> None:
    counts = tfd.Multinomial(7, FAIR).sample(sample_shape)
    assert counts.dtype == tf.float32
    assert tuple(counts.shape) == expected
    np.testing.assert_array_equal(tf.reduce_sum(counts, axis=-1), np.full(expected[:-1], 7))
    assert (counts.numpy() >= 0).all()


def test_a_single_draw_is_a_one_at_its_outcome() -> None:
    counts = tfd.Multinomial(1, [0.2, 0.3, 0.5]).sample(10_000).numpy()
    np.testing.assert_array_equal(np.sort(counts, axis=1), np.tile([0, 0, 1], (10_000, 1)))
    # Five standard deviations of a share of 10,000: 5 * sqrt(0.25 / 10,000) = 0.025 at most.
    np.testing.assert_allclose(counts.mean(axis=0), [0.2, 0.3, 0.5], atol=0.025)


def test_heads_in_three_tosses_have_binomial_frequencies() -> None:
    heads = tfd.Multinomial(3, FAIR).sample(40_000)[:, 0].numpy().astype(int)
    shares = np.bincount(heads, minlength=4) / 40_000
    # Binomial coefficients over 2^3; five deviations: 5 * sqrt(3/8 * 5/8 / 40,000) = 0.012.
    np.testing.assert_allclose(shares, [1 / 8, 3 / 8, 3 / 8, 1 / 8], atol=0.012)


def test_counts_vary_as_the_formula_says() -> None:
    p, n = np.array([0.1, 0.3, 0.6]), 50
    counts = tfd.Multinomial(n, p).sample(40_000).numpy()
    np.testing.assert_allclose(counts.mean(axis=0), n * p, atol=0.1)
    # n (diag(p) - p p^T), up to 12. The deviation of an estimate from 40,000 samples is near
    # 12 * sqrt(2 / 40,000) = 0.085; five of them.
    expected = n * (np.diag(p) - np.outer(p, p))
    np.testing.assert_allclose(np.cov(counts, rowvar=False), expected, atol=0.43)


def test_samples_are_independent_of_each_other() -> None:
    heads = tfd.Multinomial(10, FAIR).sample((20_000, 2)).numpy()[..., 0]
    # A correlation of independent pairs has deviation 1 / sqrt(20,000) = 0.007; five of them.
    assert abs(np.corrcoef(heads, rowvar=False)[0, 1]) < 0.036


def test_the_mean_is_the_number_of_draws_times_the_probabilities() -> None:
    mean = tfd.Multinomial(12, [0.25, 0.75]).mean()
    assert mean.dtype == tf.float32
    np.testing.assert_array_equal(mean, [3, 9])


def test_probabilities_are_divided_by_their_sum() -> None:
    weighed = tfd.Multinomial(12, [2, 6])
    np.testing.assert_array_equal(weighed.probs, [0.25, 0.75])
    np.testing.assert_array_equal(weighed.mean(), [3, 9])


def test_an_outcome_of_probability_0_never_comes_up_and_one_of_1_always_does() -> None:
    counts = tfd.Multinomial(100, [0.0, 1.0, 0.0]).sample(100)
    np.testing.assert_array_equal(counts, np.tile([0, 100, 0], (100, 1)))
    np.testing.assert_array_equal(tfd.Multinomial(4, [0.3]).sample(2), [[4], [4]])


def test_the_seed_repeats_a_sample_and_the_next_one_differs() -> None:
    coins = tfd.Multinomial(1000, FAIR)
    keras.utils.set_random_seed(3)
    first, second = coins.sample(20).numpy(), coins.sample(20).numpy()
    keras.utils.set_random_seed(3)
    np.testing.assert_array_equal(coins.sample(20), first)
    assert (first != second).any()


def test_a_compiled_function_draws_again_at_each_call() -> None:
    coins = tfd.Multinomial(1000, FAIR)
    draw = tf.function(lambda: coins.sample(20))
    first, second = draw().numpy(), draw().numpy()
    assert first.shape == (20, 2)
    np.testing.assert_array_equal(first.sum(axis=1), np.full(20, 1000))
    assert (first != second).any()


@pytest.mark.parametrize("total_count", [0, -1, 2.5, float("nan"), float("inf")])
def test_the_number_of_draws_must_be_a_positive_whole_number(total_count: Any) -> None:
    with pytest.raises(ValueError, match=rf"a whole number of at least 1; got {total_count!r}"):
        tfd.Multinomial(total_count, FAIR)


@pytest.mark.parametrize("total_count", [3, 3.0, np.float32(3), tf.constant(3)])
def test_any_whole_number_is_a_number_of_draws(total_count: Any) -> None:
    assert tfd.Multinomial(total_count, FAIR).total_count == 3


@pytest.mark.parametrize(
    "probs",
    [[], 0.5, [[0.5, 0.5]], [-0.1, 1.1], [0.0, 0.0], [float("nan"), 1.0], [float("inf"), 1.0]],
)
def test_bad_probabilities_are_refused(probs: Any) -> None:
    with pytest.raises(ValueError, match=r"probs must be \(q,\), finite, at least 0, not all 0"):
        tfd.Multinomial(3, probs)


def test_a_size_below_zero_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sizes of at least 0; got \(2, -1\)"):
        tfd.Multinomial(3, FAIR).sample((2, -1))
