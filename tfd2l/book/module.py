"""The base classes of models: Module (D2L 3.2.2) and Classifier (D2L 4.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import whole_number
from tfd2l.book import functional
from tfd2l.book.board import ProgressBoard
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.book.nn_module import nn_Module
from tfd2l.book.optim import learning_rate
from tfd2l.engine.checks import check_num_inputs, scores_and_ids

__all__ = ["Classifier", "Module"]

Batch = tuple[tf.Tensor, ...]


class Module(nn_Module, HyperParameters):
    """The base class of models: parameters, loss, steps and optimizer in one object.

    Attributes may be variables (`tf.Variable`), Keras layers and models, other modules, and lists
    or dicts of them; `trainable_variables` finds the parameters of all. Subclasses define `loss`,
    and `forward` or an attribute `net` that it calls. They may replace the steps and the optimizer
    as well, which are compiled all the same.

    Attributes:
        board: the curves of what the steps plot.
        trainer: the trainer of the last fit.

    Example:
        >>> class Mean(d2l.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.guess = tf.Variable(0.0)
        ...     def forward(self, X):
        ...         return tf.fill(tf.shape(X)[:1], self.guess)
        ...     def loss(self, y_hat, y):
        ...         return tf.reduce_mean((y_hat - y) ** 2)
        >>> model = Mean()
        >>> float(model.loss(model(tf.zeros((2, 3))), tf.constant([1.0, 3.0])))
        5.0

    Source: D2L 3.2.2.
    """

    # A d2l.Trainer, whose file imports this one.
    trainer: Any

    def __init__(self, plot_train_per_epoch: int = 2, plot_valid_per_epoch: int = 1) -> None:
        """Set up the board.

        Args:
            plot_train_per_epoch: points of a training curve in each epoch, at least 1.
            plot_valid_per_epoch: points of a validation curve in each epoch, at least 1.
        """
        super().__init__()
        plot_train_per_epoch = whole_number("plot_train_per_epoch", plot_train_per_epoch)
        plot_valid_per_epoch = whole_number("plot_valid_per_epoch", plot_valid_per_epoch)
        self.save_hyperparameters()
        self.board = ProgressBoard()

    def call(self, *inputs: Any) -> Any:
        """The output of `forward` for the inputs, as in the book."""
        return self.forward(*inputs)

    def forward(self, X: Any, *inputs: Any) -> Any:
        """The model's output for a batch: `self.net(X)`, unless a subclass overrides this.

        Args:
            X: (n, ...) the first input.
            inputs: further inputs of `net`.

        Raises:
            NotImplementedError: the subclass has neither a `forward` nor a `net`.
        """
        if not hasattr(self, "net"):
            raise NotImplementedError(
                f"{type(self).__name__} has no forward(X) and no attribute net; define either."
            )
        return self.net(X, *inputs)

    def loss(self, y_hat: Any, y: Any) -> Any:
        """The loss of predictions and targets, () float; training makes it small."""
        raise NotImplementedError(f"{type(self).__name__} has no loss(y_hat, y); define it.")

    def complete_loss(self, y_hat: Any, y: Any) -> Any:
        """The loss, () float, with the losses that the layers own: regularizers and `add_loss`.

        A `loss` that adds `sum(self.losses)` or the like by itself has nothing added.
        """
        with self.layer_losses() as owned:
            loss = self.loss(y_hat, y)
        return owned.added_to(loss)

    def training_step(self, batch: Batch) -> tf.Tensor:
        """The loss of a batch, () float, also plotted; the batch's last entry is the targets."""
        check_num_inputs(self, batch)
        loss = self.complete_loss(self(*batch[:-1]), batch[-1])
        self.plot("loss", loss, train=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Plot the loss of a validation batch, whose last entry is the targets."""
        check_num_inputs(self, batch)
        self.plot("loss", self.complete_loss(self(*batch[:-1]), batch[-1]), train=False)

    @do_not_convert
    def plot(self, key: str, value: Any, train: bool) -> None:
        """Add a value to the curve `train_<key>` or `val_<key>`, also in a compiled step.

        Args:
            key: the value's name, e.g. 'loss'.
            value: () float; a larger tensor counts by its mean.
            train: whether a training step plots it.

        Raises:
            RuntimeError: the model has no trainer yet.
        """
        trainer = getattr(self, "trainer", None)
        if trainer is None:
            raise RuntimeError(
                "plot needs a trainer, and this model has none yet; call it within "
                "Trainer.fit(model, data)."
            )
        trainer.record(("train_" if train else "val_") + key, value, train)

    @property
    def stop_training(self) -> bool:
        """`should_stop` of the model's trainer, under Keras' name."""
        return bool(self.trainer.should_stop)

    @stop_training.setter
    def stop_training(self, stop: bool) -> None:
        self.trainer.should_stop = stop

    def configure_optimizers(self) -> Any:
        """The optimizer: any object with `apply_gradients`; by default plain SGD at `self.lr`.

        Raises:
            NotImplementedError: the model has no `lr`.
            ValueError: its `lr` is not a positive number.
        """
        if not hasattr(self, "lr"):
            raise NotImplementedError(
                f"{type(self).__name__} has no lr; save one with save_hyperparameters(), or "
                "define configure_optimizers()."
            )
        lr = learning_rate(self.lr)
        # Keras reads a function's value in each step, and refuses a variable.
        is_variable = isinstance(lr, tf.Variable | keras.Variable)
        return keras.optimizers.SGD((lambda: lr) if is_variable else lr)


class Classifier(Module):
    """The base class of classifiers; `forward` returns logits, (n, q) float.

    Example:
        >>> model = d2l.Classifier()
        >>> Y_hat = tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
        >>> float(model.accuracy(Y_hat, tf.constant([0, 2])))
        0.5

    Source: D2L 4.3.
    """

    @do_not_convert
    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> tf.Tensor:
        """Cross-entropy of logits against class ids, in nats.

        Args:
            Y_hat: (..., q) float; logits.
            Y: (...) int; class ids in [0, q).
            averaged: False returns the loss of each example.

        Returns:
            () float32, or (n,) float32 where not averaged.

        Source: D2L 4.5.
        """
        logits, ids = scores_and_ids(Y_hat, Y)
        # Half precision is too coarse for sums over many examples.
        losses = functional.cross_entropy_from_logits(tf.cast(logits, tf.float32), ids)
        return tf.reduce_mean(losses) if averaged else losses

    def validation_step(self, batch: Batch) -> None:
        """Plot loss and accuracy of a validation batch, whose last entry is the class ids."""
        check_num_inputs(self, batch)
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.complete_loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    @do_not_convert
    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> tf.Tensor:
        """The share of examples whose highest score is that of the true class.

        Args:
            Y_hat: (..., q) float; scores.
            Y: (...) int; class ids in [0, q).
            averaged: False returns 0 or 1 for each example.

        Returns:
            () float32 in [0, 1], or (n,) float32 where not averaged.

        Source: D2L 4.3.2.
        """
        return functional.accuracy(*scores_and_ids(Y_hat, Y), averaged)

    def layer_summary(self, X_shape: Sequence[int]) -> None:
        """Print the output shape of each layer of `self.net` for an input of shape `X_shape`.

        Source: D2L 7.6.
        """
        X = tf.random.normal(X_shape)
        for layer in self.net.layers:
            X = layer(X)
            print(f"{type(layer).__name__:<20} output shape: {tuple(X.shape)}")  # noqa: T201

    def logits(self, X: Any) -> tf.Tensor:
        """The scores whose softmax is the class probabilities, (n, q) float.

        A subclass whose `forward` returns probabilities overrides this as well.
        """
        return self(X)
