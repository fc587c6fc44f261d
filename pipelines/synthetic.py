"""Data made up from a known linear model: y = Xw + b + noise."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def linear_examples(
    w: Sequence[float] | Floats, b: float, *, noise: float, num_examples: int, seed: int
) -> tuple[Floats, Floats]:
    """Draw examples of y = Xw + b + epsilon.

    Args:
        w: (d,) weights.
        b: bias.
        noise: standard deviation of epsilon, at least 0, in units of y.
        num_examples: n, at least 1.
        seed: an integer of at least 0; the same seed gives the same examples.

    Returns:
        X: (n, d) float32, standard normal; y: (n, 1) float32.

    Raises:
        ValueError: `w` is empty or not a vector, `noise` is negative, or n is below 1.

    Source: D2L 3.3.1.
    """
    weights = np.asarray(w, dtype=np.float32)
    if weights.ndim != 1 or weights.size == 0:
        raise ValueError(f"w must be a vector of at least one weight; got shape {weights.shape}.")
    if not noise >= 0:
        raise ValueError(f"noise is a standard deviation, at least 0; got {noise!r}.")
    if num_examples < 1:
        raise ValueError(f"num_examples must be at least 1; got {num_examples!r}.")
    random = np.random.default_rng(seed)
    X = random.standard_normal((num_examples, weights.size), dtype=np.float32)
    epsilon = random.standard_normal((num_examples, 1), dtype=np.float32)
    y = X @ weights[:, None] + np.float32(b) + np.float32(noise) * epsilon
    return X, y
