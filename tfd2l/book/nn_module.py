"""What holds a model's parameters: `nn_Module`, and the search for variables that it stands on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.book.summary import summary_of
from tfd2l.common.arrays import read_weights, write_weights


class _Phase(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Runs a function as the body of a layer.

    Keras layers called inside, at any depth, take `training` from the layer around them; this
    one has no other purpose. A module can't be that layer: Keras tracks no `tf.Variable`.
    """

    def call(
        self, *, function: Callable[[], Any], training: bool | None = None
    ) -> tuple[Any, Exception | None]:
        # Raised here, an error would get Keras' words about this layer around its own.
        try:
            return function(), None
        except Exception as error:
            return None, error


class nn_Module(tf.Module):  # type: ignore[misc]  # noqa: N801 - the name the book gives it
    """Holds parameters of every kind, and is called on inputs, in training or not.

    Attributes may be `tf.Variable`s, Keras layers and models, other modules, and lists or dicts of
    them; `trainable_variables` finds the parameters of all. `keras.Model` finds no `tf.Variable`,
    and its constructor hides a method named `loss`; `tf.Module` finds no variable of a Keras
    layer. Subclasses define `call`.

    Source: D2L 3.2.2, where it is the framework's own class.
    """

    # For PythonState: what changes between steps without being a reader's.
    LIBRARY_ATTRIBUTES = frozenset({"trainer", "board", "training", "_phase", "hparams"})

    def __init__(self) -> None:
        """Begin outside of training."""
        super().__init__()
        self.training = False
        self._make_phase()

    def __getattr__(self, name: str) -> Any:
        """Called for attributes that are missing, to say what is if it is those set above."""
        if name in self.LIBRARY_ATTRIBUTES and "_phase" not in vars(self):
            raise AttributeError(
                f"{type(self).__name__}.__init__ must call super().__init__() first, which sets up "
                f"{name!r}."
            )
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """For `copy.deepcopy`: all but the trainer, and the layer that Keras can't make anew."""
        state: dict[str, Any] = super().__getstate__()
        return {name: value for name, value in state.items() if name not in ("trainer", "_phase")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """What `__getstate__` gave."""
        parents: Any = super()
        if hasattr(parents, "__setstate__"):
            parents.__setstate__(state)
        else:
            self.__dict__.update(state)
        self._make_phase()

    def _make_phase(self) -> None:
        # Variables of layers that are built inside carry the layer's name in their path. Set past
        # TensorFlow's tracking, whose records would keep it in copies.
        name = type(self).__name__.strip("_").lower() or None
        object.__setattr__(self, "_phase", _Phase(name=name))

    def __call__(self, *inputs: Any, training: bool | None = None, **named: Any) -> Any:
        """`call` of the inputs.

        Args:
            inputs: what `call` takes, batch on the first axis.
            training: whether Dropout, BatchNormalization and the like behave as in training;
                without it, as the trainer's present phase has it, and outside of it they don't.
            named: further arguments of `call`.
        """
        chosen = bool(self.training) if training is None else training
        return self.in_phase(chosen, lambda: self.call(*inputs, **named))

    def call(self, *inputs: Any) -> Any:
        """The output for a batch."""
        raise NotImplementedError(f"{type(self).__name__} has no call(X); define it.")

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

    @property
    def variables(self) -> list[Any]:
        """All state: `tf.Variable`s and Keras variables, random generators' too."""
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
    def weights(self) -> list[Any]:
        """`variables` without the states of random generators."""
        layers = list(_layers_in(vars(self)))
        others = {id(v) for layer in layers for v in layer.variables}
        others -= {id(v) for layer in layers for v in layer.weights}
        others |= {id(state) for state in _generator_states(vars(self).values())}
        return [variable for variable in self.variables if id(variable) not in others]

    @property
    def built(self) -> bool:
        """Whether all Keras layers have their variables; some wait for a first input."""
        return all(layer.built for layer in _layers_in(vars(self)) if layer is not self._phase)

    def parameters(self) -> list[Any]:
        """`trainable_variables`, by the name that PyTorch readers look for."""
        return self.trainable_variables

    def get_weights(self) -> list[np.ndarray[Any, Any]]:
        """The values of `weights`, as NumPy arrays."""
        return [variable.numpy() for variable in self.weights]

    def set_weights(self, weights: list[np.ndarray[Any, Any]]) -> None:
        """Give `weights` these values.

        Raises:
            ValueError: their number or a shape differs; then nothing is changed.
        """
        variables = self.weights
        wanted = [tuple(variable.shape) for variable in variables]
        given = [np.shape(value) for value in weights]
        if wanted != given:
            unbuilt = (
                "" if self.built else " Call the model on a batch first: it has no weights yet."
            )
            raise ValueError(f"the weights need shapes {wanted}; got {given}.{unbuilt}")
        for variable, value in zip(variables, weights, strict=True):
            variable.assign(value)

    def save_weights(self, path: Path | str) -> None:
        """Write the values of `weights` to a file of any name, whole or not at all."""
        write_weights(Path(path), self.get_weights())

    def load_weights(self, path: Path | str) -> None:
        """Read what `save_weights` of such a model wrote.

        Raises:
            ValueError: the file is none of those, is damaged, or is of another model; then
                nothing is changed.
        """
        weights, _ = read_weights(Path(path))
        self.set_weights(weights)

    def summary(self, print_fn: Callable[[str], Any] = print) -> None:
        """Print the parts with their variables' shapes and numbers of parameters."""
        print_fn(summary_of(type(self).__name__, vars(self), self.weights))


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


def _generator_states(values: Any) -> Iterator[Any]:
    """States of random generators that are attributes themselves."""
    for value in values:
        if isinstance(value, keras.random.SeedGenerator | tf.random.Generator):
            yield value.state


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
    elif isinstance(value, keras.random.SeedGenerator | tf.random.Generator):
        yield from _variables_in(value.state, seen)
    elif isinstance(value, Mapping):
        for entry in value.values():
            yield from _variables_in(entry, seen)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from _variables_in(entry, seen)
