"""Multilayer perceptrons, with and without dropout. D2L 5.2, 5.6."""

from __future__ import annotations

import math

import keras
import tensorflow as tf

from tfd2l.book import functional
from tfd2l.book.models.arguments import checked
from tfd2l.book.module import Classifier, Module
from tfd2l.book.optim import SGD

__all__ = ["MLP", "DropoutMLP", "DropoutMLPScratch", "MLPRegression", "MLPScratch"]


class MLPScratch(Classifier):
    """relu(X W1 + b1) W2 + b2 on four variables (`tf.Variable`); gives logits.

    Example:
        >>> model = d2l.MLPScratch(num_inputs=784, num_outputs=10, num_hiddens=256, lr=0.1)
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 5.2.1.
    """

    num_inputs: int
    lr: float

    @checked
    def __init__(
        self, num_inputs: int, num_outputs: int, num_hiddens: int, lr: float, sigma: float = 0.01
    ) -> None:
        """Draw W1 and W2 from a normal of standard deviation `sigma`; b1 and b2 are zero."""
        super().__init__()
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

    Example:
        >>> model = d2l.MLP(num_outputs=10, num_hiddens=256, lr=0.1)
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 5.2.2.
    """

    @checked
    def __init__(self, num_outputs: int, num_hiddens: int, lr: float) -> None:
        """Make two dense layers; the first batch sets the size of the input."""
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(num_hiddens, activation="relu"),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(num_outputs, dtype="float32"),
            ]
        )


class MLPRegression(Module):
    """One hidden layer and one number as output, with the mean squared error as loss.

    Example:
        >>> model = d2l.MLPRegression(num_hiddens=64, lr=0.01)
        >>> model(tf.zeros((5, 3))).shape
        TensorShape([5, 1])

    The book has none: it is the network of section 5.2 with the loss of section 3.5.
    """

    @checked
    def __init__(self, num_hiddens: int, lr: float) -> None:
        """Make two dense layers; the first batch sets the size of the input."""
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(num_hiddens, activation="relu"),
                # Predictions stay float32 under mixed precision, as logits do.
                keras.layers.Dense(1, dtype="float32"),
            ]
        )

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The mean squared error of (n, 1) predictions: () float32."""
        return 2 * tf.reduce_mean(functional.squared_loss(y_hat, y))


class _DropoutClassifier(Classifier):
    """The hyperparameters of the two models with dropout, which define their layers from them."""

    num_outputs: int
    num_hiddens_1: int
    num_hiddens_2: int
    dropout_1: float
    dropout_2: float

    @checked
    def __init__(
        self,
        num_outputs: int,
        num_hiddens_1: int,
        num_hiddens_2: int,
        dropout_1: float,
        dropout_2: float,
        lr: float,
    ) -> None:
        """Set the widths of the layers, and the share that is dropped behind each hidden one."""
        super().__init__()
        self.save_hyperparameters()
        self._define_layers()

    def _define_layers(self) -> None:
        raise NotImplementedError


class DropoutMLPScratch(_DropoutClassifier):
    """Two hidden layers, each followed by dropout from scratch; gives logits.

    Example:
        >>> model = d2l.DropoutMLPScratch(
        ...     num_outputs=10, num_hiddens_1=256, num_hiddens_2=256,
        ...     dropout_1=0.5, dropout_2=0.5, lr=0.1,
        ... )
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 5.6.3.
    """

    def _define_layers(self) -> None:
        self.lin1 = keras.layers.Dense(self.num_hiddens_1, activation="relu")
        self.lin2 = keras.layers.Dense(self.num_hiddens_2, activation="relu")
        self.lin3 = keras.layers.Dense(self.num_outputs)
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


class DropoutMLP(_DropoutClassifier):
    """The same network as a Keras `Sequential`; gives logits.

    Example:
        >>> model = d2l.DropoutMLP(
        ...     num_outputs=10, num_hiddens_1=256, num_hiddens_2=256,
        ...     dropout_1=0.5, dropout_2=0.5, lr=0.1,
        ... )
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 5.6.4.
    """

    def _define_layers(self) -> None:
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(self.num_hiddens_1, activation="relu"),
                keras.layers.Dropout(self.dropout_1),
                keras.layers.Dense(self.num_hiddens_2, activation="relu"),
                keras.layers.Dropout(self.dropout_2),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(self.num_outputs, dtype="float32"),
            ]
        )
