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
    ConciseLinear,
    Linear,
    Scratch,
    preprocess,
)
from tfd2l.export.expected import classifier_checks, regressor_checks
from tfd2l.export.publish import warmup_requests
from tfd2l.export.saved_model import read_signatures
from tfd2l.export.signatures import ExportError, export_classifier, export_regressor
from tfd2l.export.verify import Check, verify
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup

FEATURES = np.random.default_rng(0).normal(size=(260, 2)).astype(np.float32)


def add_warmup(directory: Path, checks: list[Check]) -> list[Check]:
    """Write a warm-up file as publishing does; return the checks."""
    (directory / WARMUP_FILE).parent.mkdir(exist_ok=True)
    requests = warmup_requests(checks, read_signatures(directory))
    write_warmup(directory / WARMUP_FILE, "model", requests)
    return checks


def checks_of(model: Any) -> list[Check]:
    return classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess)


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_every_classifier_passes_the_whole_check(name: str, tmp_path: Path) -> None:
    model = CLASSIFIERS[name]()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    # Half precision rounds to 8 bits; see the tolerance in test_signatures.
    tolerance = 0.02 if name == "half precision" else 1e-4
    checks = classifier_checks(
        model, IMAGES, labels=LABELS, preprocess=preprocess, tolerance=tolerance
    )
    add_warmup(tmp_path, checks)
    assert sorted(verify(tmp_path, checks, batch_sizes=(1, 7, 256))) == [
        "classify",
        "serving_default",
    ]


@pytest.mark.parametrize("model", [Linear, ConciseLinear])
def test_every_regressor_passes_the_whole_check(model: type[Any], tmp_path: Path) -> None:
    regressor = model()
    export_regressor(regressor, tmp_path, num_inputs=2)
    checks = add_warmup(tmp_path, regressor_checks(regressor, FEATURES))
    assert sorted(verify(tmp_path, checks, batch_sizes=(1, 7, 256))) == [
        "regress",
        "serving_default",
    ]


def no_guard(model: Any, image: tf.Tensor) -> tf.Tensor:
    return model.logits(preprocess(image))


def rank_assertion_only(model: Any, image: tf.Tensor) -> tf.Tensor:
    with tf.control_dependencies([tf.debugging.assert_rank(image, 3)]):
        return model.logits(preprocess(image))


def guard_of_one_axis(model: Any, image: tf.Tensor) -> tf.Tensor:
    # Takes one image of (1, 56, 28) for two.
    image = tf.reshape(tf.ensure_shape(image, [None, None, 28]), (-1, 28, 28))
    return model.logits(preprocess(image))


def other_weights(model: Any, image: tf.Tensor) -> tf.Tensor:
    return model.logits(guarded(image)) + model.b


def unscaled(model: Any, image: tf.Tensor) -> tf.Tensor:
    return model.logits(255 * guarded(image))


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (no_guard, r"called with {'image': \(28, 28\)}, must refuse the shape"),
        (rank_assertion_only, "must refuse the shape"),
        (
            guard_of_one_axis,
            r"called with {'image': \(1, 56, 28\)}, must refuse the shape; .*'logits': \(2, 6\)",
        ),
        (other_weights, "must answer as the model does; its logits differ by up to"),
        (unscaled, "must answer as the model does; its logits differ by up to"),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_a_faulty_function_is_refused(
    function: Callable[[Any, tf.Tensor], tf.Tensor], words: str, tmp_path: Path
) -> None:
    model = Scratch()
    checks = [check for check in checks_of(model) if check.signature == "serving_default"]
    save_classifier(model, lambda image: function(model, image), tmp_path)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        verify(tmp_path, add_warmup(tmp_path, checks))


def test_keras_variables_saved_the_wrong_way_are_refused(tmp_path: Path) -> None:
    model = Concise()
    checks = [check for check in checks_of(model) if check.signature == "serving_default"]
    save_classifier(model, lambda image: model.logits(guarded(image)), tmp_path, tracked=model.net)
    # Python's own loader accepts it, so that is no evidence.
    loaded = tf.saved_model.load(str(tmp_path)).signatures["serving_default"]
    assert loaded(image=tf.constant(IMAGES[:1]))["logits"].shape == (1, 6)
    add_warmup(tmp_path, checks)
    with pytest.raises(ExportError, match=r"must answer; it says: .*Could not find variable"):
        verify(tmp_path, checks)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    """A version that passes, and its checks."""
    directory, model = tmp_path_factory.mktemp("good"), Scratch()
    export_classifier(model, directory, labels=LABELS, preprocess=preprocess)
    return directory, add_warmup(directory, checks_of(model))


