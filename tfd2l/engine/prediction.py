"""Runs a model on all examples, batch by batch, and joins its outputs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number
from tfd2l.engine.loaders import as_batch, count_batches

__all__ = ["predictions"]

Inputs = tuple[Any, ...]


def predictions(model: Callable[..., Any], X: Any, batch_size: int | None = None) -> Any:
    """The model's outputs for all examples; `nn_Module.predict` describes arguments and errors."""
    batches = _batches(X, batch_size)
    outputs = [tf.nest.map_structure(np.asarray, model(*inputs)) for inputs in batches]
    if not outputs:
        raise ValueError("predict needs at least one example; the loader has no batches.")
    return tf.nest.map_structure(lambda *parts: _joined(parts), *outputs)


def _joined(parts: Inputs) -> Any:
    """The outputs of all batches as one array."""
    if any(part.ndim == 0 for part in parts):
        raise ValueError(
            "predict needs an output for each example, (n, ...); the model returns one number for "
            "a batch."
        )
    return np.concatenate(parts)


def _batches(X: Any, batch_size: int | None) -> Iterator[Inputs]:
    """The inputs of each call."""
    if hasattr(X, "get_dataloader"):
        raise ValueError(
            f"predict takes examples or a loader; got the data module {type(X).__name__}. "
            "Pass its val_dataloader()."
        )
    if not _is_loader(X):
        return _slices(X, 32 if batch_size is None else whole_number("batch_size", batch_size))
    if batch_size is not None:
        raise ValueError(
            f"a loader has batches of its own, so that batch_size must be left out; got "
            f"batch_size={batch_size} for a {type(X).__name__}."
        )
    count_batches(X)  # refuses a data set without end
    # Keras' PyDataset has places instead of an iterator.
    batches = X if isinstance(X, Iterable) else (X[place] for place in range(len(X)))
    return (_inputs_of(batch) for batch in batches)


def _is_loader(X: Any) -> bool:
    """True for a source of batches: everything but arrays and what holds arrays or numbers."""
    in_memory = isinstance(X, list | tuple | Mapping | str | bytes) or hasattr(X, "__array__")
    return not in_memory and (isinstance(X, Iterable) or hasattr(X, "__getitem__"))


def _inputs_of(batch: Any) -> Inputs:
    """The inputs of a loader's batch: a tuple of two or more ends with the targets."""
    if not isinstance(batch, tuple | list):
        return as_batch((batch,))
    return as_batch(batch[:-1] if len(batch) > 1 else batch)


def _slices(X: Any, batch_size: int) -> Iterator[Inputs]:
    """The inputs of each call, cut from inputs in memory."""
    if isinstance(X, Mapping):
        inputs: Any = ({name: _array(part) for name, part in X.items()},)
    else:
        inputs = tuple(_array(part) for part in (X if isinstance(X, tuple) else (X,)))
    parts = tf.nest.flatten(inputs)
    shapes = [tuple(part.shape) for part in parts]
    sizes = {shape[0] if shape else 0 for shape in shapes}
    if len(sizes) != 1 or 0 in sizes:
        raise ValueError(
            f"predict needs at least one example, and as many in each input; got inputs of shape "
            f"{', '.join(map(str, shapes))}."
        )
    [size] = sizes
    for start in range(0, size, batch_size):
        rows = slice(start, start + batch_size)
        yield tf.nest.map_structure(
            lambda part, rows=rows: tf.convert_to_tensor(part[rows]), inputs
        )


def _array(part: Any) -> Any:
    """A tensor as it is; anything else as an array, with floats as Keras' layers expect them."""
    if tf.is_tensor(part):
        return part
    array = np.asarray(part)
    return array.astype(keras.config.floatx()) if array.dtype.kind == "f" else array
