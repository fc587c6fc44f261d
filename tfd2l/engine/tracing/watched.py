"""Finds the Python objects that a step may use, and reads what they hold.

`python_state` compares that before and after a step is traced, and between steps. Watched are the
attributes of models, layers, optimizers and of objects of the user's own classes, the entries of
lists and dicts in them, and the global and enclosing variables that the user's methods name.
"""

from __future__ import annotations

import inspect
import random
import sys
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from types import CodeType, FunctionType, SimpleNamespace
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.engine.callback import OutsideSteps

__all__ = ["GENERATORS", "LENGTH", "PLAIN", "Contents", "OuterVariables",
           "Trainable", "contents", "copied", "current", "describe", "equal", "generator_state",
           "is_keras", "is_user_code", "set_generator_state", "watched_objects"]  # fmt: skip

# A watched object's attributes, entries or variables, by name or place.
Contents = dict[Any, Any]
PLAIN = (int, float, complex, str, bytes, type(None), np.ndarray, np.generic)
GENERATORS = (random.Random, np.random.Generator, np.random.RandomState)
LENGTH = "its length"
# Entries of a list that are compared; elements of an array that is copied to be compared.
_MAX_ENTRIES = 1000
# The project's own functions keep their state in the objects themselves.
_OWN_PACKAGES = {"tfd2l", "pipelines"}
_INSTALLED = ("site-packages", "dist-packages")


class Trainable:
    """Tells which variables of a model are trained; layers are frozen and unfrozen by that."""

    def __init__(self, model: Any) -> None:
        """Look at the variables that the model has by now."""
        self._variables = list(model.variables)

    def read(self) -> Contents:
        """The `trainable` of each variable, by its place."""
        return {i: bool(variable.trainable) for i, variable in enumerate(self._variables)}


class OuterVariables:
    """The variables outside of a function, global or of enclosing functions, that it names."""

    def __init__(self, function: FunctionType) -> None:
        """Look at the function's code, and at that of the functions inside it."""
        self._globals = function.__globals__
        self._names = sorted(set(_names_in(function.__code__)) & self._globals.keys())
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        self._cells = dict(cells)

    def read(self) -> Contents:
        """The values of those variables that have one, by name."""
        found = {name: self._globals[name] for name in self._names if name in self._globals}
        for name, cell in self._cells.items():
            try:
                found[name] = cell.cell_contents
            except ValueError:  # the variable has no value yet
                continue
        return found


def watched_objects(values: Iterable[Any], seen: set[int] | None = None) -> Iterator[Any]:
    """The watched objects among `values`, in what those hold, and in what their methods name."""
    seen = set() if seen is None else seen
    for value in values:
        if id(value) in seen or isinstance(value, FunctionType | OutsideSteps):
            continue
        seen.add(id(value))
        if isinstance(value, tuple):
            yield from watched_objects(value, seen)
        elif isinstance(value, list | dict) or _is_watched(value):
            yield value
            yield from watched_objects(contents(value).values(), seen)
            for function in _user_functions(value):
                yield from _outer_variables(function, seen)
        if isinstance(value, keras.layers.Layer):
            yield from watched_objects(value._flatten_layers(include_self=False), seen)
        if isinstance(value, tf.Module) and hasattr(value, "trainable_variables"):
            yield Trainable(value)


def contents(watched: Any) -> Contents:
    """A copy of what a watched object holds."""
    if isinstance(watched, list):
        return {**dict(enumerate(watched[:_MAX_ENTRIES])), LENGTH: len(watched)}
    if isinstance(watched, dict):
        return dict(watched)
    if isinstance(watched, OuterVariables | Trainable):
        return watched.read()
    if is_keras(watched):
        # Public plain attributes; the others are Keras' own, as is the note that it was built.
        return {
            name: value
            for name, value in vars(watched).items()
            if isinstance(value, PLAIN) and (name[:1] != "_" and name != "built")
        }
    return {k: value for k, value in vars(watched).items() if not k.startswith("_self_")}


def current(watched: Any) -> Mapping[Any, Any]:
    """The present contents of a watched object, without a copy where possible; may be more."""
    if isinstance(watched, list | OuterVariables | Trainable):
        return contents(watched)
    return watched if isinstance(watched, dict) else vars(watched)


