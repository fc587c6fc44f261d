"""The load check as a whole: it refuses what a server can't serve or would serve wrongly."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.exports import guarded, save_classifier
from tests.support.small_models import (
    CLASSIFIERS,
    IMAGES,
    LABELS,
    Concise,
    Linear,
    Scratch,
    preprocess,
)
from tfd2l.export.expected import classifier_checks, regressor_checks
from tfd2l.export.signatures import ExportError, export_classifier, export_regressor
from tfd2l.export.verify import Check, verify

pytestmark = pytest.mark.usefixtures("warm_load_check")

FEATURES = np.random.default_rng(0).normal(size=(260, 2)).astype(np.float32)


def checks_of(model: Any) -> list[Check]:
    return classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["concise", "half precision"])
def test_a_classifier_passes_the_check(name: str, tmp_path: Path) -> None:
    model = CLASSIFIERS[name]()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    # Half precision rounds to 8 bits; see the tolerance in test_signatures.
    tolerance = 0.02 if name == "half precision" else 1e-4
    verify(
        tmp_path,
        classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess, tolerance=tolerance),
    )


@pytest.mark.slow
def test_a_regressor_passes_the_check(tmp_path: Path) -> None:
    export_regressor(Linear(), tmp_path, num_inputs=2)
    verify(tmp_path, regressor_checks(Linear(), FEATURES))


@pytest.mark.slow
def test_a_function_that_prepares_images_differently_is_refused(tmp_path: Path) -> None:
    model = Scratch()
    checks = [check for check in checks_of(model) if check.signature == "serving_default"]
    save_classifier(model, lambda image: model.logits(255 * guarded(image)), tmp_path)
    with pytest.raises(ExportError, match="must answer as the model does; its logits differ by"):
        verify(tmp_path, checks)


def without_guard(model: Any, image: tf.Tensor) -> tf.Tensor:
    return model.logits(preprocess(image))


def with_rank_assertion(model: Any, image: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.assert_rank(image, 3)]):
        return model.logits(preprocess(image))


def with_guard_of_one_axis(model: Any, image: tf.Tensor) -> tf.Tensor:
    # Takes one image of (1, 56, 28) for two.
    image = tf.reshape(tf.ensure_shape(image, [None, None, 28]), (-1, 28, 28))
    return model.logits(preprocess(image))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("function", "words"),
    [
        (without_guard, r"called with {'image': \(28, 28\)}, must refuse the shape"),
        (with_rank_assertion, "must refuse the shape"),
        (
            with_guard_of_one_axis,
            r"called with {'image': \(1, 56, 28\)}, must refuse the shape; .*'logits': \(2, 6\)",
        ),
    ],
)
def test_a_signature_that_takes_wrong_shapes_is_refused(
    function: Callable[[Any, tf.Tensor], tf.Tensor], words: str, tmp_path: Path
) -> None:
    model = Scratch()
    checks = [check for check in checks_of(model) if check.signature == "serving_default"]
    save_classifier(model, lambda image: function(model, image), tmp_path)
    with pytest.raises(ExportError, match=words):
        verify(tmp_path, checks)


@pytest.mark.slow
def test_keras_variables_saved_the_wrong_way_are_refused(tmp_path: Path) -> None:
    model = Concise()
    checks = [check for check in checks_of(model) if check.signature == "serving_default"]
    save_classifier(model, lambda image: model.logits(guarded(image)), tmp_path, tracked=model.net)
    # Python's own loader accepts it, so that is no evidence.
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert loaded(image=tf.constant(IMAGES[:1]))["logits"].shape == (1, 6)
    with pytest.raises(ExportError, match=r"must answer; it says: .*Could not find variable"):
        verify(tmp_path, checks)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    """A version that passes, and its checks."""
    directory, model = tmp_path_factory.mktemp("good"), Scratch()
    export_classifier(model, directory, labels=LABELS, preprocess=preprocess)
    return directory, checks_of(model)


@pytest.fixture
def copy(good: tuple[Path, list[Check]], tmp_path: Path) -> Path:
    """A copy of the good version to spoil."""
    shutil.copytree(good[0], tmp_path / "copy")
    return tmp_path / "copy"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda copy: (copy / "variables/variables.index").unlink(), "must (load|answer)"),
        (
            lambda copy: (copy / "variables/variables.data-00000-of-00001").unlink(),
            "must load .*it says: .*variables.data",
        ),
    ],
    ids=["no index", "no data"],
)
def test_a_copy_without_all_of_its_variables_is_refused(
    spoil: Callable[[Path], None], words: str, copy: Path, good: tuple[Path, list[Check]]
) -> None:
    spoil(copy)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        verify(copy, good[1])


def test_each_signature_must_have_a_check(good: tuple[Path, list[Check]]) -> None:
    directory, checks = good
    with pytest.raises(
        ExportError, match=r"each signature needs a check.*have {'serving_default': \['image'\]}"
    ):
        verify(directory, checks[:1])


@pytest.mark.slow
def test_answers_are_compared_row_by_row_beyond_the_first_batch(
    good: tuple[Path, list[Check]],
) -> None:
    directory, _ = good
    seen: list[slice] = []

    def mismatch_of(outputs: Any, rows: slice) -> None:
        assert all(len(array) == rows.stop - rows.start for array in outputs.values())
        seen.append(rows)

    images = np.resize(IMAGES, (2100, 28, 28))
    examples = np.resize(good[1][1].inputs["inputs"], 2100)
    checks = [
        Check("serving_default", {"image": images}, mismatch_of),
        Check("classify", {"inputs": examples}, lambda outputs, rows: None),
    ]
    verify(directory, checks)
    assert [(rows.start, rows.stop) for rows in seen] == [
        (0, 1),
        (0, 7),
        (0, 1000),
        (1000, 2000),
        (2000, 2100),
    ]
