"""The losses that a model's layers own: regularizers' penalties, and what `add_loss` adds.

Keras' `fit` adds them to the loss, a loop of one's own does it by hand. Here a step may do it by
hand; what it leaves out is added.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import Any, Protocol

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from tfd2l.engine.fast_layers import fast_layers

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
        # The replicas of a step are traced in threads, in turns.
        self._of_thread = threading.local()
        self.num_watching = 0
        # Else Keras calls the function once more, on symbolic inputs, to build the layers in it.
        self.built = True

    @property
    def in_training(self) -> bool:
        """True if the running step is one of training."""
        return getattr(self._of_thread, "in_training", False)

    @in_training.setter
    def in_training(self, training: bool) -> None:
        self._of_thread.in_training = training

    @property
    def watching(self) -> list[LayerLosses]:
        """The blocks that note what the losses of the running step contain, outermost first."""
        if not hasattr(self._of_thread, "watching"):
            self._of_thread.watching = []
        return self._of_thread.watching  # type: ignore[no-any-return]

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
            with fast_layers(layers):
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
        self.penalties: list[tuple[Any, tf.Tensor]] = []
        self._counted: set[int] = set()

    @do_not_convert
    def __enter__(self) -> LayerLosses:
        """Note from here on what the loss is computed from."""
        self._phase.watching.append(self)
        self._phase.num_watching += 1
        self._tape.__enter__()
        # A loss of layers whose variables are all frozen depends on nothing that the tape watches.
        self._tape.watch([loss for loss in self._model.losses if loss.dtype.is_floating])
        regularized = self._regularized()
        self._num_regularized = len(regularized)
        for variable, regularizer in regularized:
            variable.regularizer = _Noting(variable, regularizer, self._phase)
        return self

    @do_not_convert
    def __exit__(self, *error: Any) -> None:
        """The loss is computed; find the losses that it should contain."""
        self._tape.__exit__(*error)
        self._num_read = len(self.penalties)
        # Read while the regularizers note, which tells the variable of each penalty.
        self._owned = [] if error[0] else self._model.losses
        self._phase.watching.remove(self)
        self._phase.num_watching -= 1
        regularized = self._regularized()
        if not self._phase.num_watching:
            for variable, regularizer in regularized:
                variable.regularizer = regularizer
        self.complete = len(regularized) == self._num_regularized

    @do_not_convert
    def added_to(self, loss: Any) -> Any:
        """The loss, and what it does not contain of the others.

        Args:
            loss: () float, computed within the `with` block.

        Returns:
            () of the loss's dtype.
        """
        # Each access to `losses` computes a penalty anew; the variable tells which it is.
        of_variable = {id(penalty): id(variable) for variable, penalty in self.penalties}
        owned = {of_variable.get(id(one), id(one)): one for one in self._owned}
        left = {key: one for key, one in owned.items() if key not in self._counted}
        # The loss of a step may be computed from this one.
        for outer in self._phase.watching:
            outer._counted.update(owned)
        if not left or loss is None:
            return loss
        read = self.penalties[: self._num_read]
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
        """The variables of layers with their regularizers, also while those note."""
        found = [(v, v.regularizer) for v in self._phase.trainable_weights if v.regularizer]
        return [(v, r.inner if self._notes(r) else r) for v, r in found]

    def _notes(self, regularizer: Any) -> bool:
        return isinstance(regularizer, _Noting) and regularizer.phase is self._phase


class _Noting:
    """A regularizer that notes each penalty in the blocks of its phase."""

    def __init__(self, variable: Any, inner: Callable[[Any], Any], phase: Phase) -> None:
        self.variable, self.inner, self.phase = variable, inner, phase

    @do_not_convert
    def __call__(self, value: Any) -> Any:
        penalty = tf.convert_to_tensor(self.inner(value))
        for block in self.phase.watching:
            block.penalties.append((self.variable, penalty))
        return penalty
