"""Multilayer perceptrons, with and without dropout."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from pipelines.basics.numbers import real_number, whole_number
from tfd2l.book import functional
from tfd2l.book.module import Classifier
from tfd2l.book.optim import SGD, learning_rate


class MLPScratch(Classifier):
    """relu(X W1 + b1) W2 + b2 on four `tf.Variable`s; gives logits.

    Source: D2L 5.2.1.
    """

    num_inputs: int
    lr: float

    def __init__(
        self, num_inputs: int, num_outputs: int, num_hiddens: int, lr: float, sigma: float = 0.01
    ) -> None:
        """Draw W1 and W2 from a normal of standard deviation `sigma`; b1 and b2 are zero."""
        super().__init__()
        num_inputs = whole_number("num_inputs", num_inputs)
        num_outputs = whole_number("num_outputs", num_outputs)
        num_hiddens = whole_number("num_hiddens", num_hiddens)
        lr, sigma = learning_rate(lr), real_number("sigma", sigma)
        self.save_hyperparameters()
        self.W1 = tf.Variable(tf.random.normal((num_inputs, num_hiddens), stddev=sigma), name="W1")
        self.b1 = tf.Variable(tf.zeros(num_hiddens), name="b1")
        self.W2 = tf.Variable(tf.random.normal((num_hiddens, num_outputs), stddev=sigma), name="W2")
        self.b2 = tf.Variable(tf.zeros(num_outputs), name="b2")

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """(n, ...) float32 with num_inputs numbers an example -> (n, num_outputs) float32."""
        X = functional.flattened(X, self.num_inputs)
        H = functional.relu(tf.matmul(X, self.W1) + self.b1)  # (n, num_hiddens)
        return tf.matmul(H, self.W2) + self.b2

    def configure_optimizers(self) -> SGD:
        """Minibatch stochastic gradient descent from scratch."""
        return SGD(self.lr)


class MLP(Classifier):
    """The same network as a Keras `Sequential`; gives logits.

    Source: D2L 5.2.2.
    """

    def __init__(self, num_outputs: int, num_hiddens: int, lr: float) -> None:
        """Two dense layers; the input's width is known from the first batch."""
        super().__init__()
        num_outputs = whole_number("num_outputs", num_outputs)
        num_hiddens = whole_number("num_hiddens", num_hiddens)
        lr = learning_rate(lr)
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(num_hiddens, activation="relu"),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(num_outputs, dtype="float32"),
            ]
        )


class DropoutMLPScratch(Classifier):
    """Two hidden layers, each followed by dropout from scratch; gives logits.

    Source: D2L 5.6.3.
    """

    dropout_1: float
    dropout_2: float

    def __init__(
        self,
        num_outputs: int,
        num_hiddens_1: int,
        num_hiddens_2: int,
        dropout_1: float,
        dropout_2: float,
        lr: float,
    ) -> None:
        """Widths of the layers, and the share that is dropped behind each hidden one."""
        super().__init__()
        num_outputs = whole_number("num_outputs", num_outputs)
        num_hiddens_1 = whole_number("num_hiddens_1", num_hiddens_1)
        num_hiddens_2 = whole_number("num_hiddens_2", num_hiddens_2)
        dropout_1 = real_number("dropout_1", dropout_1, maximum=1)
        dropout_2 = real_number("dropout_2", dropout_2, maximum=1)
        lr = learning_rate(lr)
        self.save_hyperparameters()
        self.lin1 = keras.layers.Dense(num_hiddens_1, activation="relu")
        self.lin2 = keras.layers.Dense(num_hiddens_2, activation="relu")
        self.lin3 = keras.layers.Dense(num_outputs)
        self.seed = keras.random.SeedGenerator()

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """(n, ...) float32 -> (n, num_outputs) float32."""
        H1 = self.lin1(tf.reshape(X, (-1, math.prod(X.shape[1:]))))
        if self.training:
            H1 = functional.dropout_layer(H1, self.dropout_1, self.seed)
        H2 = self.lin2(H1)
        if self.training:
            H2 = functional.dropout_layer(H2, self.dropout_2, self.seed)
        return self.lin3(H2)


class DropoutMLP(Classifier):
    """The same network as a Keras `Sequential`; gives logits.

    Source: D2L 5.6.4.
    """

    def __init__(
        self,
        num_outputs: int,
        num_hiddens_1: int,
        num_hiddens_2: int,
        dropout_1: float,
        dropout_2: float,
        lr: float,
    ) -> None:
        """Widths of the layers, and the share that is dropped behind each hidden one."""
        super().__init__()
        num_outputs = whole_number("num_outputs", num_outputs)
        num_hiddens_1 = whole_number("num_hiddens_1", num_hiddens_1)
        num_hiddens_2 = whole_number("num_hiddens_2", num_hiddens_2)
        dropout_1 = real_number("dropout_1", dropout_1, maximum=1)
        dropout_2 = real_number("dropout_2", dropout_2, maximum=1)
        lr = learning_rate(lr)
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(num_hiddens_1, activation="relu"),
                keras.layers.Dropout(dropout_1),
                keras.layers.Dense(num_hiddens_2, activation="relu"),
                keras.layers.Dropout(dropout_2),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(num_outputs, dtype="float32"),
            ]
        )
