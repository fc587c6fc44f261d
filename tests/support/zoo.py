"""Models as readers write them, each with its forward pass in NumPy, for the contract to hold."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfd2l as d2l

Array = np.ndarray[Any, Any]
LR = 0.1


@dataclass(frozen=True)
class Entry:
    """A model of the zoo.

    Attributes:
        make: the model, unbuilt or built.
        forward: its logits in training by NumPy, float64, from `get_weights()` and (n, 28, 28, 1);
            None where random numbers decide.
        penalty: what the loss adds to the mean cross-entropy, from the weights.
        same_in_xla: whether XLA computes the same; it draws other random numbers.
    """

    make: Callable[[], d2l.Classifier]
    forward: Callable[[list[Array], Array], Array] | None
    penalty: Callable[[list[Array]], float] = lambda _: 0.0
    same_in_xla: bool = True


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


# --- A class that grows from cell to cell, as the book writes its own.


class Patched(d2l.Classifier):
    def __init__(self, num_outputs: int, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W = tf.Variable(d2l.normal((784, num_outputs)) * sigma)
        self.b = tf.Variable(d2l.zeros(num_outputs))


@d2l.add_to_class(Patched)
def forward(self: Any, X: Any) -> Any:
    return d2l.matmul(d2l.reshape(X, (-1, 784)), self.W) + self.b


@d2l.add_to_class(Patched)
def loss(self: Any, Y_hat: Any, Y: Any) -> Any:
    fn = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return fn(d2l.reshape(Y, -1), d2l.reshape(Y_hat, (-1, Y_hat.shape[-1])))


@d2l.add_to_class(Patched)
def configure_optimizers(self: Any) -> Any:
    return tf.keras.optimizers.SGD(self.lr)


class OwnSteps(Patched):
    """Both steps are the reader's, and plot more than the loss."""

    def training_step(self, batch: Any) -> Any:
        X, y = batch
        value = self.loss(self(X), y)
        self.plot("loss", value, train=True)
        self.plot("norm", tf.norm(self.W), train=True)
        return value

    def validation_step(self, batch: Any) -> None:
        Y_hat = self(*batch[:-1])
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)