def copied(found: Contents) -> Contents:
    """The contents with copies of small arrays, whose elements may be changed in place."""
    return {
        name: value.copy()
        if isinstance(value, np.ndarray) and value.size <= _MAX_ENTRIES
        else value
        for name, value in found.items()
    }


def describe(watched: Any, name: Any) -> str:
    """The name of an attribute, entry or variable in an error."""
    if isinstance(watched, list | dict):
        entry = "the length" if name == LENGTH else f"[{name!r}]"
        return f"{entry} of a list or dict that it uses"
    if isinstance(watched, OuterVariables):
        return f"the variable {name}"
    if isinstance(watched, Trainable):
        return "which variables are trained"
    return f"{type(watched).__name__}.{name}"


def is_keras(value: Any) -> bool:
    """Return True for Keras layers, models and optimizers."""
    return isinstance(value, keras.layers.Layer | keras.optimizers.Optimizer)


@lru_cache(maxsize=1024)
def is_user_code(module: str) -> bool:
    """Return False for modules of this project, of Python and of installed packages."""
    package = module.partition(".")[0]
    if package in _OWN_PACKAGES or package in sys.stdlib_module_names:
        return False
    # A notebook's `__main__` has no file.
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return not any(folder in file for folder in _INSTALLED)


def equal(one: Any, other: Any) -> bool:
    """Return True if two values have one type and are equal; for plain values, tuples and dicts."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(equal, one, other))
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(equal(one[k], other[k]) for k in one)
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def generator_state(generator: Any) -> Any:
    """The state of a random generator of Python or NumPy."""
    if isinstance(generator, np.random.Generator):
        return generator.bit_generator.state
    if isinstance(generator, np.random.RandomState):
        return generator.get_state()
    return generator.getstate()


def set_generator_state(generator: Any, state: Any) -> None:
    """Give a random generator the state that `generator_state` returned."""
    if isinstance(generator, np.random.Generator):
        generator.bit_generator.state = state
    elif isinstance(generator, np.random.RandomState):
        generator.set_state(state)
    else:
        generator.setstate(state)


def _is_watched(value: Any) -> bool:
    """Return True for modules, layers, optimizers and objects of a user's own class."""
    if isinstance(value, tf.Variable | keras.Variable | type | FunctionType):
        return False
    if isinstance(value, tf.Module | SimpleNamespace) or is_keras(value):
        return True
    if not hasattr(value, "__dict__"):
        return False
    # By its method, since HyperParameters is the book's class.
    book = hasattr(type(value), "save_hyperparameters") or hasattr(value, "apply_gradients")
    return book or is_user_code(type(value).__module__)


def _user_functions(value: Any) -> Iterator[FunctionType]:
    """The functions of the user among the methods that run in the steps of `value`.

    Those added to a class of the library are found too. A class says by `TRACED_METHODS` which of
    its methods run in a step; without it all may.
    """
    chosen: Iterable[str] | None = getattr(type(value), "TRACED_METHODS", None)
    for cls in type(value).__mro__:
        if not is_user_code(cls.__module__) and cls.__module__.partition(".")[0] != "tfd2l":
            continue
        for name, member in vars(cls).items():
            function = _user_function(member)
            if function is not None and (chosen is None or name in chosen):
                yield function


def _user_function(member: Any) -> FunctionType | None:
    """The user's function behind an entry of a class, if it is one."""
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    elif isinstance(member, property):
        member = member.fget
    # A `tf.function` keeps the function that it was made of.
    member = inspect.unwrap(getattr(member, "python_function", member))
    if isinstance(member, FunctionType) and is_user_code(member.__module__ or ""):
        return member
    return None


def _outer_variables(function: FunctionType, seen: set[int]) -> Iterator[Any]:
    """The outer variables of a function, what they hold, and the same for functions of its file."""
    if id(function) in seen:
        return
    seen.add(id(function))
    outer = OuterVariables(function)
    yield outer
    found = outer.read().values()
    yield from watched_objects(found, seen)
    for value in found:
        if isinstance(value, FunctionType) and value.__globals__ is function.__globals__:
            yield from _outer_variables(value, seen)


def _names_in(code: CodeType) -> Iterator[str]:
    """The names in a function's code and in that of functions inside it, attributes included."""
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
