"""The base class that holds a model's parameters and the losses of its layers. D2L 3.2.2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tfd2l.book.summary import representation, summary_of
from tfd2l.book.torch_names import TorchNames
from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.common.hints import MODEL, missing_attribute
from tfd2l.engine.checkpoint import load_checkpoint
from tfd2l.engine.layer_losses import LayerLosses, Phase
from tfd2l.engine.prediction import predictions
from tfd2l.engine.variable_names import assign_all
from tfd2l.engine.variables import layers_in, metrics_in, variables_in

__all__ = ["nn_Module"]


class nn_Module(TorchNames, tf.Module):  # type: ignore[misc]  # noqa: N801 - the book's name
    """Holds parameters of every kind; called on inputs, it returns the output of `call`.

    Attributes may be variables (`tf.Variable`), Keras layers and models, other modules, and lists
    or dicts of them; `trainable_variables` finds the parameters of all. `keras.Model` does not find
    a `tf.Variable`, and its constructor hides a method named `loss`; `tf.Module` does not find the
    variables of a Keras layer. Subclasses define `call`.

    Example:
        >>> class Line(d2l.nn_Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.slope = tf.Variable(2.0)
        ...     def call(self, X):
        ...         return self.slope * X
        >>> line = Line()
        >>> float(line(3.0)), len(line.trainable_variables)
        (6.0, 1)

    Source: D2L 3.2.2, where it is the framework's own class.
    """

    def __init__(self) -> None:
        """Begin outside of training."""
        super().__init__()
        self._make_phase()

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError for a missing attribute, with the likeliest reason."""
        if "_phase" not in vars(self) and not name.startswith("__"):
            raise AttributeError(
                f"{type(self).__name__} has no {name!r}: its __init__ must call "
                "super().__init__() first."
            )
        raise missing_attribute(self, name, MODEL)

    def __repr__(self) -> str:
        """The class with its arguments, the numbers of parameters and epochs, and the parts."""
        return representation(self)

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`: everything but the trainer and the layer, which Keras can't copy."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("trainer", "_phase")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore what `__getstate__` returned."""
        parents: Any = super()
        if hasattr(parents, "__setstate__"):
            parents.__setstate__(state)
        else:
            self.__dict__.update(state)
        self._make_phase()

    @property
    def training(self) -> bool:
        """True if layers behave as in training by default."""
        # Kept in the layer: it changes between steps, and attributes of the model are watched.
        return bool(self._phase.in_training)

    @training.setter
    def training(self, training: bool) -> None:
        self._phase.in_training = training

    def _make_phase(self) -> None:
        # Variables of layers that are built inside have the layer's name in their path. Set without
        # TensorFlow's tracking, whose records would end up in copies.
        name = type(self).__name__.strip("_").lower() or None
        object.__setattr__(self, "_phase", Phase(name))

    def __call__(self, *inputs: Any, training: bool | None = None, **named: Any) -> Any:
        """The output of `call` for the inputs.

        Args:
            inputs: arguments of `call`, with the batch on the first axis.
            training: whether Dropout, BatchNormalization and the like behave as in training; by
                default they do in the trainer's training steps only.
            named: further arguments of `call`.
        """
        chosen = bool(self.training) if training is None else training
        return self.in_phase(chosen, lambda: self.call(*inputs, **named))

    def call(self, *inputs: Any) -> Any:
        """The output for a batch; a subclass defines it."""
        raise NotImplementedError(f"{type(self).__name__} has no call(X); define it.")

    def in_phase(self, training: bool, function: Callable[[], Any]) -> Any:
        """The result of `function()`, with all layers that it calls in training or not."""
        before, self.training = self.training, training
        self._phase.hold(layers_in(vars(self), seen=set()))
        try:
            result, error = self._phase(function=function, training=training)
        finally:
            self.training = before
        if error is not None:
            raise error
        return result

    @property
    def variables(self) -> list[Any]:
        """All state: parameters, and the variables of random generators, metrics and optimizers."""
        return list(variables_in(vars(self), seen=set()))

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of `variables` that training changes."""
        return [variable for variable in self.variables if variable.trainable]

    @property
    def non_trainable_variables(self) -> list[Any]:
        """Those of `variables` that training does not change by gradients, e.g. moving averages."""
        return [variable for variable in self.variables if not variable.trainable]

    @property
    def weights(self) -> list[Any]:
        """`variables` without the state of random generators, metrics and optimizers."""
        return list(variables_in(vars(self), seen=set(), weights_only=True))

    @property
    def built(self) -> bool:
        """True if all Keras layers have their variables; some get them on the first input."""
        return all(layer.built for layer in layers_in(vars(self), seen=set()))

    @property
    def losses(self) -> list[Any]:
        """The losses that the layers own, () float each, as in Keras.

        They are the penalties of the regularizers of trainable variables, as the variables are
        now, and what `add_loss` and activity regularizers added in the last outermost call. In a
        step of a fit, that call is the step with all calls in it.
        """
        self._phase.hold(layers_in(vars(self), seen=set()))
        losses: list[Any] = self._phase.losses
        # A call that was traced leaves symbolic tensors, which have no value outside of its graph.
        symbolic = tf.is_symbolic_tensor if tf.executing_eagerly() else lambda loss: False
        return [loss for loss in losses if not symbolic(loss)]

    def add_loss(self, loss: Any) -> None:
        """Add a loss, () float, to `losses`; for use in `call` or `forward`, as in Keras."""
        self._phase.add_loss(loss)

    def reset_metrics(self) -> None:
        """Let all Keras metrics begin anew; a fit does so before each pass over data."""
        for metric in metrics_in(vars(self), seen=set()):
            metric.reset_state()

    def layer_losses(self) -> LayerLosses:
        """A `with` block that sees which of `losses` are in the loss that is computed in it."""
        return LayerLosses(self, self._phase)

    def parameters(self) -> list[Any]:
        """`trainable_variables`, under PyTorch's name."""
        return self.trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`: NumPy arrays of the variables' shapes and dtypes."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: list[np.ndarray[Any, Any]]) -> None:
        """Assign values to `weights`.

        Args:
            weights: arrays of the variables' shapes, in the order of `get_weights`.

        Raises:
            ValueError: their number or a shape differs, or one has no numbers; then nothing is
                changed.
        """
        variables = self.weights
        wanted = [tuple(variable.shape) for variable in variables]
        given = [np.shape(value) for value in weights]
        if wanted != given:
            unbuilt = (
                "" if self.built else " Call the model on a batch first: it has no weights yet."
            )
            raise ValueError(f"the weights need shapes {wanted}; got {given}.{unbuilt}")
        assign_all(variables, weights)

    def save_weights(self, path: Path | str) -> None:
        """Write the values of `weights` to one file, whole or not at all."""
        write_weights(Path(path), self.get_weights())

    def load_weights(self, path: Path | str) -> None:
        """Read the file that `save_weights` of an equal model wrote, or a checkpoint of its fit.

        Raises:
            ValueError: the file is another kind of file, is damaged, or belongs to another model;
                then nothing is changed.
        """
        weights, about = read_weights(Path(path))
        if about is None:
            self.set_weights(weights)
        else:
            load_checkpoint(Path(path), self)

    def predict(self, X: Any, batch_size: int | None = None) -> Any:
        """The outputs for all examples, in inference mode, as NumPy arrays.

        The output is that of the model itself, as in Keras: logits or probabilities of a
        classifier, whichever its `forward` returns. The model is called eagerly, batch by batch.

        Args:
            X: (n, ...) the inputs in memory: an array, a tensor or a nested list; a tuple of them
                for a model of several inputs; a dict for a model whose input is one. Floats become
                Keras' default, float32, unless they are tensors. Or batches: a `tf.data.Dataset`
                or another loader, whose tuples end with the targets, which are left out.
            batch_size: examples of a call, 32 by default; a loader has batches of its own.

        Returns:
            An array, (n, ...), or the structure of arrays that the model returns.

        Raises:
            ValueError: there are no examples or no end of them, inputs differ in their number of
                examples, or a loader comes with a `batch_size`.

        Example:
            >>> model = d2l.MLP(num_outputs=10, num_hiddens=256, lr=0.1)
            >>> model.predict(np.zeros((100, 28, 28, 1))).shape
            (100, 10)
        """
        return predictions(lambda *inputs: self(*inputs, training=False), X, batch_size)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print a table of the parts, the shapes of their variables and their parameters."""
        print_fn(summary_of(type(self).__name__, vars(self), self.weights))
