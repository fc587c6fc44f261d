"""The answers that an exported model must give: those of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from pipelines.basics.numbers import real_number
from tfd2l.export.arguments import (
    checked_features,
    checked_images,
    checked_labels,
    logits_by,
    output_of,
    prepared,
)
from tfd2l.export.errors import ExportError
from tfd2l.export.signatures import ClassifierLike, RegressorLike
from tfd2l.export.verify import Check

__all__ = ["classifier_checks", "image_examples", "logits_of", "regressor_checks"]

Array = np.ndarray[Any, Any]

# Rows at a time: enough to be fast, few enough for the memory of models that enlarge their input.
_MAX_ROWS = 1000


def classifier_checks(
    model: ClassifierLike | keras.Model,
    images: Array,
    *,
    labels: Sequence[str],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    tolerance: float = 1e-4,
    logits: Array | None = None,
) -> list[Check]:
    """Make checks of both signatures of `export_classifier`, on raw images.

    `serving_default` is checked with all images, `classify` with the first 1000.

    Args:
        model: the exported one.
        images: (n, height, width) uint8.
        labels: as exported.
        preprocess: as exported.
        tolerance: how far a probability may be from the model's own, and a logit relative to the
            row's largest (at least 1). Float32 sums in another order differ by less than a tenth
            of the default; models in half precision need about 0.02.
        logits: the model's own, `logits_of` these images; by default they are computed here.

    Raises:
        ValueError: `tolerance` is negative or not finite.
        ExportError: there is no image, images are not (n, height, width) uint8, labels are not
            strings or not as many as logits, or the model's answers are not finite.
    """
    images, names = checked_images(images), checked_labels(labels)
    tolerance = real_number("tolerance", tolerance)
    found = logits_of(model, images, preprocess) if logits is None else logits
    own = np.asarray(found, np.float64)
    if own.shape != (len(images), len(names)):
        raise ExportError(
            f"logits of {len(images)} images for {len(names)} labels must have shape "
            f"({len(images)}, {len(names)}); got {own.shape}."
        )
    _check_finite(own)
    powers = np.exp(own - own.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    # (n, 1): rounding grows with the sums of the last layer.
    rounding = tolerance * np.maximum(1, np.abs(own).max(1, keepdims=True))
    texts = np.array([name.encode() for name in names], np.object_)

    def mismatch_of_predict(outputs: Mapping[str, Array], rows: slice) -> str | None:
        return (
            _difference("logits", outputs["logits"], own[rows], rounding[rows])
            or _difference(
                "probabilities", outputs["probabilities"], probabilities[rows], tolerance
            )
            or _mismatch_of_classes(outputs, texts)
        )

    def mismatch_of_classify(outputs: Mapping[str, Array], rows: slice) -> str | None:
        return _mismatch_of_ranking(outputs, probabilities[rows], texts, tolerance)

    # The signature computes as the other does, and its strings take as long as everything else.
    examples = image_examples(images[:_MAX_ROWS])
    return [
        Check("serving_default", {"image": images}, mismatch_of_predict),
        Check("classify", {"inputs": examples}, mismatch_of_classify),
    ]


def regressor_checks(
    model: RegressorLike, features: Array, *, tolerance: float = 1e-4
) -> list[Check]:
    """Make checks of both signatures of `export_regressor`.

    Args:
        model: the exported one.
        features: (n, d) numbers, which become float32.
        tolerance: how far a prediction may be from the model's own, relative to that (at least 1).

    Raises:
        ValueError: `tolerance` is negative or not finite.
        ExportError: there is no row, features are not (n, d) numbers, the model fails on them, or
            its answers are not finite.
    """
    features, tolerance = checked_features(features), real_number("tolerance", tolerance)
    parts = [np.ravel(output_of(model, model, tf.constant(rows))) for rows in _chunks(features)]
    own = np.concatenate(parts)
    _check_finite(own)

    def mismatch_of(outputs: Mapping[str, Array], rows: slice) -> str | None:
        [(name, answer)] = outputs.items()
        allowed = tolerance * np.maximum(1, np.abs(own[rows]))
        return _difference(name, answer, own[rows], allowed)

    examples = [_example(features=tf.train.Feature(float_list={"value": row})) for row in features]
    return [
        Check("serving_default", {"features": features}, mismatch_of),
        Check("regress", {"inputs": np.array(examples, np.object_)}, mismatch_of),
    ]


def logits_of(
    model: ClassifierLike | keras.Model, images: Array, preprocess: Callable[[tf.Tensor], tf.Tensor]
) -> Array:
    """Compute the model's own logits of raw images.

    Args:
        model: in its inference behaviour, for whatever `preprocess` returns.
        images: (n, height, width) uint8.
        preprocess: (k, height, width) uint8 -> (k, h, w, channel) float32.

    Returns:
        (n, q) float32.

    Raises:
        ExportError: there is no image, images are not (n, height, width) uint8, or `preprocess` or
            the model fails on them.
    """
    logits = logits_by(model)
    chunks = _chunks(checked_images(images))
    parts = [output_of(model, logits, prepared(preprocess, rows)) for rows in chunks]
    return np.concatenate([tf.cast(part, tf.float32).numpy() for part in parts])


def image_examples(images: Array) -> Array:
    r"""Serialise raw images as `tf.train.Example`s with one bytes feature `image`, row by row.

    Args:
        images: (n, height, width) uint8.

    Returns:
        (n,) object (bytes).

    Raises:
        ExportError: there is no image, or images are not (n, height, width) uint8.

    Example:
        >>> import numpy as np, tensorflow as tf
        >>> from tfd2l.export.expected import image_examples
        >>> [text] = image_examples(np.array([[[1, 2], [3, 4]]], np.uint8))
        >>> tf.train.Example.FromString(text).features.feature["image"].bytes_list.value[0]
        b'\x01\x02\x03\x04'
    """
    raw = [image.tobytes() for image in checked_images(images)]
    features = [tf.train.Feature(bytes_list={"value": [pixels]}) for pixels in raw]
    return np.array([_example(image=feature) for feature in features], np.object_)


def _mismatch_of_classes(outputs: Mapping[str, Array], names: Array) -> str | None:
    """Say how `class_id` or `label` differs from the largest of the logits."""
    class_id = outputs["class_id"]
    if class_id.dtype != np.int64 or not np.array_equal(class_id, outputs["logits"].argmax(1)):
        return f"must answer with class_id of the largest logit, int64; got {class_id}."
    if not np.array_equal(outputs["label"], names[class_id]):
        return f"must answer with the label of class_id; got {outputs['label']}."
    return None


def _mismatch_of_ranking(
    outputs: Mapping[str, Array], probabilities: Array, names: Array, tolerance: float
) -> str | None:
    """Say how `classes` and `scores` differ from all labels, the likeliest first."""
    classes, scores = outputs["classes"], outputs["scores"]
    by_name = np.argsort(names)
    if (
        not classes.shape == scores.shape == probabilities.shape
        or not (np.sort(classes, axis=1) == names[by_name]).all()
    ):
        return f"must answer with classes that have each label once a row; got {classes}."
    if (np.diff(scores, axis=1) > 0).any():
        return f"must answer with the likeliest label first; got scores {scores}."
    scores_by_name = np.take_along_axis(scores, np.argsort(classes, axis=1), 1)
    return _difference("scores", scores_by_name, probabilities[:, by_name], tolerance)


def _difference(name: str, answer: Array, own: Array, tolerance: Any) -> str | None:
    """Say how an answer differs from float32 numbers within the tolerance of `own`."""
    if answer.shape != own.shape or answer.dtype != np.float32:
        return (
            f"must answer with {name} {own.shape} float32; got {answer.shape} {answer.dtype}. "
            "Write it with export_classifier or export_regressor."
        )
    gaps = np.abs(answer - own)
    # Written so that a gap of nan counts.
    if (gaps <= tolerance).all():
        return None
    return (
        f"must answer as the model does; its {name} differ by up to {gaps.max():.3g}, where "
        f"{np.min(tolerance):.3g} is allowed. Export the model again, or allow more by tolerance."
    )


def _check_finite(answers: Array) -> None:
    """Raise ExportError if the model's own answers have an infinite number or a NaN."""
    if not np.isfinite(answers).all():
        raise ExportError(
            "a model to be exported must answer with finite numbers; "
            f"{np.sum(~np.isfinite(answers))} of {answers.size} are not. "
            "If training diverged, try a smaller learning rate."
        )


def _chunks(rows: Array) -> list[Array]:
    """Split the rows, in order."""
    return [rows[start : start + _MAX_ROWS] for start in range(0, len(rows), _MAX_ROWS)]


def _example(**features: tf.train.Feature) -> bytes:
    """Serialise a `tf.train.Example`."""
    return bytes(tf.train.Example(features={"feature": features}).SerializeToString())
