"""The answers that an exported model must give: those of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import real_number
from pipelines.outputs import ClassOutput, NumberOutput, Output
from pipelines.raw_inputs import FeatureInput, ImageInput, RawInput
from tfd2l.export.arguments import (
    checked_features,
    checked_images,
    checked_labels,
    checked_raw,
    logits_by,
    output_of,
    prepared,
)
from tfd2l.export.comparison import check_finite, class_mismatches, number_mismatch
from tfd2l.export.endpoints import PREDICT, PREDICT_BYTES
from tfd2l.export.errors import ExportError
from tfd2l.export.signatures import ClassifierLike, RegressorLike
from tfd2l.export.verify import Check

__all__ = [
    "classifier_checks",
    "image_examples",
    "logits_of",
    "model_checks",
    "outputs_of",
    "regressor_checks",
]

Array = np.ndarray[Any, Any]
Model: TypeAlias = ClassifierLike | RegressorLike | keras.Model

# Rows at a time: enough to be fast, few enough for the memory of models that enlarge their input.
_MAX_ROWS = 1000
# Images that are encoded as files for the load check.
_MAX_FILES = 16


def model_checks(
    model: Model,
    raw_input: RawInput,
    output: Output,
    raw: Mapping[str, Any],
    *,
    tolerance: float = 1e-4,
    outputs: Array | None = None,
) -> list[Check]:
    """Make checks of all signatures of `export_model`, on raw examples.

    `serving_default` is checked with all examples, `classify` or `regress` with the first 1000,
    and `predict_bytes` with the first 16 as PNG files.

    Args:
        model: the exported one.
        raw_input: as exported.
        output: as exported.
        raw: an array for each raw input, (n, ...), by its name.
        tolerance: how far a probability may be from the model's own; and a logit, relative to the
            row's largest, or a number, relative to itself (at least 1, or one deviation of the
            targets). Float32 sums in another order differ by less than a tenth of the default;
            models in half precision need about 0.02.
        outputs: the model's own, `outputs_of` these examples; by default they are computed here.

    Raises:
        ValueError: `tolerance` is negative or not finite.
        ExportError: there is no example, the examples are not those of the raw inputs, labels are
            not strings or not as many as logits, or the model's answers are not finite.
    """
    raw, tolerance = checked_raw(raw, raw_input), real_number("tolerance", tolerance)
    found = outputs_of(model, raw_input, output, raw) if outputs is None else outputs
    own = np.asarray(found, np.float64)
    if isinstance(output, ClassOutput):
        names = checked_labels(output.labels)
        _check_logits(own, len(next(iter(raw.values()))), len(names))
        of_predict, of_examples = class_mismatches(own, names, tolerance)
    else:
        of_predict = of_examples = number_mismatch(own, output, tolerance)
    # The signature computes as the other does, and its strings take as long as everything else.
    examples = _examples(raw_input, raw, _MAX_ROWS)
    checks = [
        Check(PREDICT, raw, of_predict),
        Check(
            "classify" if isinstance(output, ClassOutput) else "regress",
            {"inputs": examples},
            of_examples,
        ),
    ]
    if isinstance(raw_input, ImageInput) and raw_input.decode is not None:
        files = {"image_bytes": _png_files(raw["image"][:_MAX_FILES])}
        checks.append(Check(PREDICT_BYTES, files, of_predict))
    return checks


def classifier_checks(
    model: ClassifierLike | keras.Model,
    images: Array,
    *,
    labels: Sequence[str],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    tolerance: float = 1e-4,
    logits: Array | None = None,
) -> list[Check]:
    """Make checks of both signatures of `export_classifier`, on raw images; see `model_checks`.

    Args:
        model: the exported one.
        images: (n, height, width) or (n, height, width, channels) uint8.
        labels: as exported.
        preprocess: as exported.
        tolerance: see `model_checks`.
        logits: the model's own, `logits_of` these images; by default they are computed here.

    Raises:
        ValueError: `tolerance` is negative or not finite.
        ExportError: there is no image, images are not uint8 of such a shape, labels are not
            strings or not as many as logits, or the model's answers are not finite.
    """
    images, names = checked_images(images), checked_labels(labels)
    return model_checks(
        model,
        ImageInput(images.shape[1:], preprocess),
        ClassOutput(tuple(names)),
        {"image": images},
        tolerance=tolerance,
        outputs=logits,
    )


def regressor_checks(
    model: RegressorLike, features: Array, *, tolerance: float = 1e-4
) -> list[Check]:
    """Make checks of both signatures of `export_regressor`; see `model_checks`.

    Args:
        model: the exported one.
        features: (n, d) numbers, which become float32.
        tolerance: how far a prediction may be from the model's own, relative to that (at least 1).

    Raises:
        ValueError: `tolerance` is negative or not finite.
        ExportError: there is no row, features are not (n, d) numbers, the model fails on them, or
            its answers are not finite.
    """
    features = checked_features(features)
    raw_input = FeatureInput(features.shape[1])
    raw = {"features": features}
    return model_checks(model, raw_input, NumberOutput(), raw, tolerance=tolerance)


def outputs_of(model: Model, raw_input: RawInput, output: Output, raw: Mapping[str, Any]) -> Array:
    """Compute the model's own outputs for raw examples, in steps of 1000.

    Args:
        model: in its inference behaviour.
        raw_input: the raw inputs.
        output: the kind of output.
        raw: an array for each raw input, (n, ...), by its name.

    Returns:
        (n, q) float32 logits; or (n,) float32 numbers, in the unit of the data.

    Raises:
        ExportError: there is no example, the examples are not those of the raw inputs, or the
            preparation or the model fails on them.
    """
    raw = checked_raw(raw, raw_input)
    function: Any = logits_by(model) if isinstance(output, ClassOutput) else model
    number = len(next(iter(raw.values())))
    parts = []
    for start in range(0, number, _MAX_ROWS):
        rows = {name: array[start : start + _MAX_ROWS] for name, array in raw.items()}
        part = tf.cast(output_of(model, function, prepared(raw_input, rows)), tf.float32)
        if isinstance(output, NumberOutput):
            part = output.restore(tf.reshape(part, [-1]))
        parts.append(np.asarray(part))
    return np.concatenate(parts)


def logits_of(
    model: ClassifierLike | keras.Model, images: Array, preprocess: Callable[[tf.Tensor], tf.Tensor]
) -> Array:
    """Compute the model's own logits of raw images; see `outputs_of`.

    Args:
        model: in its inference behaviour, for whatever `preprocess` returns.
        images: (n, height, width) or (n, height, width, channels) uint8.
        preprocess: the images -> the model's inputs.

    Returns:
        (n, q) float32.

    Raises:
        ExportError: there is no image, images are not uint8 of such a shape, or `preprocess` or
            the model fails on them.
    """
    images = checked_images(images)
    raw_input = ImageInput(images.shape[1:], preprocess)
    return outputs_of(model, raw_input, ClassOutput(()), {"image": images})


def image_examples(images: Array) -> Array:
    r"""Serialise raw images as `tf.train.Example`s with one bytes feature `image`, row by row.

    Args:
        images: (n, height, width) or (n, height, width, channels) uint8.

    Returns:
        (n,) object (bytes).

    Raises:
        ExportError: there is no image, or images are not uint8 of such a shape.

    Example:
        >>> import numpy as np, tensorflow as tf
        >>> from tfd2l.export.expected import image_examples
        >>> [text] = image_examples(np.array([[[1, 2], [3, 4]]], np.uint8))
        >>> tf.train.Example.FromString(text).features.feature["image"].bytes_list.value[0]
        b'\x01\x02\x03\x04'
    """
    images = checked_images(images)
    return _examples(ImageInput(images.shape[1:], _unchanged), {"image": images}, len(images))


def _unchanged(images: tf.Tensor) -> tf.Tensor:
    return images


def _examples(raw_input: RawInput, raw: Mapping[str, Array], limit: int) -> Array:
    """Serialise the first raw examples as `tf.train.Example`s: (n,) object (bytes)."""
    number = min(limit, len(next(iter(raw.values()))))
    rows = [tf.train.Features(feature=raw_input.features(raw, row)) for row in range(number)]
    texts = [tf.train.Example(features=row).SerializeToString() for row in rows]
    return np.array(texts, np.object_)


def _png_files(images: Array) -> Array:
    """Encode images as PNG files, which keep every pixel: (n,) object (bytes)."""
    coloured = images if images.ndim == 4 else images[..., np.newaxis]
    return np.array([tf.io.encode_png(image).numpy() for image in coloured], np.object_)


def _check_logits(own: Array, number: int, num_labels: int) -> None:
    """Raise ExportError unless the model's own logits are (number, num_labels) and finite."""
    if own.shape != (number, num_labels):
        raise ExportError(
            f"logits of {number} examples for {num_labels} labels must have shape "
            f"({number}, {num_labels}); got {own.shape}."
        )
    check_finite(own)
