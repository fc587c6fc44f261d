"""What Python's objects hold, by name or place: attributes, entries, variables that code names.

`python_state` compares it before and after a step is traced, and between steps.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from types import FunctionType, SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.engine.user_names import OuterNames, functions_of, is_readers

PLAIN = (int, float, complex, str, bytes, type(None), np.ndarray, np.generic)
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
# Of a list, so many entries are looked at, and its length; of an array, a copy is kept up to here.
_MOST_ENTRIES = 1000
LENGTH = "its length"
Slots = dict[Any, Any]


class Trainable:
    """Which of a model's variables are trained; layers are frozen and unfrozen by that."""

    def __init__(self, model: Any) -> None:
        """Look at the variables that the model has by now."""
        self._variables = list(model.variables)

    def read(self) -> Slots:
        """Whether each is trained, by its place."""
        return {i: bool(variable.trainable) for i, variable in enumerate(self._variables)}


def holders(values: Iterable[Any], seen: set[int] | None = None) -> Iterator[Any]:
    """What has slots among the values, in what those hold, and in what their methods name."""
    seen = set() if seen is None else seen
    for value in values:
        if id(value) in seen or isinstance(value, FunctionType):
            continue
        seen.add(id(value))
        if isinstance(value, tuple):
            yield from holders(value, seen)
        elif isinstance(value, list | dict) or _is_watched(value):
            yield value
            yield from holders(slots(value).values(), seen)
            for function in functions_of(value):
                yield from _outer_names(function, seen)
        if isinstance(value, keras.layers.Layer):
            yield from holders(value._flatten_layers(include_self=False), seen)
        if isinstance(value, tf.Module) and hasattr(value, "trainable_variables"):
            yield Trainable(value)


def _outer_names(function: FunctionType, seen: set[int]) -> Iterator[Any]:
    """What a function names, what that holds, and the same of functions of its own file."""
    if id(function) in seen:
        return
    seen.add(id(function))
    names = OuterNames(function)
    yield names
    found = names.read().values()
    yield from holders(found, seen)
    for value in found:
        if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            yield from _outer_names(value, seen)


def _is_watched(value: Any) -> bool:
    """Whether it is a module, a layer, an optimizer, or an object of a reader's own class."""
    if isinstance(value, tf.Variable | keras.Variable | type | FunctionType):
        return False
    if isinstance(value, tf.Module | HyperParameters | SimpleNamespace) or is_keras(value):
        return True
    if not hasattr(value, "__dict__"):
        return False
    return hasattr(value, "apply_gradients") or is_readers(type(value).__module__)


def is_keras(value: Any) -> bool:
    """Whether it is a layer, a model or an optimizer of Keras', or made from one."""
    return isinstance(value, keras.layers.Layer | keras.optimizers.Optimizer)


def slots(holder: Any) -> Slots:
    """What it holds, by name or place."""
    if isinstance(holder, list):
        return {**dict(enumerate(holder[:_MOST_ENTRIES])), LENGTH: len(holder)}
    if isinstance(holder, dict):
        return dict(holder)
    if isinstance(holder, OuterNames | Trainable):
        return holder.read()
    if is_keras(holder):
        # What is public, and plain; the rest is Keras' own, such as whether it was built.
        return {
            name: value
            for name, value in vars(holder).items()
            if isinstance(value, PLAIN) and (name[:1] != "_" and name != "built")
        }
    own: frozenset[str] = getattr(type(holder), "LIBRARY_ATTRIBUTES", frozenset())
    return {
        name: value
        for name, value in vars(holder).items()
        if name not in own and not name.startswith("_self_")
    }


def live(holder: Any) -> Mapping[Any, Any]:
    """What it holds now, and maybe more than slots: quicker than those, for it is no copy."""
    if isinstance(holder, list | OuterNames | Trainable):
        return slots(holder)
    return holder if isinstance(holder, dict) else vars(holder)


def kept(slots: Slots) -> Slots:
    """The slots, with copies of small arrays: their numbers may be changed in place."""
    return {
        name: value.copy()
        if isinstance(value, np.ndarray) and value.size <= _MOST_ENTRIES
        else value
        for name, value in slots.items()
    }


def title(holder: Any, name: Any) -> str:
    """What an error calls a slot."""
    if isinstance(holder, list | dict):
        what = "the length" if name == LENGTH else f"[{name!r}]"
        return f"{what} of a list or dict that it uses"
    if isinstance(holder, OuterNames):
        return f"the variable {name}"
    if isinstance(holder, Trainable):
        return "which variables are trained"
    return f"{type(holder).__name__}.{name}"


def write(holder: Any, name: Any, value: Any) -> None:
    """Give a slot a value."""
    if isinstance(holder, OuterNames):
        holder.write(name, value)
    else:
        (holder if isinstance(holder, dict) else vars(holder))[name] = value


def remove(holder: Any, name: Any) -> None:
    """Remove a slot."""
    if isinstance(holder, OuterNames):
        holder.remove(name)
    else:
        del (holder if isinstance(holder, dict) else vars(holder))[name]


def equal(one: Any, other: Any) -> bool:
    """Whether plain values, or tuples and dicts of them, are of one type and equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def state_of(generator: Any) -> Any:
    """The state of a generator of random numbers, Python's or NumPy's."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.getstate()


def set_state(generator: Any, state: Any) -> None:
    """Give a generator the state that `state_of` gave."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)
