"""A model of one weight, small data, and the modes of a fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched

MODES: dict[str, dict[str, Any]] = {
    "compiled": {"run_eagerly": False, "jit_compile": False},
    "eager": {"run_eagerly": True},
    "xla": {"jit_compile": True},
}


class Line(d2l.Module):
    """y = w x, whose gradient the tests work by hand."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.w = tf.Variable([[0.0]])

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        return X @ self.w

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean((y_hat - y) ** 2) / 2

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(self.hparams["lr"])


def points(n: int, batch_size: int, shuffle: bool = False) -> tf.data.Dataset:
    """X = 1, 2, ..., n and y = 2x, as columns."""
    x = np.arange(1, n + 1, dtype=np.float32)[:, None]
    return batched([x, 2 * x], batch_size, shuffle=shuffle)


def blobs(n: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """X (n, 8) float32 with a mean for each of the three class ids in y."""
    y = np.arange(n, dtype=np.int32) % 3
    return np.random.default_rng(0).normal(y[:, None], 1, (n, 8)).astype(np.float32), y
