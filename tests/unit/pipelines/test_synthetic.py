"""pipelines/synthetic.py: the data follows its linear model."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from pipelines.synthetic import linear_examples


def test_without_noise_the_targets_are_the_model_exactly() -> None:
    X, y = linear_examples([2, -3.4], 4.2, noise=0, num_examples=5, seed=0)
    assert X.shape == (5, 2)
    assert X.dtype == y.dtype == np.float32
    for row, target in zip(X, y, strict=True):
        # A handful of float32 operations on numbers below 16.
        assert target[0] == pytest.approx(2 * row[0] - 3.4 * row[1] + 4.2, abs=1e-5)


def test_noise_is_the_standard_deviation_about_the_model() -> None:
    X, y = linear_examples([1.0], 0, noise=0.5, num_examples=20_000, seed=1)
    # The deviation of 20,000 draws is within 0.5 / sqrt(40,000) = 0.0025 of 0.5 at one sigma.
    assert (y - X).std() == pytest.approx(0.5, abs=0.0125)


def test_least_squares_finds_the_weights_again() -> None:
    X, y = linear_examples([2, -3.4], 4.2, noise=0.01, num_examples=1000, seed=2)
    solution = np.linalg.lstsq(np.c_[X, np.ones(len(X))], y, rcond=None)[0]
    # The estimate's deviation is 0.01 / sqrt(1000) = 0.0003.
    np.testing.assert_allclose(solution[:, 0], [2, -3.4, 4.2], atol=0.002)


def test_the_seed_alone_decides() -> None:
    one, same, other = (
        linear_examples([1], 0, noise=0.1, num_examples=4, seed=seed)[0] for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(one, same)
    assert (one != other).any()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"w": []}, "at least one weight"),
        ({"w": [[1.0, 2.0]]}, "must be a vector"),
        ({"w": [float("inf")]}, "w must be finite numbers; got .inf."),
        ({"w": ["two"]}, "w must be finite numbers; got .'two'."),
        ({"b": float("nan")}, "b must be a finite number; got nan"),
        ({"noise": -1.0}, "of at least 0; got -1.0. It is a standard deviation"),
        ({"noise": float("nan")}, "standard deviation"),
        ({"num_examples": 0}, "at least 1; got 0"),
        ({"seed": -1}, "seed must be a whole number of at least 0; got -1"),
    ],
)
def test_arguments_out_of_range_are_refused(wrong: dict[str, Any], message: str) -> None:
    settings = {"w": [1.0], "b": 0.0, "noise": 0.1, "num_examples": 3, "seed": 0, **wrong}
    with pytest.raises(ValueError, match=message):
        linear_examples(**settings)


def test_weights_may_be_a_column_as_the_book_has_them() -> None:
    column, vector = (
        linear_examples(np.asarray(w, np.float32), 0, noise=0, num_examples=4, seed=0)
        for w in ([[1.0], [2.0]], [1.0, 2.0])
    )
    np.testing.assert_array_equal(column[1], vector[1])
