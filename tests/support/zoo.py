"""The list of models that the contract tests, each with its forward pass in NumPy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

import tfd2l as d2l
from tests.support import models

Array = np.ndarray[Any, Any]
LR, DECAY = 0.1, 0.1


@dataclass(frozen=True)
class Entry:
    """A model, and what the contract needs to know of it.

    Attributes:
        make: returns the model, unbuilt or built.
        forward: computes logits or predictions as in training, in float64, from `get_weights()`
            and X; None for models that draw random numbers.
        gradients: computes the loss's gradients from `get_weights()`, X and y; where it is None,
            the contract computes a difference quotient of the loss.
        same_in_xla: False for models that draw random numbers, since XLA draws others.
        is_regression: True for regressions, False for classifiers.
    """

    make: Callable[[], d2l.Module]
    forward: Callable[[list[Array], Array], Array] | None = None
    gradients: Callable[[list[Array], Array, Array], list[Array]] | None = None
    same_in_xla: bool = True
    is_regression: bool = False


def dense(make: Callable[[], d2l.Module], decay: float = 0.0) -> Entry:
    """A classifier of dense layers; its loss adds `decay` times the first kernel's squared norm."""

    def gradients(weights: list[Array], X: Array, y: Array) -> list[Array]:
        found = dense_gradients(weights, X, y)
        return [found[0] + 2 * decay * weights[0], *found[1:]]

    return Entry(make, dense_net, gradients)


def regression(make: Callable[[], d2l.Module], factor: int, decay: float = 0.0) -> Entry:
    """Linear regression whose loss is `factor` / 2 times the squared error and `decay` |w|^2."""

    def gradients(weights: list[Array], X: Array, y: Array) -> list[Array]:
        w, b = weights
        error = X @ w + b - y
        return [factor * (X.T @ error / len(X) + decay * w), factor * error.mean(axis=0)]

    return Entry(make, dense_net, gradients, is_regression=True)


def flat(X: Array) -> Array:
    return X.reshape(len(X), -1)


def relu(X: Array) -> Array:
    return np.maximum(X, 0)


def dense_net(weights: list[Array], X: Array) -> Array:
    """Dense layers with relu between them, from kernels and biases in turn."""
    H = flat(X)
    for number in range(0, len(weights), 2):
        H = (relu(H) if number else H) @ weights[number] + weights[number + 1]
    return H


def dense_gradients(weights: list[Array], X: Array, y: Array) -> list[Array]:
    """Gradients of the mean cross-entropy for one or two dense layers, by hand."""
    logits = dense_net(weights, X)
    exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
    error = exponentials / exponentials.sum(axis=1, keepdims=True)
    error[range(len(y)), y] -= 1
    return backward(weights, X, error / len(y))


def squared_error_gradients(weights: list[Array], X: Array, y: Array) -> list[Array]:
    """Gradients of the mean squared error for one or two dense layers, by hand."""
    return backward(weights, X, 2 * (dense_net(weights, X) - y) / len(y))


def backward(weights: list[Array], X: Array, error: Array) -> list[Array]:
    """Gradients for one or two dense layers, from those of the outputs."""
    W = weights[-2]
    H = relu(flat(X) @ weights[0] + weights[1]) if len(weights) == 4 else flat(X)
    output = [H.T @ error, error.sum(axis=0)]
    if len(weights) == 2:
        return output
    back = (error @ W.T) * (H > 0)
    return [flat(X).T @ back, back.sum(axis=0), *output]


def custom_layers(weights: list[Array], X: Array) -> Array:
    scale, shift, W, b = sorted(weights, key=lambda w: (w.ndim, w.shape != (784,)))[:2] + [
        weight for weight in weights if weight.shape in ((784, 10), (10,))
    ]
    return (flat(X) * scale + shift) @ W + b


def tied(weights: list[Array], X: Array) -> Array:
    W, shared, bias, head, head_bias = weights
    H = flat(X) @ W @ W.T @ W
    for _ in range(2):
        H = relu(H @ shared + bias)
    return H @ head + head_bias


def convolutions(weights: list[Array], X: Array) -> Array:
    kernel, bias, W, b = weights
    windows = np.lib.stride_tricks.sliding_window_view(X[..., 0], (5, 5), axis=(1, 2))[:, ::2, ::2]
    H = 1 / (1 + np.exp(-np.einsum("nhwij,ijo->nhwo", windows, kernel[:, :, 0]) - bias))
    n, h, w, c = H.shape
    pooled = H.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return flat(pooled) @ W + b


def normalised(weights: list[Array], X: Array) -> Array:
    W1, b1, gamma, beta, _, _, W2, b2 = weights
    H = flat(X) @ W1 + b1
    # In training the batch's own mean and variance; Keras adds 1e-3 to the latter.
    H = (H - H.mean(axis=0)) / np.sqrt(H.var(axis=0) + 1e-3) * gamma + beta
    return relu(H) @ W2 + b2


ZOO: dict[str, Entry] = {
    "patched in cells": dense(lambda: models.Patched(10, lr=LR)),
    "own steps": dense(lambda: models.OwnSteps(10, lr=LR)),
    "lists of variables": dense(lambda: models.ListsOfVariables([784, 12, 10], lr=LR)),
    "dict of layers": dense(lambda: models.DictOfLayers(lr=LR)),
    "nested Keras models": dense(lambda: models.NestedModels(lr=LR)),
    "module in module": dense(lambda: models.ModuleInModule(lr=LR)),
    "custom layers": Entry(lambda: models.CustomLayers(lr=LR), custom_layers),
    "tied parameters": Entry(lambda: models.Tied(lr=LR), tied),
    "convolutions": Entry(lambda: models.Convolutions(lr=LR), convolutions),
    "lenet": Entry(lambda: d2l.LeNet(lr=LR)),
    "batch normalisation": Entry(lambda: models.Normalised(lr=LR), normalised),
    "loss of shape (1,)": dense(lambda: models.Penalised(lr=LR), decay=0.01),
    "own optimizer": dense(lambda: models.OwnOptimizer([784, 12, 10], lr=LR)),
    "probabilities": dense(lambda: models.Probabilities(10, lr=LR)),
    "Keras dropout": Entry(lambda: d2l.DropoutMLP(10, 12, 12, 0.5, 0.5, LR), same_in_xla=False),
    "dropout from scratch": Entry(
        lambda: d2l.DropoutMLPScratch(10, 12, 12, 0.5, 0.5, LR), same_in_xla=False
    ),
    "softmax-scratch": dense(lambda: d2l.SoftmaxRegressionScratch(784, 10, lr=LR)),
    "softmax": dense(lambda: d2l.SoftmaxRegression(10, lr=LR)),
    "mlp-scratch": dense(lambda: d2l.MLPScratch(784, 10, 16, lr=LR)),
    "mlp": dense(lambda: d2l.MLP(10, 16, lr=LR)),
    "mlp-regression": Entry(
        lambda: d2l.MLPRegression(16, lr=0.03),
        dense_net,
        squared_error_gradients,
        is_regression=True,
    ),
    # Half the squared error from scratch, all of it on Keras layers: hence the factors.
    "linear-scratch": regression(lambda: d2l.LinearRegressionScratch(2, lr=0.03), 1),
    "linear": regression(lambda: d2l.LinearRegression(lr=0.03), 2),
    "weight-decay-scratch": regression(
        lambda: d2l.WeightDecayScratch(2, lambd=DECAY, lr=0.03), 1, DECAY
    ),
    "weight-decay": regression(lambda: d2l.WeightDecay(wd=DECAY, lr=0.03), 2, DECAY),
}
