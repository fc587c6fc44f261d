"""Softmax regression. D2L 4.4, 4.5."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfd2l.book import functional
from tfd2l.book.models.arguments import checked
from tfd2l.book.module import Classifier
from tfd2l.book.optim import SGD

__all__ = ["SoftmaxRegression", "SoftmaxRegressionScratch"]


class SoftmaxRegressionScratch(Classifier):
    """softmax(XW + b) on two variables (`tf.Variable`); gives probabilities, as the book's does.

    Example:
        >>> model = d2l.SoftmaxRegressionScratch(num_inputs=784, num_outputs=10, lr=0.1)
        >>> probabilities = model(tf.zeros((2, 28, 28, 1)))
        >>> print(probabilities[0].numpy().round(2))  # of an empty image: all alike
        [0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1 0.1]

    Source: D2L 4.4.
    """

    lr: float

    @checked
    def __init__(self, num_inputs: int, num_outputs: int, lr: float, sigma: float = 0.01) -> None:
        """Draw W, (num_inputs, num_outputs), from a normal of deviation `sigma`; b is zero."""
        super().__init__()
        self.save_hyperparameters()
        self.W = tf.Variable(tf.random.normal((num_inputs, num_outputs), stddev=sigma), name="W")
        self.b = tf.Variable(tf.zeros(num_outputs), name="b")

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        """(n, ...) float32 with num_inputs numbers an example -> (n, num_outputs) float32."""
        return tf.matmul(functional.flattened(X, self.W.shape[0]), self.W) + self.b

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """(n, ...) float32 -> (n, num_outputs) float32 probabilities."""
        return functional.softmax(self.logits(X))

    def loss(self, Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
        """Cross-entropy of probabilities against class ids, in nats: () or (n,) float32."""
        if averaged:
            return functional.cross_entropy(Y_hat, Y)
        return -tf.math.log(tf.gather(Y_hat, Y, batch_dims=1))

    def configure_optimizers(self) -> SGD:
        """Minibatch stochastic gradient descent from scratch."""
        return SGD(self.lr)


class SoftmaxRegression(Classifier):
    """Softmax regression as Keras layers; gives logits.

    Example:
        >>> model = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
        >>> model(tf.zeros((2, 28, 28, 1))).shape
        TensorShape([2, 10])

    Source: D2L 4.5.
    """

    @checked
    def __init__(self, num_outputs: int, lr: float) -> None:
        """Make a dense layer on the flattened input; the first batch sets the size of its input."""
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(
            # Logits stay float32 under mixed precision: their softmax needs it.
            [keras.layers.Flatten(), keras.layers.Dense(num_outputs, dtype="float32")]
        )
