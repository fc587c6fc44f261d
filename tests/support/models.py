"""Models as readers of the book write them, for the contract in tests/contract."""

from __future__ import annotations

import itertools
from typing import Any

import keras
import tensorflow as tf

import tfd2l as d2l


class Patched(d2l.Classifier):
    """A class to which the cells below add methods, as the book does with its own."""

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
    """Overrides both steps, which plot more than the loss."""

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
    """A subclass of `keras.Model` and a functional model, in one list."""

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
    """A custom layer with a parameter of Keras and a variable of TensorFlow."""

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


class Tied(d2l.Classifier):
    """Uses one matrix and its transpose, and one layer twice."""

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


class Convolutions(d2l.Classifier):
    """Convolution and pooling, by layers that get their shapes from the first batch."""

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


class Penalised(d2l.Classifier):
    """Has a loss of shape (1,): a number plus Keras' list with one penalty."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.layers.Dense(10, kernel_regularizer=keras.regularizers.L2(0.01))

    def forward(self, X: Any) -> Any:
        return self.net(tf.reshape(X, (-1, 784)))

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        return super().loss(Y_hat, Y, averaged) + self.net.losses


class ScratchMomentum(d2l.HyperParameters):
    """An optimizer from scratch whose state is in variables."""

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
        return ScratchMomentum(self.lr, self.trainable_variables)


class Probabilities(Patched):
    """Passes probabilities from `forward` to `loss`, as in the book's section 4.4."""

    def forward(self, X: Any) -> Any:
        return d2l.softmax(self.logits(X))

    def logits(self, X: Any) -> Any:
        return tf.reshape(X, (-1, 784)) @ self.W + self.b

    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        assert averaged
        return d2l.cross_entropy(Y_hat, Y)
