"""What the load check asks of an exported model: the answers that the model itself gives."""

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
MOST_ROWS = 1000


def logits_of(
    model: ClassifierLike, images: Array, preprocess: Callable[[tf.Tensor], tf.Tensor]
) -> Array:
    """The model's own logits of raw images.

    Args:
        model: in its inference behaviour, for whatever `preprocess` gives.
        images: (n, height, width) uint8.
        preprocess: (k, height, width) uint8 -> (k, h, w, channel) float32.

    Returns:
        (n, q) float32.

    Raises:
        ExportError: there is no image.
    """
    parts = [model.logits(preprocess(tf.constant(rows))) for rows in _chunks(images)]
    return np.concatenate([tf.cast(part, tf.float32).numpy() for part in parts])


def classifier_checks(
    model: ClassifierLike,
    images: Array,
    *,
    labels: Sequence[str],
    preprocess: Callable[[tf.Tensor], tf.Tensor],
    tolerance: float = 1e-4,
    logits: Array | None = None,
) -> list[Check]:
    """Checks of both signatures of `export_classifier`, on raw images.

    `serving_default` is held against all of them, `classify` against the first 1000.

    Args:
        model: what was exported.
        images: (n, height, width) uint8.
        labels: as exported.
        preprocess: as exported.
        tolerance: how far a probability may be from the model's own, and a logit relative to the
            row's largest (at least 1). Float32 sums in another order differ by less than a tenth
            of the default; models in half precision need about 0.02. A class must be the model's
            own unless its lead is within twice the tolerance.
        logits: the model's own, `logits_of` these images; by default found here.

    Raises:
        ExportError: there is no image, or the model's answers are not finite.
    """
    if logits is None:
        logits = logits_of(model, images, preprocess)
    answers = _ClassifierAnswers(_finite(logits), [label.encode() for label in labels], tolerance)
    # It computes as the other does, and its texts take as long as everything else.
    examples = image_examples(images[:MOST_ROWS])
    return [
        Check("serving_default", {"image": images}, answers.problem_of_predict),
        Check("classify", {"inputs": examples}, answers.problem_of_classify),
    ]


def regressor_checks(
    model: RegressorLike, features: Array, *, tolerance: float = 1e-4
) -> list[Check]:
    """Checks of both signatures of `export_regressor`.

    Args:
        model: what was exported.
        features: (n, d) float32.
        tolerance: how far a prediction may be from the model's own, relative to that (at least 1).

    Raises:
        ExportError: there is no row, or the model's answers are not finite.
    """
    rows = _chunks(features)
    own = _finite(np.concatenate([np.ravel(model(tf.constant(x))) for x in rows]))

    def problem_of(outputs: Mapping[str, Array], rows: slice) -> str | None:
        [(name, answer)] = outputs.items()
        return _off(name, answer, own[rows], tolerance * np.maximum(1, np.abs(own[rows])))

    examples = [_example(features=tf.train.Feature(float_list={"value": row})) for row in features]
    return [
        Check("serving_default", {"features": features}, problem_of),
        Check("regress", {"inputs": np.array(examples, np.object_)}, problem_of),
    ]


def image_examples(images: Array) -> Array:
    """Raw images, (n, height, width) uint8, as serialised `tf.train.Example`s, (n,) object (bytes).

    Each has the one bytes feature `image`: the pixels row by row.
    """
    features = [tf.train.Feature(bytes_list={"value": [image.tobytes()]}) for image in images]
    return np.array([_example(image=feature) for feature in features], np.object_)


class _ClassifierAnswers:
    """The model's own answers for all rows, to hold exported ones against."""

    def __init__(self, logits: Array, labels: list[bytes], tolerance: float) -> None:
        self._labels, self._tolerance = np.array(labels, np.object_), tolerance
        self._class_of = {label: index for index, label in enumerate(labels)}
        self._logits = logits.astype(np.float64)
        powers = np.exp(self._logits - self._logits.max(1, keepdims=True))
        self._probabilities = powers / powers.sum(1, keepdims=True)
        # Per row, as rounding grows with the sums of the last layer: (n, 1).
        self._rounding = tolerance * np.maximum(1, np.abs(self._logits).max(1, keepdims=True))

    def problem_of_predict(self, outputs: Mapping[str, Array], rows: slice) -> str | None:
        """What is wrong with the outputs of `serving_default` for these rows."""
        logits, class_id = outputs["logits"], outputs["class_id"]
        problem = _off("logits", logits, self._logits[rows], self._rounding[rows]) or _off(
            "probabilities", outputs["probabilities"], self._probabilities[rows], self._tolerance
        )
        if problem is not None:
            return problem
        if class_id.dtype != np.int64 or not np.array_equal(class_id, logits.argmax(1)):
            return f"must answer with class_id of the largest logit, int64; got {class_id}."
        if not np.array_equal(outputs["label"], self._labels[class_id]):
            return f"must answer with the label of class_id; got {outputs['label']}."
        return self._problem_of_classes(class_id, rows)

    def problem_of_classify(self, outputs: Mapping[str, Array], rows: slice) -> str | None:
        """What is wrong with the outputs of `classify` for these rows."""
        classes, scores = outputs["classes"], outputs["scores"]
        own = self._probabilities[rows]
        if classes.shape != own.shape or not set(classes.ravel()) <= set(self._class_of):
            return f"must answer with classes (n, {own.shape[1]}) of the labels; got {classes}."
        ids = np.vectorize(self._class_of.__getitem__, otypes=[np.int64])(classes)
        if not (np.sort(ids, 1) == np.arange(own.shape[1])).all():
            return f"must answer with each label once a row; got {classes}."
        if (np.diff(scores, axis=1) > 0).any():
            return f"must answer with the likeliest label first; got scores {scores}."
        wanted = np.take_along_axis(own, ids, 1)
        return _off("scores", scores, wanted, self._tolerance) or self._problem_of_classes(
            ids[:, 0], rows
        )

    def _problem_of_classes(self, class_id: Array, rows: slice) -> str | None:
        """Whether a class is not the model's own, although that leads by more than rounding."""
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


def _off(name: str, answer: Array, own: Array, tolerance: Any) -> str | None:
    """What is wrong with an answer that should be float32 and within the tolerance of `own`."""
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


def _finite(answers: Array) -> Array:
    """The same, if there are only numbers."""
    if not np.isfinite(answers).all():
        raise ExportError(
            "a model to be exported must answer with finite numbers; "
            f"{np.sum(~np.isfinite(answers))} of {answers.size} are not. "
            "If training diverged, try a smaller learning rate."
        )
    return answers


def _chunks(rows: Array) -> list[Array]:
    """The rows in order, some at a time."""
    if not len(rows):
        raise ExportError("the load check needs an example; got none. Pass some test examples.")
    return [rows[start : start + MOST_ROWS] for start in range(0, len(rows), MOST_ROWS)]


def _example(**features: tf.train.Feature) -> bytes:
    """A serialised `tf.train.Example`."""
    return bytes(tf.train.Example(features={"feature": features}).SerializeToString())
