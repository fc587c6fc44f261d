"""The losses that a model's layers own: regularizers' penalties, and what `add_loss` adds.

Keras' `fit` adds them to the loss, a loop of one's own does it by hand. Here a step may do it by
hand; what it leaves out is added.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Protocol

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.engine.fused_norm import fused_batch_norms

__all__ = ["LayerLosses", "Phase"]


class Phase(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Runs a function as the body of a layer around all layers of a model.

    Keras' layers take `training` from the layer around them, at any depth, and the outermost layer
    of a call clears the losses of the call before. A module can't be that layer itself, since Keras
    does not track a `tf.Variable`.
    """

    def __init__(self, name: str | None) -> None:
        """Begin outside of training; the name is in the paths of variables that are made inside."""
        super().__init__(name=name)
        self._in_training = False
        self.watching: list[LayerLosses] = []
        # Else Keras calls the function once more, on symbolic inputs, to build the layers in it.
        self.built = True

    def hold(self, layers: Iterable[keras.layers.Layer]) -> None:
        """Be the layer around these alone."""
        # An attribute, as Keras tracks layers, would keep those that the model has replaced.
        self._layers[:] = [layer for layer in layers if layer is not self]

    def call(
        self, *, function: Callable[[], Any], training: bool | None = None
    ) -> tuple[Any, Exception | None]:
        """Return the function's result, or its error, which Keras would wrap in its own text."""
        layers = self._flatten_layers(include_self=False) if training else ()
        try:
            with fused_batch_norms(layers):
                return function(), None
        except Exception as error:
            return None, error


class HasLosses(Protocol):
    """The part of a model by which its layers' losses are found."""

    @property
    def losses(self) -> list[tf.Tensor]:
        """The losses that its layers own."""


class LayerLosses:
    """Adds to a loss those losses of a model's layers that it does not contain.

    A loss contains another if it depends on it. One that adds `sum(model.losses)` by itself, or ten
    times as much, stays as it is; one that only plots them does not contain them.
    """

    # Whether all regularizers were there before the loss was computed; of layers that were built
    # meanwhile, a penalty that the loss contains is not known.
    complete = True

    @do_not_convert
    def __init__(self, model: HasLosses, phase: Phase) -> None:
        """Take a model and the layer around its layers."""
        self._model, self._phase = model, phase
        self._tape = tf.GradientTape()
        self._penalties: list[tuple[Any, tf.Tensor]] = []
        self._counted: set[int] = set()

    @do_not_convert
    def __enter__(self) -> LayerLosses:
        """Note from here on what the loss is computed from."""
        self._phase.watching.append(self)
        self._tape.__enter__()
        # A loss of layers whose variables are all frozen depends on nothing that the tape watches.
        self._tape.watch([loss for loss in self._model.losses if loss.dtype.is_floating])
        self._regularizers = self._regularized()
        for variable, regularizer in self._regularizers:
            variable.regularizer = self._noting(variable, regularizer)
        return self

    @do_not_convert
    def __exit__(self, *error: Any) -> None:
        """The loss is computed; find the losses that it should contain."""
        self._tape.__exit__(*error)
        self._phase.watching.remove(self)
        self._num_read = len(self._penalties)
        # Read while the regularizers note, which tells the variable of each penalty.
        self._owned = [] if error[0] else self._model.losses
        for variable, regularizer in self._regularizers:
            variable.regularizer = regularizer
        self.complete = len(self._regularized()) == len(self._regularizers)

    @do_not_convert
    def added_to(self, loss: Any) -> Any:
        """The loss, and what it does not contain of the others.

        Args:
            loss: () float, computed within the `with` block.

        Returns:
            () of the loss's dtype.
        """
        # Each access to `losses` computes a penalty anew; the variable tells which it is.
        of_variable = {id(penalty): id(variable) for variable, penalty in self._penalties}
        owned = {of_variable.get(id(one), id(one)): one for one in self._owned}
        left = {key: one for key, one in owned.items() if key not in self._counted}
        # The loss of a step may be computed from this one.
        for outer in self._phase.watching:
            outer._counted.update(owned)
        if not left or loss is None:
            return loss
        read = self._penalties[: self._num_read]
        sources = [*((id(variable), penalty) for variable, penalty in read), *left.items()]
        sources = [(key, source) for key, source in sources if source.dtype.is_floating]
        gradients = self._tape.gradient(loss, [source for _, source in sources])
        for (key, _), gradient in zip(sources, gradients, strict=True):
            if gradient is not None:
                left.pop(key, None)
        for one in left.values():
            loss = loss + tf.cast(tf.reduce_sum(one), loss.dtype)
        return loss

    def _regularized(self) -> list[tuple[Any, Callable[[Any], Any]]]:
        variables = self._phase.trainable_weights
        return [(v, v.regularizer) for v in variables if v.regularizer is not None]

    def _noting(self, variable: Any, regularizer: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def noted(value: Any) -> Any:
            penalty = tf.convert_to_tensor(regularizer(value))
            self._penalties.append((variable, penalty))
            return penalty

        return noted
