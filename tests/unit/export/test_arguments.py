"""tfd2l/export/arguments.py: what a user may give to an export, and the words for the rest."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.support.small_models import IMAGES, LABELS, ConciseLinear, Scratch, preprocess
from tfd2l.export.errors import ExportError
from tfd2l.export.expected import classifier_checks, image_examples, logits_of, regressor_checks
from tfd2l.export.publish import publish_version
from tfd2l.export.signatures import export_classifier, export_regressor
from tfd2l.export.verify import verify

pytestmark = pytest.mark.usefixtures("warm_load_check")


def refused(words: str, tmp_path: Path, **wrong: Any) -> None:
    given: dict[str, Any] = {"model": Scratch(), "labels": LABELS, "preprocess": preprocess}
    given |= wrong
    with pytest.raises((ExportError, ValueError), match=words) as error:
        export_classifier(given.pop("model"), tmp_path / "new", **given)
    # One line, without arrays.
    assert len(str(error.value)) < 500
    assert "\n" not in str(error.value)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    "labels",
    [[1, 2], [b"a", b"b"], "ab", ["a", None], {"a", "b"}, {"a": 0}, iter("ab"), None, 2, [],
     np.arange(6)],
    ids=lambda labels: type(labels).__name__,
)  # fmt: skip
def test_labels_that_are_not_a_list_of_strings_are_refused(labels: Any, tmp_path: Path) -> None:
    rule = r"labels must be a list of strings, .*; got .*str\(label\).*label\.decode\(\)"
    refused(rule, tmp_path, labels=labels)
    with pytest.raises(ExportError, match=rule):
        classifier_checks(Scratch(), IMAGES, labels=labels, preprocess=preprocess)


def test_labels_that_have_no_utf8_are_refused(tmp_path: Path) -> None:
    refused("labels must be strings that UTF-8 can encode", tmp_path, labels=["\ud800", "b"])


def test_labels_may_be_an_array_of_strings(tmp_path: Path) -> None:
    export_classifier(Scratch(), tmp_path, labels=np.array(LABELS), preprocess=preprocess)  # type: ignore[arg-type]
    serve = tf.saved_model.load(tmp_path).signatures["serving_default"]
    [label] = serve(image=tf.constant(IMAGES[:1]))["label"].numpy()
    assert label.decode() in LABELS


@pytest.mark.parametrize(
    ("shape", "words"),
    [
        ((1, 48, 64, 3), r"\(height, width, channels\), in pixels; got \(1, 48, 64, 3\)"),
        ((28,), r"\(height, width\).*got \(28,\)"),
        (28, "got 28"),
        ("28", "got '28'"),
        ((0, 28), r"image_shape\[0\] must be a whole number of at least 1; got 0"),
        ((28, 28.0), r"image_shape\[1\] must be a whole number of at least 1; got 28\.0"),
    ],
)
def test_image_shapes_other_than_two_or_three_sizes_are_refused(
    shape: Any, words: str, tmp_path: Path
) -> None:
    refused(words, tmp_path, image_shape=shape)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (None, "preprocess must be a function, .*; got None"),
        (lambda: 0, r"preprocess must be a function, .* \(2, 28, 28\) it raises TypeError"),
        (lambda images: images.name_less, "it raises AttributeError: .*name_less"),
        (lambda images: None, "Scratch must take the inputs of the export, None; it raises"),
    ],
)
def test_a_preparation_that_fails_is_named(wrong: Any, words: str, tmp_path: Path) -> None:
    refused(words, tmp_path, preprocess=wrong)
    with pytest.raises(ExportError, match=r"preprocess|Scratch"):
        logits_of(Scratch(), IMAGES[:2], wrong)


@pytest.mark.parametrize("rank", [2, 4])
def test_inputs_of_the_wrong_shape_are_named_without_their_numbers(
    rank: int, tmp_path: Path
) -> None:
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(len(LABELS))])
    model.build((None, 784) if rank == 2 else (None, 28, 28, 1))

    def coloured(images: tf.Tensor) -> tf.Tensor:
        return tf.repeat(preprocess(images), 3, axis=-1)

    words = r"Sequential must take the inputs of the export, shape \(2, 28, 28, 3\) float32; .*"
    wanted = r"\(None, 784\)" if rank == 2 else "value 784"
    refused(words + wanted, tmp_path, model=model, preprocess=coloured)


@pytest.mark.parametrize("model", [ConciseLinear(1), 5, Scratch, lambda X: X], ids=type)
def test_what_is_no_classifier_is_refused(model: Any, tmp_path: Path) -> None:
    refused(r"has a method logits\(X\).* or is a Keras model; got", tmp_path, model=model)


@pytest.mark.slow
def test_a_keras_model_is_exported_as_it_is(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dropout(0.5), keras.layers.Dense(len(LABELS))]
    )
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    verify(tmp_path, classifier_checks(model, IMAGES[:8], labels=LABELS, preprocess=preprocess))
    answer = tf.saved_model.load(tmp_path).signatures["serving_default"](image=IMAGES[:3])
    # Float32 sums of 784 terms in another order.
    np.testing.assert_allclose(answer["logits"], model(preprocess(IMAGES[:3])), atol=1e-4)


def test_a_keras_model_that_ends_with_softmax_is_refused(tmp_path: Path) -> None:
    model = keras.Sequential(
        [keras.layers.Flatten(), keras.layers.Dense(len(LABELS), activation="softmax")]
    )
    refused("Let the last layer have no softmax", tmp_path, model=model)


def test_a_directory_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ExportError, match=r"new or empty directory; .* has 'notes\.txt'"):
        export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    with pytest.raises(ExportError, match="new or empty directory"):
        export_regressor(ConciseLinear(1), tmp_path, num_inputs=2)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize("number", [0, -1, 2.0, "2", None])
def test_a_number_of_features_must_be_a_size(number: Any, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="num_inputs must be a whole number of at least 1; got"):
        export_regressor(ConciseLinear(1), tmp_path, num_inputs=number)


def test_a_regressor_of_other_features_is_refused_in_one_line(tmp_path: Path) -> None:
    model = ConciseLinear(1)
    model(np.zeros((1, 3), np.float32))
    with pytest.raises(ExportError, match=r"ConciseLinear must take .*shape \(1, 2\) float32; it"):
        export_regressor(model, tmp_path, num_inputs=2)


@pytest.mark.parametrize(
    "images",
    [IMAGES[:2].astype(np.float32), IMAGES[:2, ..., None, None], IMAGES[0], [[1]], None],
    ids=type,
)
def test_examples_that_are_not_raw_images_are_refused(images: Any) -> None:
    rule = r"images must be raw, \(n, height, width\) uint8 .*; got shape"
    with pytest.raises(ExportError, match=rule):
        classifier_checks(Scratch(), images, labels=LABELS, preprocess=preprocess)
    with pytest.raises(ExportError, match=rule):
        image_examples(images)


def test_checks_need_logits_of_the_images_and_labels() -> None:
    logits = np.zeros((3, len(LABELS)), np.float32)
    with pytest.raises(ExportError, match=r"must have shape \(2, 6\); got \(3, 6\)"):
        classifier_checks(
            Scratch(), IMAGES[:2], labels=LABELS, preprocess=preprocess, logits=logits
        )
    with pytest.raises(ExportError, match=r"for 5 labels must have shape \(2, 5\); got \(2, 6\)"):
        classifier_checks(Scratch(), IMAGES[:2], labels=LABELS[:5], preprocess=preprocess)


@pytest.mark.parametrize("tolerance", [-1, float("nan"), "small", None])
def test_a_tolerance_that_allows_nothing_is_refused(tolerance: Any) -> None:
    words = "tolerance must be a finite number of at least 0; got"
    with pytest.raises(ValueError, match=words):
        classifier_checks(
            Scratch(), IMAGES[:2], labels=LABELS, preprocess=preprocess, tolerance=tolerance
        )
    with pytest.raises(ValueError, match=words):
        regressor_checks(ConciseLinear(1), np.zeros((1, 2)), tolerance=tolerance)


def test_features_become_float32_rows() -> None:
    [predict, _] = regressor_checks(ConciseLinear(1), [[1, 2], [3, 4]])  # type: ignore[arg-type]
    assert predict.inputs["features"].dtype == np.float32
    for wrong, words in [([1, 2], r"\(n, d\); got \(2,\)"), ([["a"]], "must be numbers")]:
        with pytest.raises(ExportError, match=words):
            regressor_checks(ConciseLinear(1), wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"write": Scratch()}, "write must be a function that writes the model .*; got .*Scratch"),
        ({"write": keras.Sequential()}, "write must be a function .*; got <Sequential"),
        ({"write": None}, "write must be a function .*; got None"),
        ({"card": None}, "card must be a dict of JSON values; got None"),
        ({"timeout_s": 0}, "timeout_s must be a finite number above 0; got 0"),
        ({"timeout_s": None}, "timeout_s must be a finite number above 0; got None"),
    ],
)
def test_a_publication_refuses_wrong_arguments_before_it_writes(
    wrong: dict[str, Any], words: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"write": lambda path: path.touch(), "checks": [], "card": {}, **wrong}
    with pytest.raises((ExportError, ValueError), match=words):
        publish_version(given.pop("write"), tmp_path, **given)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("checks", [None, [5], "checks"])
def test_checks_of_another_kind_are_refused(checks: Any, tmp_path: Path) -> None:
    export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    with pytest.raises(ExportError, match="checks must be a list of Check; got"):
        verify(str(tmp_path), checks, ask=lambda request: pytest.fail("nothing to ask"))
