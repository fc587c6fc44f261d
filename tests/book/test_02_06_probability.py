"""Section 2.6: draws and frequencies, the rules, Bayes, expectation, covariance, Chebyshev."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import keras
import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot

import tfd2l as d2l
from tfd2l.book import distributions as tfd

FAIR = tf.ones(2) / 2
# Ill and healthy; the probabilities of a positive first and second test for either.
PRIOR = tf.constant([0.0015, 0.9985])
POSITIVE_1 = tf.constant([1.0, 0.01])
POSITIVE_2 = tf.constant([0.98, 0.03])
DICE = list(product(range(1, 7), repeat=2))


@pytest.fixture(autouse=True)
def pyplot_as_before() -> Iterator[None]:
    with pyplot.rc_context():
        yield
    pyplot.close("all")


def posterior(prior: tf.Tensor, likelihood: tf.Tensor) -> tf.Tensor:
    joint = likelihood * prior
    return joint / tf.reduce_sum(joint)


def running_estimates(num_tosses: int) -> tf.Tensor:
    """The share of each side after every toss, (num_tosses, 2)."""
    total = tf.cumsum(tfd.Multinomial(1, FAIR).sample(num_tosses), axis=0)
    return total / tf.reduce_sum(total, axis=1, keepdims=True)


@pytest.mark.parametrize("seed", range(5))
def test_pythons_generator_tosses_a_fair_coin_and_repeats_with_the_seed(seed: int) -> None:
    heads = []
    for _ in range(2):
        keras.utils.set_random_seed(seed)
        heads.append(sum(random.random() < 0.5 for _ in range(100)))
    assert heads[0] == heads[1]
    # Mean 50, deviation 5; five of them.
    assert abs(heads[0] - 50) < 25


def test_a_hundred_tosses_are_counted_by_side() -> None:
    counts = tfd.Multinomial(100, FAIR).sample()
    assert (counts.shape, counts.dtype) == ((2,), tf.float32)
    assert float(tf.reduce_sum(counts)) == 100
    # float32 hundredths.
    assert float(tf.reduce_sum(counts / 100)) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_frequencies_come_closer_as_the_tosses_increase(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    for num_tosses in (100, 10_000, 1_000_000):
        frequencies = tfd.Multinomial(num_tosses, FAIR).sample() / num_tosses
        # Five deviations of 1 / (2 sqrt(n)): 0.25, 0.025 and 0.0025.
        np.testing.assert_allclose(frequencies, [0.5, 0.5], atol=2.5 / num_tosses**0.5)


@pytest.mark.parametrize("seed", range(5))
def test_running_estimates_settle_at_one_half(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    estimates = running_estimates(10_000).numpy()
    assert estimates.shape == (10_000, 2)
    np.testing.assert_array_equal(np.sort(estimates[0]), [0, 1])
    # float32 quotients of whole numbers.
    np.testing.assert_allclose(estimates.sum(axis=1), 1, atol=1e-6)
    n = np.arange(1, 10_001)
    # Five deviations after each of the tosses.
    assert (np.abs(estimates[:, 0] - 0.5) < 2.5 / np.sqrt(n)).all()


def test_the_picture_of_the_estimates_is_drawn_as_the_books_code_does_it() -> None:
    estimates = running_estimates(500).numpy()
    d2l.set_figsize((4.5, 3.5))
    d2l.plt.plot(estimates[:, 0], label="P(coin=heads)")
    d2l.plt.plot(estimates[:, 1], label="P(coin=tails)")
    d2l.plt.axhline(y=0.5, color="black", linestyle="dashed")
    d2l.plt.gca().set_xlabel("Samples")
    d2l.plt.gca().set_ylabel("Estimated probability")
    names = [text.get_text() for text in d2l.plt.legend().get_texts()]
    assert names == ["P(coin=heads)", "P(coin=tails)"]
    heads, tails, half = d2l.plt.gca().get_lines()
    np.testing.assert_array_equal(heads.get_ydata(), estimates[:, 0])
    np.testing.assert_array_equal(tails.get_ydata(), estimates[:, 1])
    np.testing.assert_array_equal(half.get_ydata(), [0.5, 0.5])
    assert d2l.plt.gcf().get_size_inches().tolist() == [4.5, 3.5]


def test_probabilities_of_events_of_two_dice_follow_the_rules() -> None:
    def probability(event: set[tuple[int, ...]]) -> Fraction:
        return Fraction(len(event), len(DICE))

    seven = {pair for pair in DICE if sum(pair) == 7}
    first_six = {pair for pair in DICE if pair[0] == 6}
    assert probability(set(DICE)) == 1
    assert probability(set()) == 0
    assert probability(seven) == probability(first_six) == Fraction(1, 6)
    # 6 + 6 - 1 pairs: both only for (6, 1).
    assert probability(seven | first_six) == Fraction(11, 36)


def test_a_positive_test_for_a_rare_disease_leaves_it_unlikely() -> None:
    # 0.0015 * 1 + 0.9985 * 0.01; to the digits given.
    assert float(tf.reduce_sum(POSITIVE_1 * PRIOR)) == pytest.approx(0.011485, abs=5e-7)
    # 0.0015 / 0.011485.
    assert float(posterior(PRIOR, POSITIVE_1)[0]) == pytest.approx(0.1306, abs=5e-5)


def test_a_second_independent_test_makes_it_likely_in_either_order() -> None:
    # 0.00147 / (0.00147 + 0.00029955); to the digits given.
    expected = pytest.approx(0.8307, abs=5e-5)
    assert float(posterior(PRIOR, POSITIVE_1 * POSITIVE_2)[0]) == expected
    assert float(posterior(posterior(PRIOR, POSITIVE_1), POSITIVE_2)[0]) == expected
    assert float(posterior(posterior(PRIOR, POSITIVE_2), POSITIVE_1)[0]) == expected


def test_the_tests_are_dependent_while_the_disease_is_unknown() -> None:
    # 0.0015 * 0.98 + 0.9985 * 0.03 and 0.00176955 / 0.011485; to the digits given.
    assert float(tf.reduce_sum(POSITIVE_2 * PRIOR)) == pytest.approx(0.0314, abs=5e-5)
    after = tf.reduce_sum(POSITIVE_2 * posterior(PRIOR, POSITIVE_1))
    assert float(after) == pytest.approx(0.1541, abs=5e-5)


def test_counting_simulated_people_gives_the_same_probabilities() -> None:
    people = 1_000_000
    ill = tf.random.uniform([people]) < PRIOR[0]
    first, second = (
        tf.random.uniform([people]) < tf.where(ill, probs[0], probs[1])
        for probs in (POSITIVE_1, POSITIVE_2)
    )

    def share_of_ill(chosen: tf.Tensor) -> float:
        return float(tf.reduce_mean(tf.cast(ill[chosen], tf.float32)))

    # About 11,485 and 1770 are chosen; five deviations of their shares are
    # 5 * sqrt(0.13 * 0.87 / 11,485) = 0.016 and 5 * sqrt(0.83 * 0.17 / 1770) = 0.045.
    assert share_of_ill(first) == pytest.approx(0.1306, abs=0.016)
    assert share_of_ill(first & second) == pytest.approx(0.8307, abs=0.045)


def test_expectation_and_variance_of_a_die_are_as_by_hand() -> None:
    x, p = tf.range(1.0, 7.0), tf.ones(6) / 6
    mean, square = (float(tf.reduce_sum(values * p)) for values in (x, x**2))
    # 21/6, 91/6 and 91/6 - 49/4; float32 numbers up to 16.
    assert mean == pytest.approx(3.5, abs=1e-5)
    assert square == pytest.approx(91 / 6, abs=1e-5)
    assert float(tf.reduce_sum((x - mean) ** 2 * p)) == pytest.approx(35 / 12, abs=1e-5)


@pytest.mark.parametrize("size", [1, 4, 16, 64])
def test_the_mean_of_n_dice_deviates_by_sigma_over_root_n(size: int) -> None:
    counts = tfd.Multinomial(size, tf.ones(6) / 6).sample(20_000)
    means = tf.linalg.matvec(counts, tf.range(1.0, 7.0)) / size
    # The estimate of a deviation from 20,000 draws is off by 1 / sqrt(40,000) = 0.5 %; five times.
    expected = math.sqrt(35 / 12 / size)
    assert float(tf.math.reduce_std(means)) == pytest.approx(expected, rel=0.025)


def test_the_covariances_of_two_dice_and_their_sum_are_as_by_hand() -> None:
    vectors = tf.constant([(a, b, a + b) for a, b in DICE], tf.float32)
    deviations = vectors - tf.reduce_mean(vectors, axis=0)
    sigma = tf.matmul(deviations, deviations, transpose_a=True) / len(DICE)
    # Sums of 36 float32 numbers up to 25.
    expected = [[35 / 12, 0, 35 / 12], [0, 35 / 12, 35 / 12], [35 / 12, 35 / 12, 35 / 6]]
    np.testing.assert_allclose(sigma, expected, atol=1e-5)
    correlation = float(sigma[0, 2] / tf.sqrt(sigma[0, 0] * sigma[2, 2]))
    assert correlation == pytest.approx(1 / math.sqrt(2), abs=1e-6)
    # X + Y - S is 0 for certain.
    v = tf.constant([1.0, 1.0, -1.0])
    assert float(tf.tensordot(v, tf.linalg.matvec(sigma, v), 1)) == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize(
    ("k", "exact"), [(1, 0.36820), (2, 0.05689), (3, 0.00352), (4, 0.00008), (10, 0.00000)]
)
def test_chebyshevs_bound_holds_for_a_hundred_tosses(k: int, exact: float) -> None:
    far = [j for j in range(101) if abs(j - 50) >= 5 * k]
    probability = sum(Fraction(math.comb(100, j), 2**100) for j in far)
    assert probability <= Fraction(1, k**2)
    # To the digits that are shown.
    assert float(probability) == pytest.approx(exact, abs=5e-6)
    tosses = tfd.Multinomial(100, FAIR).sample(20_000)[:, 0].numpy()
    # Five deviations of a share of 20,000, and one draw more where hardly any is expected.
    room = 5 * math.sqrt(exact * (1 - exact) / 20_000) + 1 / 20_000
    assert (np.abs(tosses - 50) >= 5 * k).mean() == pytest.approx(exact, abs=room)


def test_chebyshevs_bound_is_reached_by_three_values() -> None:
    # -2, 0 and 2 with probabilities 1/8, 3/4 and 1/8: variance 1, and 1/4 lies at two deviations.
    values = {-2: Fraction(1, 8), 0: Fraction(3, 4), 2: Fraction(1, 8)}
    assert sum(p * x**2 for x, p in values.items()) == 1
    assert sum(p for x, p in values.items() if abs(x) >= 2) == Fraction(1, 4)
