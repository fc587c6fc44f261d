"""Writes models as SavedModels that TensorFlow Serving serves, with two signatures each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import whole_number
from tfd2l.common.errors import first_line
from tfd2l.export.arguments import (
    check_empty,
    checked_image_shape,
    checked_labels,
    logits_by,
    output_of,
    prepared,
)
from tfd2l.export.errors import ExportError
from tfd2l.export.tables import tables_of

__all__ = [
    "ClassifierLike",
    "ExportError",
    "RegressorLike",
    "export_classifier",
    "export_regressor",
]

Outputs = dict[str, tf.Tensor]
# The input of Classify and Regress: serialised `tf.train.Example`s.
_EXAMPLES = tf.TensorSpec((None,), tf.string, name="inputs")


class _HasVariables(Protocol):
    @property
    def variables(self) -> Sequence[Any]: ...


class ClassifierLike(_HasVariables, Protocol):
    """The part of a model that `export_classifier` needs."""

    def logits(self, X: Any, /) -> tf.Tensor:
        """(n, height, width, channel) float32 -> (n, q) float; softmax of it is the answer."""


class RegressorLike(_HasVariables, Protocol):
    """The part of a model that `export_regressor` needs."""

    def __call__(self, X: Any, /) -> tf.Tensor:
        """(n, d) float32 -> (n, 1) or (n,) float."""


def export_classifier(
    model: ClassifierLike | keras.Model,
    directory: Path | str,
    *,
    labels: Sequence[str],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    image_shape: tuple[int, int] = (28, 28),
) -> None:
    """Write a classifier of grey images as a SavedModel with two signatures.

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
        image_shape: height and width of raw images, in pixels.

    Raises:
        ValueError: `image_shape` is not two whole numbers of at least 1.
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
    height, width = checked_image_shape(image_shape)
    names = checked_labels(labels)
    logits_of = logits_by(model)
    # Any images will do; a black one and a white one are as different as possible.
    sample = np.stack([np.full((height, width), pixel, np.uint8) for pixel in (0, 255)])
    # This call also creates the variables of Keras layers that no input has reached yet.
    logits = output_of(model, logits_of, prepared(preprocess, sample))
    _check_logits(model, logits, len(names))
    functions = _classifier_endpoints(
        lambda image: logits_of(preprocess(image)), names, (height, width)
    )
    _write(model, Path(directory), functions)


def export_regressor(model: RegressorLike, directory: Path | str, *, num_inputs: int) -> None:
    """Write a model that predicts one number as a SavedModel with two signatures.

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
    num_inputs = whole_number("num_inputs", num_inputs)
    # This call also creates the variables of Keras layers that no input has reached yet.
    shape = output_of(model, model, tf.zeros((1, num_inputs))).shape
    if shape not in ((1,), (1, 1)):
        raise ExportError(
            "a regression model gives (n, 1) or (n,), one number for each of n examples; this one "
            f"gives {tuple(shape)} for n = 1. Export several targets as several models."
        )
    _write(model, Path(directory), _regressor_endpoints(model, num_inputs))


def _check_logits(model: Any, logits: tf.Tensor, num_labels: int) -> None:
    """Raise ExportError unless the logits of two images are (2, num_labels), and are logits.

    They are probabilities, to which softmax would be applied twice, if all numbers of both rows are
    above 0 and each row sums to 1, which is no coincidence.
    """
    if tuple(logits.shape) != (2, num_labels):
        raise ExportError(
            f"logits of two images must have shape (2, {num_labels}), one for each label; got "
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


def _classifier_endpoints(
    logits_of_raw: Callable[[tf.Tensor], tf.Tensor],
    labels: Sequence[str],
    image_shape: tuple[int, int],
) -> dict[str, Any]:
    """Make the functions of the two signatures, by the signature's name."""
    height, width = image_shape
    names = tf.constant([*labels])
    image_spec = tf.TensorSpec((None, height, width), tf.uint8, name="image")

    @tf.function(input_signature=[image_spec])  # type: ignore[untyped-decorator]  # no types
    def predict(image: tf.Tensor) -> Outputs:
        # The server does not enforce declared shapes; without this op a wrong one gets an answer.
        image = tf.ensure_shape(image, [None, height, width])
        logits = tf.cast(logits_of_raw(image), tf.float32)
        class_id = tf.argmax(logits, axis=-1, output_type=tf.int64)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class_id": class_id,
            "label": tf.gather(names, class_id),
        }

    @tf.function(input_signature=[_EXAMPLES])  # type: ignore[untyped-decorator]  # no types
    def classify(inputs: tf.Tensor) -> Outputs:
        feature = {"image": tf.io.FixedLenFeature([], tf.string)}
        examples = tf.io.parse_example(tf.ensure_shape(inputs, [None]), feature)
        pixels = tf.io.decode_raw(examples["image"], tf.uint8)
        # Otherwise twice the pixels would count as two images.
        pixels = tf.ensure_shape(pixels, [None, height * width])
        answers = predict(tf.reshape(pixels, [-1, height, width]))
        scores, order = tf.math.top_k(answers["probabilities"], k=len(labels))
        return {"classes": tf.gather(names, order), "scores": scores}

    return {"serving_default": predict, "classify": classify}


