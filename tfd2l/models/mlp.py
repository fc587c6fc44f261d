"""The multilayer perceptron with one hidden layer."""

from __future__ import annotations

import keras
import tensorflow as tf

from tfd2l import functional
from tfd2l.module import Classifier
from tfd2l.optim import SGD


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
        self.save_hyperparameters()
        self.W1 = tf.Variable(tf.random.normal((num_inputs, num_hiddens), stddev=sigma), name="W1")
        self.b1 = tf.Variable(tf.zeros(num_hiddens), name="b1")
        self.W2 = tf.Variable(tf.random.normal((num_hiddens, num_outputs), stddev=sigma), name="W2")
        self.b2 = tf.Variable(tf.zeros(num_outputs), name="b2")

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """(n, ...) float32 with num_inputs numbers an example -> (n, num_outputs) float32."""
        X = tf.reshape(X, (-1, self.num_inputs))
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
        self.save_hyperparameters()
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(num_hiddens, activation="relu"),
                # Logits stay float32 under mixed precision: their softmax needs it.
                keras.layers.Dense(num_outputs, dtype="float32"),
            ]
        )
