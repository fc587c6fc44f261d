"""The answers that an exported model must give: those of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow as tf

from tfd2l.export.saved_model import ExportError
from tfd2l.export.signatures import ClassifierLike, RegressorLike
from tfd2l.export.verify import Check

__all__ = ["classifier_checks", "image_examples", "logits_of", "regressor_checks"]

Array = np.ndarray[Any, Any]

# Rows at a time: enough to be fast, few enough for the memory of models that enlarge their input.
_MAX_ROWS = 1000


def classifier_checks(
    model: ClassifierLike,
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
            of the default; models in half precision need about 0.02. A class must be the model's
            own unless its lead is within twice the tolerance.
        logits: the model's own, `logits_of` these images; by default they are computed here.

    Raises:
        ExportError: there is no image, or the model's answers are not finite.
    """
    if logits is None:
        logits = logits_of(model, images, preprocess)
    _check_finite(logits)
    answers = _ClassifierAnswers(logits, [label.encode() for label in labels], tolerance)
    # The signature computes as the other does, and its strings take as long as everything else.
    examples = image_examples(images[:_MAX_ROWS])
    return [
        Check("serving_default", {"image": images}, answers.mismatch_of_predict),
        Check("classify", {"inputs": examples}, answers.mismatch_of_classify),
    ]


def regressor_checks(
    model: RegressorLike, features: Array, *, tolerance: float = 1e-4
) -> list[Check]:
    """Make checks of both signatures of `export_regressor`.

    Args:
        model: the exported one.
        features: (n, d) float32.
        tolerance: how far a prediction may be from the model's own, relative to that (at least 1).

    Raises:
        ExportError: there is no row, or the model's answers are not finite.
    """
    parts = [np.ravel(model(tf.constant(rows))) for rows in _chunks(features)]
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
    model: ClassifierLike, images: Array, preprocess: Callable[[tf.Tensor], tf.Tensor]
) -> Array:
    """Compute the model's own logits of raw images.

    Args:
        model: in its inference behaviour, for whatever `preprocess` returns.
        images: (n, height, width) uint8.
        preprocess: (k, height, width) uint8 -> (k, h, w, channel) float32.

    Returns:
        (n, q) float32.

    Raises:
        ExportError: there is no image.
    """
    parts = [model.logits(preprocess(tf.constant(rows))) for rows in _chunks(images)]
    return np.concatenate([tf.cast(part, tf.float32).numpy() for part in parts])


def image_examples(images: Array) -> Array:
    r"""Serialise raw images as `tf.train.Example`s with one bytes feature `image`, row by row.

    Args:
        images: (n, height, width) uint8.

    Returns:
        (n,) object (bytes).

    Example:
        >>> import numpy as np, tensorflow as tf
        >>> from tfd2l.export.expected import image_examples
        >>> [text] = image_examples(np.array([[[1, 2], [3, 4]]], np.uint8))
        >>> tf.train.Example.FromString(text).features.feature["image"].bytes_list.value[0]
        b'\x01\x02\x03\x04'
    """
    features = [tf.train.Feature(bytes_list={"value": [image.tobytes()]}) for image in images]
    return np.array([_example(image=feature) for feature in features], np.object_)


class _ClassifierAnswers:
    """The model's own answers for all rows, and comparisons of exported answers with them."""

    def __init__(self, logits: Array, labels: list[bytes], tolerance: float) -> None:
        self._labels = np.array(labels, np.object_)
        self._class_of = {label: index for index, label in enumerate(labels)}
        self._tolerance = tolerance
        self._logits = logits.astype(np.float64)
        powers = np.exp(self._logits - self._logits.max(1, keepdims=True))
        self._probabilities = powers / powers.sum(1, keepdims=True)
        # (n, 1): rounding grows with the sums of the last layer.
        self._rounding = tolerance * np.maximum(1, np.abs(self._logits).max(1, keepdims=True))

    def mismatch_of_predict(self, outputs: Mapping[str, Array], rows: slice) -> str | None:
        """Say how the outputs of `serving_default` for these rows are wrong; None if right."""
        logits = outputs["logits"]
        class_id = outputs["class_id"]
        difference = _difference(
            "logits", logits, self._logits[rows], self._rounding[rows]
        ) or _difference(
            "probabilities", outputs["probabilities"], self._probabilities[rows], self._tolerance
        )
        if difference is not None:
            return difference
        if class_id.dtype != np.int64 or not np.array_equal(class_id, logits.argmax(1)):
            return f"must answer with class_id of the largest logit, int64; got {class_id}."
        if not np.array_equal(outputs["label"], self._labels[class_id]):
            return f"must answer with the label of class_id; got {outputs['label']}."
        return self._mismatch_of_classes(class_id, rows)

    def mismatch_of_classify(self, outputs: Mapping[str, Array], rows: slice) -> str | None:
        """Say how the outputs of `classify` for these rows are wrong; None if they are right."""
        classes = outputs["classes"]
        scores = outputs["scores"]
        own = self._probabilities[rows]
        if classes.shape != own.shape or not set(classes.ravel()) <= set(self._class_of):
            return f"must answer with classes (n, {own.shape[1]}) of the labels; got {classes}."
        ids = np.vectorize(self._class_of.__getitem__, otypes=[np.int64])(classes)
        if not (np.sort(ids, 1) == np.arange(own.shape[1])).all():
            return f"must answer with each label once a row; got {classes}."
        if (np.diff(scores, axis=1) > 0).any():
            return f"must answer with the likeliest label first; got scores {scores}."
        own_scores = np.take_along_axis(own, ids, 1)
        difference = _difference("scores", scores, own_scores, self._tolerance)
        return difference or self._mismatch_of_classes(ids[:, 0], rows)

    def _mismatch_of_classes(self, class_id: Array, rows: slice) -> str | None:
        """Say which class is not the model's own, although that leads by more than rounding."""
        own = self._logits[rows]
        behind = own.max(1) - np.take_along_axis(own, class_id[:, None], 1)[:, 0]
        wrong = np.flatnonzero(behind > 2 * self._rounding[rows][:, 0])
        if not len(wrong):
            return None
        first = wrong[0]
        return (
            f"must find the model's own classes; of {len(wrong)} rows that differ, number {first} "
            f"has class {class_id[first]} for {own[first].argmax()}. Export the model again."
        )


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
    if not len(rows):
        raise ExportError("the load check needs an example; got none. Pass some test examples.")
    return [rows[start : start + _MAX_ROWS] for start in range(0, len(rows), _MAX_ROWS)]


def _example(**features: tf.train.Feature) -> bytes:
    """Serialise a `tf.train.Example`."""
    return bytes(tf.train.Example(features={"feature": features}).SerializeToString())