@pytest.fixture
def copy(good: tuple[Path, list[Check]], tmp_path: Path) -> Path:
    """A copy of the good version to spoil."""
    shutil.copytree(good[0], tmp_path / "copy")
    return tmp_path / "copy"


def halve(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (
            lambda copy: shutil.rmtree(copy / "variables"),
            "C API, and so TensorFlow Serving|must answer",
        ),
        (lambda copy: (copy / "variables/variables.index").unlink(), "must (load|answer)"),
        (
            lambda copy: (copy / "variables/variables.data-00000-of-00001").unlink(),
            "must load .*it says: .*variables.data",
        ),
        (
            lambda copy: halve(copy / "variables/variables.data-00000-of-00001"),
            "must load .*it says: ",
        ),
    ],
    ids=["no variables", "no index", "no data", "half data"],
)
def test_a_copy_without_all_of_its_variables_is_refused(
    spoil: Callable[[Path], None], words: str, copy: Path, good: tuple[Path, list[Check]]
) -> None:
    spoil(copy)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        verify(copy, good[1])


def test_numbers_in_the_weights_that_changed_are_noticed(
    copy: Path, good: tuple[Path, list[Check]]
) -> None:
    # By the runtime's checksum of the data.
    path = copy / "variables/variables.data-00000-of-00001"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x40
    path.write_bytes(data)
    with pytest.raises(ExportError, match=r"(?s)must load .*it says: .*[Cc]hecksum"):
        verify(copy, good[1])


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)


def write_record(record: bytes) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with tf.io.TFRecordWriter(str(path)) as writer:
            writer.write(record)

    return write


def write_requests(*requests: WarmupRequest) -> Callable[[Path], None]:
    return lambda path: write_warmup(path, "model", requests)


IMAGE = WarmupRequest("predict", "serving_default", {"image": IMAGES[:1]})


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (Path.unlink, "must be a whole TFRecord file"),
        (flip, "must be a whole TFRecord file"),
        (halve, "must be a whole TFRecord file"),
        (lambda path: path.write_bytes(b"no records at all"), "must be a whole TFRecord file"),
        (lambda path: path.write_bytes(b""), r"each signature needs a warm-up request.*\[\]"),
        (write_record(b"no proto"), "must be a PredictionLog"),
        (write_record(b""), "must be a PredictionLog"),
        (write_requests(IMAGE), "each signature needs a warm-up request"),
        (
            write_requests(IMAGE, WarmupRequest("predict", "other", {"image": IMAGES[:1]})),
            "each signature needs a warm-up request",
        ),
        (
            write_requests(IMAGE, WarmupRequest("predict", "classify", {"image": IMAGES[:1]})),
            r"has the inputs \['inputs'\]; .* gives \['image'\]",
        ),
        (
            write_requests(
                IMAGE,
                # An Example without the feature `image`.
                WarmupRequest("classify", "classify", {"inputs": np.array([b""], object)}),
            ),
            "must answer; it says: ",
        ),
        (
            write_requests(
                IMAGE, WarmupRequest("regress", "classify", {"inputs": np.array([b""], object)})
            ),
            "'classify' is for classify or predict",
        ),
    ],
    ids=[
        "missing",
        "bit",
        "half",
        "text",
        "empty",
        "garbage",
        "empty record",
        "lacking",
        "unknown",
        "other input",
        "bad example",
        "other method",
    ],
)
def test_a_corrupted_warm_up_file_is_refused(
    spoil: Callable[[Path], None], words: str, copy: Path, good: tuple[Path, list[Check]]
) -> None:
    spoil(copy / WARMUP_FILE)
    with pytest.raises(ExportError, match=f"(?s){words}"):
        verify(copy, good[1])


def test_each_signature_must_have_a_check(good: tuple[Path, list[Check]]) -> None:
    directory, checks = good
    with pytest.raises(ExportError, match=r"each signature needs a check.*\['serving_default'\]"):
        verify(directory, checks[:1])


def test_answers_are_compared_row_by_row_beyond_the_first_batch(
    good: tuple[Path, list[Check]],
) -> None:
    directory, _ = good
    seen: list[slice] = []

    def mismatch_of(outputs: Any, rows: slice) -> None:
        assert all(len(array) == rows.stop - rows.start for array in outputs.values())
        seen.append(rows)

    images = np.resize(IMAGES, (2100, 28, 28))
    examples = np.resize(add_warmup(directory, good[1])[1].inputs["inputs"], 2100)
    checks = [
        Check("serving_default", {"image": images}, mismatch_of),
        Check("classify", {"inputs": examples}, lambda outputs, rows: None),
    ]
    verify(directory, checks, batch_sizes=(1, 7))
    assert [(rows.start, rows.stop) for rows in seen] == [
        (0, 1),
        (0, 7),
        (0, 1000),
        (1000, 2000),
        (2000, 2100),
    ]