class ListsOfVariables(d2l.Classifier):
    def __init__(self, widths: list[int], lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.parts = [
            (tf.Variable(tf.random.normal((n, m), stddev=0.05)), tf.Variable(tf.zeros(m)))
            for n, m in itertools.pairwise(widths)
        ]

    def forward(self, X: Any) -> Any:
        H = tf.reshape(X, (-1, 784))
        for W, b in self.parts[:-1]:
            H = d2l.relu(H @ W + b)
        W, b = self.parts[-1]
        return H @ W + b


class DictOfLayers(d2l.Classifier):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers_by_name = {
            "hidden": keras.layers.Dense(12, activation="relu"),
            "output": keras.layers.Dense(10),
        }

    def forward(self, X: Any) -> Any:
        hidden = self.layers_by_name["hidden"](tf.reshape(X, (-1, 784)))
        return self.layers_by_name["output"](hidden)


class Block(keras.Model):  # type: ignore[misc]  # Keras has no types
    def __init__(self) -> None:
        super().__init__()
        self.flatten, self.hidden = keras.layers.Flatten(), keras.layers.Dense(12)

    def call(self, X: Any, training: bool | None = None) -> Any:
        assert training is not None
        return tf.nn.relu(self.hidden(self.flatten(X)))


class NestedModels(d2l.Classifier):
    """A reader's own `keras.Model`, and a functional one, in one list."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        inputs = keras.Input((12,))
        self.blocks = [Block(), keras.Model(inputs, keras.layers.Dense(10)(inputs))]

    def forward(self, X: Any) -> Any:
        for block in self.blocks:
            X = block(X)
        return X


class Encoder(d2l.Module):
    def __init__(self) -> None:
        super().__init__()
        self.W = tf.Variable(tf.random.normal((784, 12), stddev=0.05))
        self.b = tf.Variable(tf.zeros(12))

    def forward(self, X: Any) -> Any:
        return d2l.relu(tf.reshape(X, (-1, 784)) @ self.W + self.b)


class ModuleInModule(d2l.Classifier):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.encoder, self.head = Encoder(), keras.layers.Dense(10)

    def forward(self, X: Any) -> Any:
        return self.head(self.encoder(X))


class Scale(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """A custom layer with a parameter as Keras has them, and one as TensorFlow has them."""

    def build(self, shape: Any) -> None:
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones")
        self.shift = tf.Variable(tf.zeros(shape[-1]))

    def call(self, X: Any) -> Any:
        return X * self.scale + self.shift


class CustomLayers(d2l.Classifier):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential([keras.layers.Flatten(), Scale(), keras.layers.Dense(10)])


def custom_layers(weights: list[Array], X: Array) -> Array:
    scale, shift, W, b = sorted(weights, key=lambda w: (w.ndim, w.shape != (784,)))[:2] + [
        weight for weight in weights if weight.shape in ((784, 10), (10,))
    ]
    return (flat(X) * scale + shift) @ W + b


class Tied(d2l.Classifier):
    """One matrix, there and back, and one layer used twice."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W = tf.Variable(tf.random.normal((784, 16), stddev=0.05))
        self.shared = keras.layers.Dense(16, activation="relu")
        self.again = self.shared
        self.head = keras.layers.Dense(10)

    def forward(self, X: Any) -> Any:
        code = tf.reshape(X, (-1, 784)) @ self.W
        back = tf.matmul(code, self.W, transpose_b=True) @ self.W
        return self.head(self.again(self.shared(back)))


def tied(weights: list[Array], X: Array) -> Array:
    W, shared, bias, head, head_bias = weights
    H = flat(X) @ W @ W.T @ W
    for _ in range(2):
        H = relu(H @ shared + bias)
    return H @ head + head_bias


class Convolutions(d2l.Classifier):
    """Convolution and pooling, in layers that learn their shapes from the first batch."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Conv2D(4, 5, strides=2, activation="sigmoid"),
                keras.layers.AvgPool2D(2),
                keras.layers.Flatten(),
                keras.layers.Dense(10),
            ]
        )


def convolutions(weights: list[Array], X: Array) -> Array:
    kernel, bias, W, b = weights
    windows = np.lib.stride_tricks.sliding_window_view(X[..., 0], (5, 5), axis=(1, 2))[:, ::2, ::2]
    H = 1 / (1 + np.exp(-np.einsum("nhwij,ijo->nhwo", windows, kernel[:, :, 0]) - bias))
    n, h, w, c = H.shape
    pooled = H.reshape(n, h // 2, 2, w // 2, 2, c).mean(axis=(2, 4))
    return flat(pooled) @ W + b


class Normalised(d2l.Classifier):
    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(12),
                keras.layers.BatchNormalization(momentum=0.5),
                keras.layers.Activation("relu"),
                keras.layers.Dense(10),
            ]
        )


def normalised(weights: list[Array], X: Array) -> Array:
    W1, b1, gamma, beta, _, _, W2, b2 = weights
    H = flat(X) @ W1 + b1
    # In training the batch's own mean and variance; Keras adds 1e-3 to the latter.
    H = (H - H.mean(axis=0)) / np.sqrt(H.var(axis=0) + 1e-3) * gamma + beta
    return relu(H) @ W2 + b2


class Penalised(d2l.Classifier):
    """The loss has shape (1,): a number plus the list of one that Keras keeps."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(0.01))

    def forward(self, X: Any) -> Any:
        return self.net(tf.reshape(X, (-1, 784)))

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        return super().loss(Y_hat, Y, averaged) + self.net.losses


class ScratchMomentum(d2l.HyperParameters):
    """A reader's own optimizer with state in variables."""

    lr: float

    def __init__(self, lr: float, variables: Any) -> None:
        self.save_hyperparameters(ignore=["variables"])
        self.variables = [tf.Variable(tf.zeros_like(variable)) for variable in variables]

    def apply_gradients(self, grads_and_vars: Any) -> None:
        for velocity, (grad, param) in zip(self.variables, grads_and_vars, strict=True):
            velocity.assign(0.9 * velocity + grad)
            param.assign_sub(self.lr * velocity)


class OwnOptimizer(ListsOfVariables):
    def configure_optimizers(self) -> Any:
        return ScratchMomentum(LR, self.trainable_variables)


class Probabilities(Patched):
    """`forward` gives probabilities, and `loss` takes them, as in the book's section 4.4."""

    def forward(self, X: Any) -> Any:
        return d2l.softmax(self.logits(X))

    def logits(self, X: Any) -> Any:
        return tf.reshape(X, (-1, 784)) @ self.W + self.b

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        assert averaged
        return d2l.cross_entropy(Y_hat, Y)


ZOO: dict[str, Entry] = {
    "patched in cells": Entry(lambda: Patched(10, lr=LR), dense_net),
    "own steps": Entry(lambda: OwnSteps(10, lr=LR), dense_net),
    "lists of variables": Entry(lambda: ListsOfVariables([784, 12, 10], lr=LR), dense_net),
    "dict of layers": Entry(lambda: DictOfLayers(lr=LR), dense_net),
    "nested Keras models": Entry(lambda: NestedModels(lr=LR), dense_net),
    "module in module": Entry(lambda: ModuleInModule(lr=LR), dense_net),
    "custom layers": Entry(lambda: CustomLayers(lr=LR), custom_layers),
    "tied parameters": Entry(lambda: Tied(lr=LR), tied),
    "convolutions": Entry(lambda: Convolutions(lr=LR), convolutions),
    "batch normalisation": Entry(lambda: Normalised(lr=LR), normalised),
    "loss of shape (1,)": Entry(
        lambda: Penalised(lr=LR), dense_net, penalty=lambda w: 0.01 * float((w[0] ** 2).sum())
    ),
    "own optimizer": Entry(lambda: OwnOptimizer([784, 12, 10], lr=LR), dense_net),
    "probabilities": Entry(lambda: Probabilities(10, lr=LR), dense_net),
    "Keras dropout": Entry(
        lambda: d2l.DropoutMLP(10, 12, 12, 0.5, 0.5, lr=LR), None, same_in_xla=False
    ),
    "dropout from scratch": Entry(
        lambda: d2l.DropoutMLPScratch(10, 12, 12, 0.5, 0.5, lr=LR), None, same_in_xla=False
    ),
    "softmax-scratch": Entry(lambda: d2l.SoftmaxRegressionScratch(784, 10, lr=LR), dense_net),
    "softmax": Entry(lambda: d2l.SoftmaxRegression(10, lr=LR), dense_net),
    "mlp-scratch": Entry(lambda: d2l.MLPScratch(784, 10, 16, lr=LR), dense_net),
    "mlp": Entry(lambda: d2l.MLP(10, 16, lr=LR), dense_net),
}
