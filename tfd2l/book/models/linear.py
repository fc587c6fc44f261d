"""Linear regression. D2L 3.4, 3.5, 3.7."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from tfd2l.book import functional
from tfd2l.book.models.arguments import checked
from tfd2l.book.module import Module
from tfd2l.book.optim import SGD

__all__ = ["LinearRegression", "LinearRegressionScratch", "WeightDecay", "WeightDecayScratch"]


class LinearRegressionScratch(Module):
    """y = Xw + b on two variables (`tf.Variable`), with half the mean squared error as loss.

    Example:
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> model(tf.zeros((5, 2))).shape
        TensorShape([5, 1])

    Source: D2L 3.4.
    """

    lr: float

    @checked
    def __init__(self, num_inputs: int, lr: float, sigma: float = 0.01) -> None:
        """Draw w, (num_inputs, 1), from a normal of standard deviation `sigma`; b is zero."""
        super().__init__()
        self.save_hyperparameters()
        self.w = tf.Variable(tf.random.normal((num_inputs, 1), stddev=sigma), name="w")
        self.b = tf.Variable(tf.zeros(1), name="b")

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """(n, num_inputs) float32 -> (n, 1) float32."""
        return tf.matmul(X, self.w) + self.b

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Half the mean squared error of (n, 1) predictions: () float32."""
        return tf.reduce_mean(functional.squared_loss(y_hat, y))

    def configure_optimizers(self) -> SGD:
        """Minibatch stochastic gradient descent from scratch."""
        return SGD(self.lr)

    def get_w_b(self) -> tuple[tf.Variable, tf.Variable]:
        """The weights (num_inputs, 1) and the bias (1,)."""
        return self.w, self.b


class LinearRegression(Module):
    """Linear regression as one Keras layer, with the mean squared error as loss.

    The loss lacks the factor 1/2 of the scratch twin, so its gradient is twice as large.

    Example:
        >>> model = d2l.LinearRegression(lr=0.03)
        >>> model(tf.zeros((5, 2))).shape
        TensorShape([5, 1])

    Source: D2L 3.5.
    """

    @checked
    def __init__(self, lr: float) -> None:
        """Make a dense layer with one output; the first batch sets the size of its input."""
        super().__init__()
        self.save_hyperparameters()
        initializer = keras.initializers.RandomNormal(stddev=0.01)
        self.net = keras.layers.Dense(1, kernel_initializer=initializer)

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The mean squared error of (n, 1) predictions: () float32."""
        return 2 * tf.reduce_mean(functional.squared_loss(y_hat, y))

    def get_w_b(self) -> tuple[Any, Any]:
        """The weights (num_inputs, 1) and the bias (1,)."""
        return self.net.kernel, self.net.bias


class WeightDecayScratch(LinearRegressionScratch):
    """Linear regression whose loss adds `lambd` times half the squared norm of w.

    Example:
        >>> model = d2l.WeightDecayScratch(num_inputs=2, lambd=3, lr=0.01)
        >>> model.w.assign([[1.0], [2.0]]).shape
        TensorShape([2, 1])
        >>> y = model(tf.ones((1, 2)))
        >>> float(model.loss(y, y))  # no error, so the penalty alone: 3 * (1 + 4) / 2
        7.5

    Source: D2L 3.7.3.
    """

    lambd: float

    @checked
    def __init__(self, num_inputs: int, lambd: float, lr: float, sigma: float = 0.01) -> None:
        """As `LinearRegressionScratch`; `lambd` is the weight of the penalty, 0 for none."""
        super().__init__(num_inputs, lr, sigma)
        # The parent has saved the others.
        self.save_hyperparameters(ignore=["num_inputs", "lr", "sigma"])

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """Half the mean squared error and the penalty: () float32."""
        return super().loss(y_hat, y) + self.lambd * functional.l2_penalty(self.w)


class WeightDecay(LinearRegression):
    """Linear regression whose layer has Keras' own penalty on w, `wd` times its squared norm.

    Penalty and squared error both lack the scratch twin's factor 1/2, so that `wd` weighs them as
    `lambd` does there. The bias has no penalty.

    Example:
        >>> model = d2l.WeightDecay(wd=3, lr=0.01)
        >>> model(tf.zeros((5, 2))).shape
        TensorShape([5, 1])

    Source: D2L 3.7.4.
    """

    @checked
    def __init__(self, wd: float, lr: float) -> None:
        """Make a dense layer with one output; `wd` is the weight of the penalty, 0 for none."""
        super().__init__(lr)
        self.save_hyperparameters(ignore=["lr"])
        self.net = keras.layers.Dense(
            1,
            kernel_initializer=keras.initializers.RandomNormal(stddev=0.01),
            kernel_regularizer=keras.regularizers.L2(wd),
        )

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        """The mean squared error and the penalty: () float32."""
        return super().loss(y_hat, y) + tf.add_n(self.net.losses)
