"""The base classes of models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import whole_number
from tfd2l.book import functional
from tfd2l.book.board import ProgressBoard
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.book.nn_module import nn_Module
from tfd2l.book.optim import learning_rate

if TYPE_CHECKING:
    from tfd2l.book.trainer import Trainer

Batch = tuple[tf.Tensor, ...]


class Module(nn_Module, HyperParameters):
    """The base class of models: parameters, loss, steps and optimizer in one object.

    Attributes may be `tf.Variable`s, Keras layers and models, other modules, and lists or dicts of
    them; `trainable_variables` finds the parameters of all. Subclasses define `forward` (or an
    attribute `net` that it calls) and `loss`; the steps and the optimizer can be replaced as well,
    and run compiled all the same.

    Source: D2L 3.2.2.
    """

    trainer: Trainer

    def __init__(self, plot_train_per_epoch: int = 2, plot_valid_per_epoch: int = 1) -> None:
        """Set up the board; it gets so many points of a curve in each epoch."""
        super().__init__()
        plot_train_per_epoch = whole_number("plot_train_per_epoch", plot_train_per_epoch)
        plot_valid_per_epoch = whole_number("plot_valid_per_epoch", plot_valid_per_epoch)
        self.save_hyperparameters()
        self.board = ProgressBoard()

    def call(self, *inputs: Any) -> Any:
        """`forward` of the inputs, as the book has it."""
        return self.forward(*inputs)

    def forward(self, X: Any, *inputs: Any) -> Any:
        """The model's output for a batch: `self.net(X)`, unless a subclass says otherwise.

        Raises:
            NotImplementedError: there is neither a `forward` of the subclass nor a `net`.
        """
        if not hasattr(self, "net"):
            raise NotImplementedError(
                f"{type(self).__name__} has no forward(X) and no attribute net; define either."
            )
        return self.net(X, *inputs)

    def loss(self, y_hat: Any, y: Any) -> Any:
        """The number to make small, () float, for predictions and targets."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(y_hat, y); define it.")

    def training_step(self, batch: Batch) -> tf.Tensor:
        """The loss of a batch whose last entry is the targets, () float; also drawn."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Draw the loss of a validation batch."""
        loss = self.loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=False)

    @do_not_convert
    def plot(self, key: str, value: Any, train: bool) -> None:
        """Add a value to the curve `train_<key>` or `val_<key>`, compiled or not.

        Args:
            key: what the value is, e.g. 'loss'.
            value: () float; of a larger tensor the mean is taken.
            train: whether this is a training step's value.

        Raises:
            RuntimeError: the model is not being trained.
        """
        trainer = getattr(self, "trainer", None)
        if trainer is None:
            raise RuntimeError(
                "plot needs a trainer, and this model has none yet; call it within "
                "Trainer.fit(model, data)."
            )
        trainer.record(("train_" if train else "val_") + key, value, train)

    def configure_optimizers(self) -> Any:
        """The optimizer: anything with `apply_gradients`; by default plain SGD at `self.lr`.

        Raises:
            NotImplementedError: the model has no `lr`.
            ValueError: its `lr` can't be one.
        """
        if not hasattr(self, "lr"):
            raise NotImplementedError(
                f"{type(self).__name__} has no lr; save one with save_hyperparameters(), or "
                "define configure_optimizers()."
            )
        return keras.optimizers.SGD(learning_rate(self.lr))


class Classifier(Module):
    """The base class of models that tell classes apart; `forward` gives logits, (n, q).

    Source: D2L 4.3.
    """

    @do_not_convert
    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> tf.Tensor:
        """Cross-entropy of logits against class ids, in nats.

        Args:
            Y_hat: (..., q) float; logits.
            Y: (...) int; class ids in [0, q).
            averaged: False gives one loss for each example.

        Returns:
            () float32, or (n,) float32.

        Source: D2L 4.5.
        """
        # Losses are summed over many examples, which half precision can't carry.
        logits = tf.cast(tf.reshape(Y_hat, (-1, Y_hat.shape[-1])), tf.float32)
        losses = functional.cross_entropy_from_logits(logits, tf.reshape(Y, (-1,)))
        return tf.reduce_mean(losses) if averaged else losses

    def validation_step(self, batch: Batch) -> None:
        """Draw loss and accuracy of a validation batch."""
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    @do_not_convert
    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> tf.Tensor:
        """Share of examples whose highest score is at the true class.

        Args:
            Y_hat: (..., q) float; scores.
            Y: (...) int; class ids in [0, q).
            averaged: False gives the examples' own 0 or 1.

        Returns:
            () float32 in [0, 1], or (n,) float32.

        Source: D2L 4.3.2.
        """
        scores = tf.reshape(Y_hat, (-1, Y_hat.shape[-1]))
        return functional.accuracy(scores, tf.reshape(Y, (-1,)), averaged)

    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the output shape of each layer of `self.net` for an input of shape `X_shape`.

        Source: D2L 7.6.
        """
        X = tf.random.normal(X_shape)
        for layer in self.net.layers:
            X = layer(X)
            print(f"{type(layer).__name__:<20} output shape: {tuple(X.shape)}")  # noqa: T201

    def logits(self, X: Any) -> tf.Tensor:
        """Scores whose softmax is the class probabilities: (n, q) float.

        A subclass whose `forward` gives probabilities itself overrides this too.
        """
        return self(X)
