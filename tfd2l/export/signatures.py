"""Exports models as SavedModels that TensorFlow Serving serves, with a signature for each call."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, cast

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number
from pipelines.outputs import ClassOutput, NumberOutput, Output
from pipelines.raw_inputs import FeatureInput, ImageInput, RawInput, TableInput
from tfd2l.export.arguments import (
    checked_image_shape,
    checked_labels,
    logits_by,
    output_of,
    prepared,
)
from tfd2l.export.endpoints import endpoints
from tfd2l.export.errors import ExportError
from tfd2l.export.writing import write

__all__ = [
    "ClassifierLike",
    "ExportError",
    "RegressorLike",
    "checked_function",
    "export_classifier",
    "export_model",
    "export_regressor",
]

# Names that Python's functions, and so TensorFlow's tracing, take as they are.
_PLAIN_NAME = re.compile("[A-Za-z][A-Za-z0-9_]*")


class _HasVariables(Protocol):
    @property
    def variables(self) -> Sequence[Any]: ...


class ClassifierLike(_HasVariables, Protocol):
    """The part of a classifier that an export needs."""

    def logits(self, X: Any, /) -> tf.Tensor:
        """The prepared inputs of n examples -> (n, q) float; softmax of it is the answer."""


class RegressorLike(_HasVariables, Protocol):
    """The part of a regression model that an export needs."""

    def __call__(self, X: Any, /) -> tf.Tensor:
        """The prepared inputs of n examples -> (n, 1) or (n,) float."""


def export_model(
    model: ClassifierLike | RegressorLike | keras.Model,
    directory: Path | str,
    raw_input: RawInput,
    output: Output,
) -> None:
    """Write a model, and the preparation of its raw inputs, as a SavedModel.

    `serving_default`, for Predict, takes the raw inputs by their names. A classifier returns
    `logits` and `probabilities`, (n, q) float32; `class_id`, (n,) int64; `label`, (n,) string. A
    regression model returns `prediction`, (n,) float32.

    `classify` or `regress` take `inputs`, (n,) string, serialised `tf.train.Example`s. Classify
    returns `classes`, (n, q) string, and `scores`, (n, q) float32: all labels and their
    probabilities, the likeliest first. Regress returns `outputs`, (n,) float32. (Over REST write
    numbers as 1.0: the server takes 1 for an integer feature and refuses it.)

    `predict_bytes`, of images with a decoder, takes `image_bytes`, (n,) string, encoded files of
    any size, and returns what `serving_default` does.

    Args:
        model: in its inference behaviour. A classifier has a method `logits`, or is a Keras model
            that returns them. Its lookup tables are exported, too.
        directory: is created; must be empty if it exists.
        raw_input: the raw inputs, as a data module's `raw_input()` describes them.
        output: `ClassOutput` or `NumberOutput`, as a data module's `output()` returns it.

    Raises:
        ExportError: labels are not strings or don't match the logits, the preparation or the model
            fails or can't be traced, or the directory is not empty or can't be written.

    Example:
        >>> import tempfile
        >>> from tfd2l.export.signatures import export_model
        >>> data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2)
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     export_model(model, directory, data.raw_input(), data.output())
        ...     serve = tf.saved_model.load(directory).signatures["serving_default"]
        ...     answer = serve(features=tf.zeros((5, 2)))
        >>> answer["prediction"].shape
        TensorShape([5])
    """
    if isinstance(output, ClassOutput):
        output = ClassOutput(tuple(checked_labels(output.labels)))
    function = checked_function(model, raw_input, output)
    names = _names_in_graph(raw_input.specs)
    write(model, Path(directory), endpoints(function, raw_input, output, names), names)


def checked_function(model: Any, raw_input: RawInput, output: Output) -> Callable[[Any], Any]:
    """Return the function from prepared inputs to logits or numbers, if its answers fit.

    Raises:
        ExportError: the model or the preparation fails, or gives answers of another form.
    """
    function: Any = logits_by(model) if isinstance(output, ClassOutput) else model
    # This call also creates the variables of Keras layers that no input has reached yet.
    outputs = output_of(model, function, prepared(raw_input, _sample(raw_input, output)))
    if isinstance(output, ClassOutput):
        _check_logits(model, outputs, len(output.labels))
    else:
        _check_numbers(outputs)
    return cast("Callable[[Any], Any]", function)


def export_classifier(
    model: ClassifierLike | keras.Model,
    directory: Path | str,
    *,
    labels: Sequence[str],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    image_shape: tuple[int, ...] = (28, 28),
) -> None:
    """Write a classifier of images as a SavedModel with two signatures; see `export_model`.

    `serving_default`, for Predict: `image`, (n, height, width) uint8, raw pixels in [0, 255] ->
    `logits` and `probabilities`, (n, q) float32; `class_id`, (n,) int64; `label`, (n,) string.

    `classify`, for Classify: `inputs`, (n,) string, serialised `tf.train.Example`s whose bytes
    feature `image` has the pixels row by row -> `classes`, (n, q) string, and `scores`, (n, q)
    float32: all labels and their probabilities, the likeliest first.

    Args:
        model: in its inference behaviour, for whatever `preprocess` returns; of a Keras model the
            output is the logits. Its lookup tables are exported, too.
        directory: is created; must be empty if it exists.
        labels: the classes' names by class id, all different.
        preprocess: as in training, (n, height, width) uint8 -> (n, h, w, channel) float32.
        image_shape: height and width of raw images, in pixels; and the channels of those in colour,
            whose shapes have them as last axis.

    Raises:
        ValueError: `image_shape` is not two or three whole numbers of at least 1.
        ExportError: labels are not strings or don't match the logits, `preprocess` or the model
            fails or can't be traced, or the directory is not empty or can't be written.

    Example:
        >>> import tempfile
        >>> from tfd2l.export.signatures import export_classifier
        >>> model = d2l.SoftmaxRegressionScratch(num_inputs=4, num_outputs=2, lr=0.1)
        >>> def preprocess(images):
        ...     return tf.cast(images, tf.float32)[..., None] / 255
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     export_classifier(model, directory, labels=["no", "yes"], preprocess=preprocess,
        ...                       image_shape=(2, 2))
        ...     serve = tf.saved_model.load(directory).signatures["serving_default"]
        ...     answer = serve(image=tf.zeros((3, 2, 2), tf.uint8))
        >>> answer["probabilities"].shape
        TensorShape([3, 2])
    """
    raw_input = ImageInput(checked_image_shape(image_shape), preprocess)
    export_model(model, directory, raw_input, ClassOutput(tuple(checked_labels(labels))))


def export_regressor(model: RegressorLike, directory: Path | str, *, num_inputs: int) -> None:
    """Write a model of numbers in, one number out; see `export_model`.

    `serving_default`, for Predict: `features`, (n, num_inputs) float32 -> `prediction`, (n,)
    float32.

    `regress`, for Regress: `inputs`, (n,) string, serialised `tf.train.Example`s whose float
    feature `features` has `num_inputs` numbers -> `outputs`, (n,) float32. (Over REST write
    numbers as 1.0: the server takes 1 for an integer feature and refuses it.)

    Args:
        model: in its inference behaviour.
        directory: is created; must be empty if it exists.
        num_inputs: number of features, at least 1.

    Raises:
        ValueError: `num_inputs` is not a whole number of at least 1.
        ExportError: the model does not predict one number for an example or can't be traced, or
            the directory is not empty or can't be written.

    Example:
        >>> import tempfile
        >>> from tfd2l.export.signatures import export_regressor
        >>> model = d2l.LinearRegressionScratch(num_inputs=2, lr=0.03)
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     export_regressor(model, directory, num_inputs=2)
        ...     serve = tf.saved_model.load(directory).signatures["serving_default"]
        ...     answer = serve(features=tf.zeros((5, 2)))
        >>> answer["prediction"].shape
        TensorShape([5])
    """
    raw_input = FeatureInput(whole_number("num_inputs", num_inputs))
    export_model(model, directory, raw_input, NumberOutput())


def _sample(raw_input: RawInput, output: Output) -> dict[str, Any]:
    """Raw inputs of one example; for a classifier of two, as different as possible."""
    values: dict[Any, list[Any]] = {
        tf.uint8: [0, 255], tf.float32: [0.0, 1.0], tf.string: [b"", b"1"],
    }  # fmt: skip
    rows = 2 if isinstance(output, ClassOutput) else 1
    if isinstance(raw_input, TableInput) and raw_input.sample is not None:
        return {name: np.asarray(column)[:rows] for name, column in raw_input.sample.items()}
    return {
        name: np.stack(
            [
                np.full(spec.shape[1:], value, spec.dtype.as_numpy_dtype)
                for value in values[spec.dtype][:rows]
            ]
        )
        for name, spec in raw_input.specs.items()
    }


def _names_in_graph(specs: Mapping[str, Any]) -> dict[str, str]:
    """A name that TensorFlow's tracing takes for each raw input, its own wherever that is one."""
    # Tracing tells capital letters from small ones as little as it takes other characters.
    alike = Counter(name.lower() for name in specs)
    # Longer than all names, and so different from each.
    length = 1 + max(map(len, specs))
    return {
        name: name
        if _PLAIN_NAME.fullmatch(name) and name != "self" and alike[name.lower()] == 1
        else f"input_{number}".ljust(length, "_")
        for number, name in enumerate(specs)
    }


