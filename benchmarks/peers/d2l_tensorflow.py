"""The book's own package on the last TensorFlow with which it trains: eager, batch by batch."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from typing import Any

import tensorflow as tf
from d2l import tensorflow as d2l

from benchmarks.peers.common import NUM_HIDDENS, Data, Epochs, Workload, main


class SoftmaxScratch(d2l.Classifier):
    """Softmax regression from scratch, as in the book's section 4.4."""

    def __init__(self, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W = tf.Variable(tf.random.normal((784, 10), stddev=sigma))
        self.b = tf.Variable(tf.zeros(10))

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """Return probabilities."""
        X_exp = tf.exp(tf.reshape(X, (-1, 784)) @ self.W + self.b)
        return X_exp / tf.reduce_sum(X_exp, 1, keepdims=True)

    def loss(self, Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
        """Return the cross-entropy of probabilities."""
        chosen = tf.boolean_mask(Y_hat, tf.one_hot(Y, depth=Y_hat.shape[-1]))
        return -tf.reduce_mean(tf.math.log(chosen))


class MLPScratch(d2l.Classifier):
    """The MLP from scratch, as in section 5.2."""

    def __init__(self, lr: float, sigma: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W1 = tf.Variable(tf.random.normal((784, NUM_HIDDENS)) * sigma)
        self.b1 = tf.Variable(tf.zeros(NUM_HIDDENS))
        self.W2 = tf.Variable(tf.random.normal((NUM_HIDDENS, 10)) * sigma)
        self.b2 = tf.Variable(tf.zeros(10))

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        """Return logits."""
        H = tf.math.maximum(tf.reshape(X, (-1, 784)) @ self.W1 + self.b1, 0)
        return H @ self.W2 + self.b2


class MLP(d2l.Classifier):
    """The concise MLP, as in section 5.2."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = tf.keras.models.Sequential(
            [
                tf.keras.layers.Flatten(),
                tf.keras.layers.Dense(NUM_HIDDENS, activation="relu"),
                tf.keras.layers.Dense(10),
            ]
        )


class Given(d2l.DataModule):
    """W1's features and targets."""

    def __init__(self, data: Data, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["data"])
        self.data = data

    def get_dataloader(self, train: bool) -> Any:
        """Return batches of features and targets."""
        return self.get_tensorloader(self.data.train if train else self.data.val, train)


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Fit the book's model without drawing its board."""
    tf.keras.utils.set_random_seed(0)
    # Its data module loads the files by Keras, which would download them.
    tf.keras.datasets.fashion_mnist.load_data = lambda: (data.train, data.val)

    class Trainer(d2l.Trainer):
        def fit_epoch(self) -> None:
            epochs.start()
            super().fit_epoch()
            measured = self.model.board.data["val_loss" if workload.is_linear else "val_acc"][-1]
            epochs.end(float(measured.y))

    lr = workload.lr
    if workload.is_linear:
        module, model = Given(data, workload.batch_size), d2l.LinearRegressionScratch(2, lr)
    else:
        module = d2l.FashionMNIST(batch_size=workload.batch_size)
        model = {"W2": SoftmaxScratch, "W3": MLPScratch, "W4": MLP}[workload.name](lr)
    model.board.display = False
    Trainer(max_epochs=num_epochs).fit(model, module)


if __name__ == "__main__":
    main(run)
