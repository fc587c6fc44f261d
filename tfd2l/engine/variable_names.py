"""The names of a model's variables by the attributes that lead to them, and their assignment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.engine.variables import WITH_PARTS, tf_variable

__all__ = ["assign_all", "named_variables"]


def assign_all(variables: Sequence[Any], values: Iterable[Any]) -> None:
    """Assign values of the right shapes to variables: all of them, or none.

    Raises:
        ValueError: a value has no numbers; then nothing is changed.
    """
    pairs = list(zip(variables, values, strict=True))
    try:
        arrays = [np.asarray(value, tf_variable(v).dtype.as_numpy_dtype) for v, value in pairs]
    except (TypeError, ValueError) as error:
        raise ValueError(f"weights must be arrays of numbers; {error}.") from error
    for variable, array in zip(variables, arrays, strict=True):
        variable.assign(array)


def named_variables(model: Any) -> dict[str, Any]:
    """Each variable once, by the attributes and places that lead to it, as PyTorch names them.

    Unlike the paths of Keras, the names are the same for each object of a class.

    Args:
        model: a module or layer; its attributes may be variables, Keras layers, other modules, and
            lists, tuples and dicts of them.

    Example:
        >>> net = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(2)])
        >>> net.build((1, 3))
        >>> sorted(named_variables(net))
        ['1.bias', '1.kernel']
    """
    named: dict[str, Any] = {}
    for path, variable in _walk("", model, set()):
        # Layers that are no public attributes of the layer around them give their names alone.
        name, number = path, 1
        while name in named:
            name, number = f"{path}_{number}", number + 1
        named[name] = variable
    return named


def _walk(path: str, value: Any, seen: set[int]) -> Iterator[tuple[str, Any]]:
    """Yield the variables in a value, each once, with their paths."""
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, tf.Variable | keras.Variable):
        yield path, value
    else:
        for name, part in _parts(value):
            yield from _walk(f"{path}.{name}".lstrip("."), part, seen)


def _parts(value: Any) -> Iterator[tuple[Any, Any]]:
    """Yield what a value holds, with its name or place: the names that users know come first."""
    if isinstance(value, tf.Module | keras.layers.Layer):
        attributes = dict(vars(value))
        # An argument of the constructor is an attribute, too.
        yield from ((n, v) for n, v in attributes.items() if n[0] != "_" and n != "hparams")
        if isinstance(value, keras.layers.Layer):
            yield from enumerate(getattr(value, "layers", ()))
            yield from ((variable.name, variable) for variable in value.variables)
        yield from attributes.items()
    elif isinstance(value, WITH_PARTS) or is_dataclass(value):
        yield from vars(value).items()
    elif isinstance(value, Mapping):
        yield from value.items()
    elif isinstance(value, list | tuple):
        yield from enumerate(value)
    elif isinstance(value, keras.random.SeedGenerator | tf.random.Generator):
        yield "state", value.state