def _check_numbers(outputs: tf.Tensor) -> None:
    """Raise ExportError unless the outputs are one number for one example."""
    if outputs.shape not in ((1,), (1, 1)):
        raise ExportError(
            "a regression model gives (n, 1) or (n,), one number for each of n examples; this one "
            f"gives {tuple(outputs.shape)} for n = 1. Export several targets as several models."
        )


def _check_logits(model: Any, logits: tf.Tensor, num_labels: int) -> None:
    """Raise ExportError unless the logits of two images are (2, num_labels), and are logits.

    They are probabilities, to which softmax would be applied twice, if all numbers of both rows are
    above 0 and each row sums to 1, which is no coincidence.
    """
    if tuple(logits.shape) != (2, num_labels):
        raise ExportError(
            f"logits of two examples must have shape (2, {num_labels}), one for each label; got "
            f"{tuple(logits.shape)}. Pass as many labels as the model has outputs."
        )
    rows = tf.cast(logits, tf.float32)
    sums = tf.reduce_sum(rows, axis=-1)
    # A sum of q float32 numbers; half precision is off by a hundredth at most.
    if bool(tf.reduce_all(rows >= 0)) and bool(tf.reduce_all(tf.abs(sums - 1) < 0.01)):
        raise ExportError(
            f"the logits of {type(model).__name__} are probabilities, which add up to 1; an export "
            "takes the softmax of logits itself. Let the last layer have no softmax, or define "
            "logits(X) in the class, and forward(X) as its softmax."
        )
