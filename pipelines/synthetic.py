"""Draws synthetic data from a known linear model: y = Xw + b + noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import MAX_FLOAT32, real_number, whole_number
from pipelines.basics.text import shown

__all__ = ["Floats", "as_weights", "linear_examples"]

Floats = npt.NDArray[np.float32]


def linear_examples(
    w: Any, b: float, *, noise: float, num_examples: int, seed: int
) -> tuple[Floats, Floats]:
    """Draw examples of y = Xw + b + epsilon.

    Args:
        w: (d,) weights, or (d, 1): numbers of any type, in a list, array or tensor.
        b: bias.
        noise: standard deviation of epsilon, at least 0, in units of y.
        num_examples: n, at least 1.
        seed: an integer of at least 0; the same seed gives the same examples.

    Returns:
        X: (n, d) float32, standard normal; y: (n, 1) float32.

    Raises:
        ValueError: `w` is not a vector of finite numbers, or another number is out of range.

    Example:
        >>> X, y = linear_examples([2, -3.4], 4.2, noise=0, num_examples=5, seed=0)
        >>> np.allclose(y, X @ [[2], [-3.4]] + 4.2)
        True

    Source: D2L 3.3.1.
    """
    weights = as_weights(w).reshape(-1)
    noise = real_number("noise", noise, hint="It is a standard deviation, e.g. 0.01.")
    b = real_number("b", b, minimum=-MAX_FLOAT32)
    num_examples = whole_number("num_examples", num_examples)
    random = np.random.default_rng(whole_number("seed", seed, minimum=0))
    X = random.standard_normal((num_examples, weights.size), dtype=np.float32)
    epsilon = random.standard_normal((num_examples, 1), dtype=np.float32)
    y = X @ weights[:, None] + np.float32(b) + np.float32(noise) * epsilon
    return X, y


def as_weights(w: Any) -> Floats:
    """Return weights as float32, (d,) or (d, 1) as they are given.

    Raises:
        ValueError: `w` is not a vector of finite numbers.

    Example:
        >>> as_weights([2, -3])
        array([ 2., -3.], dtype=float32)
    """
    try:
        with np.errstate(over="ignore"):
            weights = np.asarray(w).astype(np.float32)
    except (TypeError, ValueError):
        weights = np.full(1, np.nan, np.float32)
    if weights.size == 0 or weights.shape not in {(weights.size,), (weights.size, 1)}:
        raise ValueError(f"w must be a vector of at least one weight; got shape {weights.shape}.")
    if not np.isfinite(weights).all():
        raise ValueError(f"w must be finite numbers; got {shown(w)}.")
    return weights
