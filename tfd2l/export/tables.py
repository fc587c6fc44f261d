"""Finds the lookup tables of a model, which TensorFlow saves only if they are named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import keras
import tensorflow as tf

__all__ = ["tables_of"]


def tables_of(model: Any) -> list[Any]:
    """List the lookup tables in a model's attributes, in its layers and modules, each once.

    Example:
        >>> layer = keras.layers.IntegerLookup(vocabulary=[3, 5])
        >>> len(tables_of(keras.Sequential([layer])))
        1
    """
    # Other objects that the model refers to, such as its trainer, are not searched.
    return list(_tables_in(getattr(model, "__dict__", {}), {id(model)}))


def _tables_in(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, tf.saved_model.experimental.TrackableResource):
        yield value
    elif isinstance(value, keras.layers.Layer | tf.Module | Mapping):
        for part in [*(value if isinstance(value, Mapping) else vars(value)).values()]:
            yield from _tables_in(part, seen)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tables_in(part, seen)
