"""Compares the answers of an exported version with those of the model itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from pipelines.outputs import NumberOutput
from tfd2l.export.errors import ExportError

__all__ = ["Mismatch", "check_finite", "class_mismatches", "number_mismatch"]

Array = np.ndarray[Any, Any]
# Takes a signature's outputs by name and the slice of the rows that they answer; returns None, or
# in words how they differ from the model's own.
Mismatch: TypeAlias = Callable[[Mapping[str, Array], slice], str | None]


def class_mismatches(
    own: Array, labels: Sequence[str], tolerance: float
) -> tuple[Mismatch, Mismatch]:
    """Make the comparisons of `serving_default` and `classify` with the model's own logits."""
    powers = np.exp(own - own.max(1, keepdims=True))
    probabilities = powers / powers.sum(1, keepdims=True)
    # (n, 1): rounding grows with the sums of the last layer.
    rounding = tolerance * np.maximum(1, np.abs(own).max(1, keepdims=True))
    texts = np.array([name.encode() for name in labels], np.object_)

    def of_predict(outputs: Mapping[str, Array], rows: slice) -> str | None:
        return (
            _difference("logits", outputs["logits"], own[rows], rounding[rows])
            or _difference(
                "probabilities", outputs["probabilities"], probabilities[rows], tolerance
            )
            or _mismatch_of_classes(outputs, texts)
        )

    def of_classify(outputs: Mapping[str, Array], rows: slice) -> str | None:
        return _mismatch_of_ranking(outputs, probabilities[rows], texts, tolerance)

    return of_predict, of_classify


def number_mismatch(own: Array, output: NumberOutput, tolerance: float) -> Mismatch:
    """Make the comparison of predictions with the model's own numbers."""
    check_finite(own)
    zero, one = np.asarray(output.restore(tf.constant([0.0, 1.0])), np.float64)
    unit = max(abs(one - zero), 1e-30)

    def mismatch_of(outputs: Mapping[str, Array], rows: slice) -> str | None:
        [(name, answer)] = outputs.items()
        allowed = tolerance * np.maximum(unit, np.abs(own[rows]))
        return _difference(name, answer, own[rows], allowed)

    return mismatch_of


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


def check_finite(answers: Array) -> None:
    """Raise ExportError if the model's own answers have an infinite number or a NaN."""
    if not np.isfinite(answers).all():
        raise ExportError(
            "a model to be exported must answer with finite numbers; "
            f"{np.sum(~np.isfinite(answers))} of {answers.size} are not. "
            "If training diverged, try a smaller learning rate."
        )
