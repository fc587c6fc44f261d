"""Checks the arguments of exports: model, preparation, labels, directory and raw examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from pipelines.raw_inputs import RawInput
from tfd2l.common.errors import first_line
from tfd2l.export.errors import ExportError

__all__ = [
    "check_empty", "checked_features", "checked_image_shape", "checked_images", "checked_labels",
    "checked_raw", "logits_by", "output_of", "prepared",
]  # fmt: skip

Array = np.ndarray[Any, Any]


def logits_by(model: Any) -> Callable[[Any], Any]:
    """Return a classifier's function from prepared images to logits.

    Args:
        model: has a method `logits`, or is a Keras model whose output they are.

    Raises:
        ExportError: the model is neither.
    """
    logits: Callable[[Any], Any] | None = getattr(model, "logits", None)
    if isinstance(model, keras.layers.Layer) and logits is None:
        # Keras takes inference for granted where nothing else is said.
        logits = model
    if not callable(logits) or isinstance(model, type):
        raise ExportError(
            "a classifier to export has a method logits(X), as a d2l.Classifier has, or is a Keras "
            f"model; got {shown(model)}."
        )
    return logits


def prepared(raw_input: RawInput, raw: Mapping[str, Any]) -> Any:
    """Return the model's inputs for a batch of raw inputs.

    Raises:
        ExportError: the preparation is no function, or fails.
    """
    forms = [f"{_form(spec)} {spec.dtype.name}" for spec in raw_input.specs.values()]
    rule = f"preprocess must be a function, {', '.join(forms)} -> the model's inputs;"
    preprocess = getattr(raw_input, "preprocess", raw_input.prepare)
    if not callable(preprocess):
        raise ExportError(f"{rule} got {shown(preprocess)}.")
    try:
        return raw_input.prepare({name: tf.constant(values) for name, values in raw.items()})
    except Exception as error:  # the user's code may raise anything
        shapes = ", ".join(str(np.shape(values)) for values in raw.values())
        raise ExportError(
            f"{rule} on raw inputs of shape {shapes} it raises {first_line(error)}"
        ) from error


def output_of(model: Any, function: Callable[[Any], Any], X: Any) -> tf.Tensor:
    """Call the function from inputs to a model's outputs, and return its tensor.

    Raises:
        ExportError: the function fails, or returns something else.
    """
    name = type(model).__name__
    inputs = f"shape {tuple(X.shape)} {X.dtype.name}" if tf.is_tensor(X) else shown(X)
    try:
        output = function(X)
    except Exception as error:  # the user's code may raise anything
        raise ExportError(
            f"{name} must take the inputs of the export, {inputs}; it raises {first_line(error)}"
        ) from error
    if not tf.is_tensor(output):
        raise ExportError(f"{name} must return a tensor; got {shown(output)}.")
    return output


def checked_labels(labels: Any) -> list[str]:
    """Return the labels as a list, if they are different strings.

    Raises:
        ExportError: they are anything else.
    """
    # Sets have no order, and a string is a sequence of its letters.
    in_order = isinstance(labels, Sequence) or hasattr(labels, "__array__")
    names = [*labels] if in_order and not isinstance(labels, str | bytes) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise ExportError(
            "labels must be a list of strings, one for each class id in order; got "
            f"{shown(labels)}. Convert numbers by str(label), and bytes by label.decode()."
        )
    if len({*names}) != len(names) or not all(names):
        raise ExportError(
            f"labels must be different and not empty, as answers name the class by its label; "
            f"got {shown(names)}. Rename them."
        )
    try:
        "".join(names).encode()
    except UnicodeEncodeError as error:
        raise ExportError(f"labels must be strings that UTF-8 can encode; {error}.") from error
    return [str(name) for name in names]


def checked_image_shape(image_shape: Any) -> tuple[int, ...]:
    """Return height and width of raw images, and the channels of those in colour.

    Raises:
        ValueError: they are not two or three whole numbers of at least 1.
    """
    sizes = [*image_shape] if isinstance(image_shape, Sequence | np.ndarray) else []
    if len(sizes) not in (2, 3) or isinstance(image_shape, str):
        raise ValueError(
            "image_shape must be (height, width) of grey images, or (height, width, channels), in "
            f"pixels; got {shown(image_shape)}."
        )
    return tuple(whole_number(f"image_shape[{i}]", size) for i, size in enumerate(sizes))


def checked_images(images: Any) -> Array:
    """Return raw images as an array, (n, height, width) or (n, height, width, channels) uint8.

    Raises:
        ExportError: they are anything else, or none.
    """
    array = np.asarray(images)
    if array.ndim not in (3, 4) or array.dtype != np.uint8:
        raise ExportError(
            "images must be raw, (n, height, width) uint8 or with a last axis for channels, with "
            f"pixels from 0 to 255; got shape {array.shape} {array.dtype}."
        )
    return _some(array)


def checked_features(features: Any) -> Array:
    """Return features as an array, (n, d) float32, as a client's numbers become.

    Raises:
        ExportError: they are no numbers in rows, or none.
    """
    try:
        array = np.asarray(features, np.float32)
    except (TypeError, ValueError) as error:
        raise ExportError(f"features must be numbers, (n, d); {error}.") from error
    if array.ndim != 2:
        raise ExportError(f"features must have shape (n, d); got {array.shape}.")
    return _some(array)


def checked_raw(raw: Any, raw_input: RawInput) -> dict[str, Array]:
    """Return raw examples as an array for each raw input; strings become bytes.

    Raises:
        ExportError: they have other names, dtypes or shapes than the raw inputs, or none.
    """
    specs = raw_input.specs
    if not isinstance(raw, Mapping) or {*raw} != {*specs}:
        given = sorted(map(str, raw)) if isinstance(raw, Mapping) else shown(raw)
        raise ExportError(
            f"raw examples must be a dict with an array for each of {sorted(specs)}; got {given}."
        )
    arrays = {}
    for name, spec in specs.items():
        array = _as_dtype(raw[name], spec)
        fits = array.ndim == spec.shape.rank and spec.shape.is_compatible_with(array.shape)
        if not fits or array.dtype != spec.dtype.as_numpy_dtype:
            raise ExportError(
                f"raw examples of {name!r} must be {_form(spec)} {spec.dtype.name}; got shape "
                f"{array.shape} {array.dtype}."
            )
        arrays[name] = array
    if len({len(array) for array in arrays.values()}) > 1:
        raise ExportError(
            "raw examples must be as many for each raw input; got "
            f"{ {name: len(array) for name, array in arrays.items()} }."
        )
    _some(next(iter(arrays.values())))
    return arrays


def _as_dtype(values: Any, spec: tf.TensorSpec) -> Array:
    array = np.asarray(values)
    if spec.dtype == tf.string:
        texts = [text if isinstance(text, bytes) else str(text).encode() for text in array.flat]
        return np.array(texts, np.object_).reshape(array.shape)
    # Pixels are never converted: numbers that are scaled already would become 0.
    same_kind = np.can_cast(array.dtype, spec.dtype.as_numpy_dtype, "same_kind")
    wanted = spec.dtype.as_numpy_dtype
    return array.astype(wanted) if same_kind and spec.dtype.is_floating else array


def _form(spec: tf.TensorSpec) -> str:
    sizes = ", ".join(["n", *map(str, spec.shape[1:])])
    return f"({sizes},)" if spec.shape.rank == 1 else f"({sizes})"


def check_empty(directory: Path) -> None:
    """Raise ExportError if the directory exists and has entries."""
    found = next(directory.iterdir(), None) if directory.is_dir() else None
    if found is not None:
        raise ExportError(
            f"a model must be written to a new or empty directory; {directory} has {found.name!r}. "
            "Choose another one; d2l.publish numbers versions by itself."
        )


def _some(examples: Array) -> Array:
    if not len(examples):
        raise ExportError("the load check needs an example; got none. Pass some test examples.")
    return examples
