"""Expected answers: each output is compared, and may differ by rounding only."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.small_models import IMAGES, LABELS, Linear, Scratch, answers, preprocess
from tfd2l.export.expected import classifier_checks, logits_of, regressor_checks
from tfd2l.export.signatures import ExportError, export_classifier

pytestmark = pytest.mark.usefixtures("warm_load_check")


def outputs_of(logits: Any) -> dict[str, Any]:
    """The answer of `serving_default` for float32 logits."""
    powers = np.exp(logits)
    class_id = logits.argmax(1)
    return {
        "logits": logits,
        "probabilities": (powers / powers.sum(1, keepdims=True)).astype(np.float32),
        "class_id": class_id,
        "label": np.array([label.encode() for label in LABELS], object)[class_id],
    }


class Fixed(Scratch):
    """Gives the same logits for any one image."""

    def __init__(self, logits: list[float]) -> None:
        self.fixed = tf.constant([logits])

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return tf.repeat(self.fixed, len(X), 0)


class Brightness(Scratch):
    """Gives an image's first pixel and its negative."""

    def __init__(self) -> None:
        """No parameters."""

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return tf.concat([X[:, 0, 0, :], -X[:, 0, 0, :]], axis=1)


def test_logits_are_those_of_all_images_in_their_order() -> None:
    # More than the 1000 that are computed at a time.
    images = np.arange(1007).astype(np.uint8)[:, None, None]

    def unscaled(raw: tf.Tensor) -> tf.Tensor:
        return tf.cast(raw, tf.float32)[..., None]

    expected = images[:, 0, 0].astype(np.float32)
    found = logits_of(Brightness(), images, unscaled)
    np.testing.assert_array_equal(found, np.c_[expected, -expected])


# A lead of 1e-5 is rounding at the tolerance of 1e-4; one of 1e-3 is not.
@pytest.mark.parametrize(("lead", "passes"), [(1e-5, True), (1e-3, False)])
def test_a_class_may_differ_only_within_rounding(lead: float, passes: bool) -> None:
    own = [1.0, 1.0 + lead, 0.0, 0.0, 0.0, 0.0]
    check, _ = classifier_checks(
        Fixed(own), IMAGES[:1], labels=LABELS, preprocess=preprocess, tolerance=1e-4
    )
    other = np.array([[own[1], own[0], *own[2:]]], np.float32)
    mismatch = check.mismatch_of(outputs_of(other), slice(0, 1))
    assert (mismatch is None) == passes


@pytest.mark.parametrize(
    ("name", "change", "words"),
    [
        ("logits", lambda x: x.astype(np.float64), "float32; got .* float64"),
        ("logits", lambda x: x * np.float32(np.nan), "differ by up to nan"),
        ("probabilities", lambda x: x[:, ::-1], "probabilities differ"),
        ("probabilities", lambda x: x[:1], r"\(3, 6\) float32; got \(1, 6\)"),
        ("class_id", lambda x: x.astype(np.int32), "class_id of the largest logit, int64"),
        ("class_id", lambda x: x - 1, "class_id of the largest logit"),
        ("label", lambda x: x[::-1], "the label of class_id"),
    ],
)
def test_each_output_of_predict_is_compared(
    name: str, change: Callable[[Any], Any], words: str
) -> None:
    model = Scratch()
    check, _ = classifier_checks(model, IMAGES[:3], labels=LABELS, preprocess=preprocess)
    outputs = outputs_of(np.asarray(model.logits(preprocess(IMAGES[:3]))))
    assert len({*outputs["label"]}) > 1
    assert check.mismatch_of(outputs, slice(0, 3)) is None
    mismatch = check.mismatch_of({**outputs, name: change(outputs[name])}, slice(0, 3))
    assert mismatch is not None
    assert re.search(words, mismatch), mismatch


@pytest.mark.slow
def test_each_output_of_classify_is_compared(tmp_path: Path) -> None:
    model = Scratch()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    _, check = classifier_checks(model, IMAGES[:3], labels=LABELS, preprocess=preprocess)
    [outputs] = answers(tmp_path, [("classify", check.inputs)])
    assert isinstance(outputs, dict)
    classes, scores = outputs["classes"], outputs["scores"]
    mismatch_of = check.mismatch_of
    assert mismatch_of(outputs, slice(0, 3)) is None
    turned = {"classes": classes[:, ::-1], "scores": scores[:, ::-1]}
    assert "likeliest label first" in str(mismatch_of(turned, slice(0, 3)))
    relabelled = {"classes": classes[:, ::-1], "scores": scores}
    assert "scores differ" in str(mismatch_of(relabelled, slice(0, 3)))
    twice = {"classes": np.repeat(classes[:, :1], 6, 1), "scores": scores}
    assert "each label once" in str(mismatch_of(twice, slice(0, 3)))
    short = {"classes": classes[:2], "scores": scores[:2]}
    assert "each label once" in str(mismatch_of(short, slice(0, 3)))
    foreign = {"classes": np.full((3, 6), b"?", object), "scores": scores}
    assert "each label once" in str(mismatch_of(foreign, slice(0, 3)))


def test_answers_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ExportError, match=r"6 of 6 are not.*smaller learning rate"):
        classifier_checks(Fixed([np.nan] * 6), IMAGES[:1], labels=LABELS, preprocess=preprocess)


def test_a_check_without_examples_is_refused() -> None:
    with pytest.raises(ExportError, match="got none"):
        regressor_checks(Linear(), np.zeros((0, 2), np.float32))


def test_a_prediction_may_differ_in_proportion_to_its_size() -> None:
    # w = (2, -3.4), b = 4.2: predictions of 4.2 and 2004.2, so 4.2e-4 and 0.2 are rounding.
    features = np.array([[0, 0], [1000, 0]], np.float32)
    check, _ = regressor_checks(Linear(), features, tolerance=1e-4)
    for off, passes in [((4e-4, 0.19), True), ((5e-4, 0), False), ((0, 0.21), False)]:
        answer = np.array([4.2, 2004.2]) + off
        mismatch = check.mismatch_of({"prediction": answer.astype(np.float32)}, slice(0, 2))
        assert (mismatch is None) == passes, off