def _regressor_endpoints(model: RegressorLike, num_inputs: int) -> dict[str, Any]:
    """Make the functions of the two signatures, by the signature's name."""
    features_spec = tf.TensorSpec((None, num_inputs), tf.float32, name="features")

    @tf.function(input_signature=[features_spec])  # type: ignore[untyped-decorator]  # no types
    def predict(features: tf.Tensor) -> Outputs:
        # The server does not enforce declared shapes; without this op a wrong one gets an answer.
        X = tf.ensure_shape(features, [None, num_inputs])
        return {"prediction": tf.cast(tf.reshape(model(X), [-1]), tf.float32)}

    @tf.function(input_signature=[_EXAMPLES])  # type: ignore[untyped-decorator]  # no types
    def regress(inputs: tf.Tensor) -> Outputs:
        feature = {"features": tf.io.FixedLenFeature([num_inputs], tf.float32)}
        examples = tf.io.parse_example(tf.ensure_shape(inputs, [None]), feature)
        return {"outputs": predict(examples["features"])["prediction"]}

    return {"serving_default": predict, "regress": regress}


def _write(model: _HasVariables, directory: Path, functions: Mapping[str, Any]) -> None:
    """Trace the functions and save them as signatures."""
    check_empty(directory)
    try:
        # A trace inherits the device on which it is made, which a server need not have.
        with tf.device(None):
            for function in functions.values():
                function.get_concrete_function()
            _save(model, directory, functions)
    except tf.errors.OpError as error:
        raise ExportError(
            f"the model must be written to {directory}; {error.message}. Choose a directory on a "
            "disk with room that you may write to."
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise ExportError(
            f"{type(model).__name__} can't be exported: {first_line(error)} Its forward pass must "
            "work in a tf.function, for any number of examples (-1 or tf.shape(X)[0], where "
            "X.shape[0] is None), on variables that model.variables lists, and on lookup tables "
            "that are attributes of the model."
        ) from error


def _save(model: _HasVariables, directory: Path, functions: Mapping[str, Any]) -> None:
    """Write the traced functions, and the variables and lookup tables that they use.

    The model itself is not saved: saving follows all references, also the one to its trainer.
    """
    if any(isinstance(variable, keras.Variable) for variable in model.variables):
        # tf.saved_model.save can't be used on an object that tracks Keras variables: Python loads
        # the result, but the server doesn't find the variables. The archive finds all variables
        # of the endpoints, tf.Variables among them, so nothing else need be tracked.
        archive = keras.export.ExportArchive()
        for table in tables_of(model):
            archive.track(table)
        for name, function in functions.items():
            archive.add_endpoint(name, function)
        archive.write_out(str(directory), verbose=False)
        return
    module = tf.Module()
    module.parameters = list(model.variables)
    module.tables = tables_of(model)
    tf.saved_model.save(module, str(directory), signatures=dict(functions))
