"""The base classes of models."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l import functional
from tfd2l.hyperparameters import HyperParameters
from tfd2l.plotting import ProgressBoard

if TYPE_CHECKING:
    from tfd2l.trainer import Trainer

Batch = tuple[tf.Tensor, ...]


class _Phase(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Runs a function as the body of a layer.

    Keras layers called inside, at any depth, take `training` from the layer around them; this
    one has no other purpose. A `Module` can't be that layer: Keras tracks no `tf.Variable`.
    """

    def call(
        self, *, function: Callable[[], Any], training: bool | None = None
    ) -> tuple[Any, Exception | None]:
        # Raised here, an error would get Keras' words about this layer around its own.
        try:
            return function(), None
        except Exception as error:
            return None, error


class Module(tf.Module, HyperParameters):  # type: ignore[misc]  # TensorFlow has no types
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
        self.save_hyperparameters()
        self.board = ProgressBoard()
        self.training = False
        # Variables of layers that are built inside carry the layer's name in their path.
        self._phase = _Phase(name=type(self).__name__.strip("_").lower() or None)

    def __call__(self, X: Any, *inputs: Any, training: bool | None = None) -> Any:
        """`forward` of the inputs.

        Args:
            X: the first input, batch on the first axis.
            inputs: further ones.
            training: whether Dropout, BatchNormalization and the like behave as in training;
                without it, as the trainer's present phase has it, and outside of it they don't.
        """
        chosen = self.training if training is None else training
        return self.in_phase(chosen, lambda: self.forward(X, *inputs))

    def in_phase(self, training: bool, function: Callable[[], Any]) -> Any:
        """Call `function()`, in training or not, for every layer that is called within."""
        before, self.training = self.training, training
        try:
            result, error = self._phase(function=function, training=training)
        finally:
            self.training = before
        if error is not None:
            raise error
        return result

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
        """
        if not hasattr(self, "lr"):
            raise NotImplementedError(
                f"{type(self).__name__} has no lr; save one with save_hyperparameters(), or "
                "define configure_optimizers()."
            )
        return keras.optimizers.SGD(self.lr)

    @property
    def variables(self) -> list[Any]:
        """All state of the model: `tf.Variable`s and Keras variables, in order of definition."""
        return list(_variables_in(vars(self), seen=set()))

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of `variables` that training changes."""
        return [variable for variable in self.variables if variable.trainable]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of `variables` that training leaves alone, e.g. moving averages."""
        return [variable for variable in self.variables if not variable.trainable]

    @property
    def built(self) -> bool:
        """Whether all Keras layers have their variables; some wait for a first input."""
        return all(layer.built for layer in _layers_in(vars(self)) if layer is not self._phase)

    def parameters(self) -> list[Any]:
        """`trainable_variables`, by the name that PyTorch readers look for."""
        return self.trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `variables`, as NumPy arrays."""
        return [variable.numpy() for variable in self.variables]

    def set_weights(self, weights: list[np.ndarray[Any, Any]]) -> None:
        """Give `variables` these values.

        Raises:
            ValueError: their number or a shape differs; then nothing is changed.
        """
        variables = self.variables
        wanted = [tuple(variable.shape) for variable in variables]
        given = [np.shape(value) for value in weights]
        if wanted != given:
            raise ValueError(f"the weights need shapes {wanted}; got {given}.")
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)


class Classifier(Module):
    """The base class of models that tell classes apart; `forward` gives logits, (n, q).

    Source: D2L 4.3.
    """

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

    def logits(self, X: Any) -> tf.Tensor:
        """Scores whose softmax is the class probabilities: (n, q) float.

        A subclass whose `forward` gives probabilities itself overrides this too.
        """
        return self(X)


def tf_variable(variable: Any) -> tf.Variable:
    """The TensorFlow variable itself, which a Keras variable wraps."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def _layers_in(value: Any) -> Iterator[keras.layers.Layer]:
    """The outermost Keras layers in attributes, modules, lists, tuples and dicts."""
    if isinstance(value, keras.layers.Layer):
        yield value
    elif isinstance(value, tf.Module):
        yield from _layers_in(vars(value))
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _layers_in(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _layers_in(entry)


def _variables_in(value: Any, seen: set[int]) -> Iterator[Any]:
    """Each variable once, found in attributes, modules, layers, lists, tuples and dicts."""
    if id(value) in seen:
        return
    if isinstance(value, tf.Variable | keras.Variable):
        seen.add(id(value))
        yield value
    elif isinstance(value, keras.layers.Layer):
        seen.add(id(value))
        yield from _variables_in(value.variables, seen)
        # A reader's own layer may hold tf.Variables, which Keras does not list.
        yield from _variables_in(vars(value), seen)
    elif isinstance(value, tf.Module):
        seen.add(id(value))
        yield from _variables_in(vars(value), seen)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _variables_in(entry, seen)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _variables_in(entry, seen)
