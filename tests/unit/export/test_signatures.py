"""Exported models, run by the C API in a fresh process, against the models themselves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.small_models import (
    CLASSIFIERS,
    IMAGES,
    LABELS,
    Concise,
    ConciseLinear,
    Linear,
    Q,
    Scratch,
    answers,
    objects,
    preprocess,
)
from tfd2l.export.expected import image_examples
from tfd2l.export.saved_model import read_signatures
from tfd2l.export.signatures import ExportError, export_classifier, export_regressor

pytestmark = pytest.mark.usefixtures("warm_load_check")

# Float32 sums of 784 terms below 1 in another order differ by some 1e-6.
ROUNDING = 2e-5
NAMES = np.array([label.encode() for label in LABELS], np.object_)


def softmax(logits: Any) -> Any:
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def example(**features: Any) -> bytes:
    made = {
        name: tf.train.Feature(**{f"{kind}_list": {"value": value}})
        for name, (kind, value) in features.items()
    }
    return bytes(tf.train.Example(features={"feature": made}).SerializeToString())


def test_signatures_have_the_names_dtypes_and_shapes_of_the_contract(tmp_path: Path) -> None:
    export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    assert {name: signature.as_json() for name, signature in read_signatures(tmp_path).items()} == {
        "classify": {
            "inputs": {"inputs": {"dtype": "string", "shape": [None]}},
            "outputs": {
                "classes": {"dtype": "string", "shape": [None, Q]},
                "scores": {"dtype": "float32", "shape": [None, Q]},
            },
        },
        "serving_default": {
            "inputs": {"image": {"dtype": "uint8", "shape": [None, 28, 28]}},
            "outputs": {
                "class_id": {"dtype": "int64", "shape": [None]},
                "label": {"dtype": "string", "shape": [None]},
                "logits": {"dtype": "float32", "shape": [None, Q]},
                "probabilities": {"dtype": "float32", "shape": [None, Q]},
            },
        },
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSIFIERS)
def test_classifier_answers_as_the_model_does_at_any_batch_size(name: str, tmp_path: Path) -> None:
    model = CLASSIFIERS[name]()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    batches = [IMAGES[:1], IMAGES[:7], IMAGES[:256]]
    found = answers(
        tmp_path,
        [("serving_default", {"image": images}) for images in batches]
        + [("classify", {"inputs": image_examples(images)}) for images in batches],
    )
    # A bfloat16 has 8 bits: sums of 256 such terms, near 1, differ by some 1e-2.
    tolerance = 0.03 if name == "half precision" else ROUNDING
    for images, predicted, classified in zip(batches, found[:3], found[3:], strict=True):
        assert isinstance(predicted, dict)
        assert isinstance(classified, dict)
        own = np.asarray(model.logits(preprocess(images)))
        class_id = predicted["class_id"]
        np.testing.assert_allclose(predicted["logits"], own, atol=tolerance)
        np.testing.assert_allclose(predicted["probabilities"], softmax(own), atol=tolerance)
        assert class_id.tolist() == predicted["logits"].argmax(1).tolist()
        assert predicted["label"].tolist() == NAMES[class_id].tolist()
        order = np.argsort(-predicted["probabilities"], axis=1, kind="stable")
        np.testing.assert_array_equal(classified["classes"], NAMES[order])
        np.testing.assert_allclose(
            classified["scores"],
            np.take_along_axis(predicted["probabilities"], order, 1),
            atol=ROUNDING,
        )


@pytest.mark.slow
def test_scratch_classifier_agrees_with_numpy(tmp_path: Path) -> None:
    model = Scratch()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    [found] = answers(tmp_path, [("serving_default", {"image": IMAGES})])
    assert isinstance(found, dict)
    W, b = model.W.numpy().astype(np.float64), model.b.numpy().astype(np.float64)
    logits = IMAGES.reshape(-1, 784) / 255 @ W + b
    np.testing.assert_allclose(found["logits"], logits, atol=ROUNDING)
    np.testing.assert_allclose(found["probabilities"], softmax(logits), atol=ROUNDING)


@pytest.mark.slow
def test_dropout_and_batch_norm_are_exported_as_in_inference(tmp_path: Path) -> None:
    model = CLASSIFIERS["regularised"]()
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    [found] = answers(tmp_path, [("serving_default", {"image": IMAGES[:5]})])
    assert isinstance(found, dict)
    gamma, beta, mean, variance = (np.asarray(v) for v in model.norm.variables)
    kernel, bias = (np.asarray(v) for v in model.net.layers[-1].variables)
    # 1e-3 is Keras' default epsilon.
    X = (IMAGES[:5].reshape(5, 784) / 255 - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    np.testing.assert_allclose(found["logits"], X @ kernel + bias, atol=5 * ROUNDING)


@pytest.mark.slow
def test_wrong_images_are_refused(tmp_path: Path) -> None:
    export_classifier(Concise(), tmp_path, labels=LABELS, preprocess=preprocess)
    shapes = [(28, 28), (2, 28, 28, 1), (1, 56, 28), (784,), (1, 28, 27), ()]
    calls: list[Any] = [
        ("serving_default", {"image": np.zeros(shape, np.uint8)}) for shape in shapes
    ]
    calls.append(("serving_default", {"image": np.zeros((1, 28, 28), np.float32)}))
    for given, found in zip(calls, answers(tmp_path, calls), strict=True):
        assert isinstance(found, str), given
        assert "shape" in found or "uint8" in found


@pytest.mark.slow
@pytest.mark.parametrize(
    "inputs",
    [
        objects(example(image=("bytes", [b"\0" * 783]))),
        # Twice the pixels must not pass for two images.
        objects(example(image=("bytes", [b"\0" * 1568]))),
        objects(example(picture=("bytes", [b"\0" * 784]))),
        objects(example(image=("int64", [0] * 784))),
        objects(b"no example"),
        np.array([[example(image=("bytes", [b"\0" * 784]))]], np.object_),
    ],
    ids=["short", "long", "other name", "integers", "no proto", "matrix"],
)
def test_wrong_examples_are_refused(inputs: np.ndarray[Any, Any], classifier: Path) -> None:
    [found] = answers(classifier, [("classify", {"inputs": inputs})])
    assert isinstance(found, str)
    assert found


@pytest.fixture(scope="module")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("classifier")
    export_classifier(Scratch(), directory, labels=LABELS, preprocess=preprocess)
    return directory


@pytest.mark.slow
@pytest.mark.parametrize("model", [Linear, ConciseLinear])
def test_regressor_answers_as_the_model_does_at_any_batch_size(
    model: type[Any], tmp_path: Path
) -> None:
    regressor = model()
    export_regressor(regressor, tmp_path, num_inputs=2)
    features = np.random.default_rng(0).normal(size=(256, 2)).astype(np.float32)
    examples = objects(*(example(features=("float", row)) for row in features))
    calls: list[Any] = []
    for n in (1, 7, 256):
        calls.append(("serving_default", {"features": features[:n]}))
        calls.append(("regress", {"inputs": examples[:n]}))
    found = answers(tmp_path, calls)
    for n, predicted, regressed in zip((1, 7, 256), found[::2], found[1::2], strict=True):
        assert isinstance(predicted, dict)
        assert isinstance(regressed, dict)
        own = np.ravel(regressor(features[:n]))
        assert [*predicted] == ["prediction"]
        assert [*regressed] == ["outputs"]
        np.testing.assert_allclose(predicted["prediction"], own, atol=1e-5, strict=True)
        np.testing.assert_allclose(regressed["outputs"], own, atol=1e-5, strict=True)


@pytest.mark.slow
def test_regressor_gives_numbers_worked_by_hand_and_refuses_wrong_features(tmp_path: Path) -> None:
    export_regressor(Linear(), tmp_path, num_inputs=2)
    right, *wrong = answers(
        tmp_path,
        [
            ("serving_default", {"features": np.array([[1, 1], [0, -1]], np.float32)}),
            *(
                ("serving_default", {"features": np.zeros(shape, np.float32)})
                for shape in [(2,), (1, 4), (1, 2, 1), (1, 3)]
            ),
            ("regress", {"inputs": objects(example(features=("float", [1.0])))}),
            ("regress", {"inputs": objects(example(features=("int64", [1, 1])))}),
        ],
    )
    assert isinstance(right, dict)
    # w = (2, -3.4), b = 4.2, as in the book.
    np.testing.assert_allclose(right["prediction"], [2.8, 7.6], rtol=1e-6)
    assert all(isinstance(found, str) for found in wrong)


@pytest.mark.slow
def test_an_image_of_another_shape_can_be_exported(tmp_path: Path) -> None:
    class Sum(Scratch):
        def logits(self, X: tf.Tensor) -> tf.Tensor:
            return tf.reduce_sum(X, (1, 2)) * tf.range(Q, dtype=tf.float32)

    export_classifier(Sum(), tmp_path, labels=LABELS, preprocess=preprocess, image_shape=(2, 3))
    image = np.array([[[255, 0, 0], [0, 0, 51]]], np.uint8)
    predicted, classified = answers(
        tmp_path,
        [
            ("serving_default", {"image": image}),
            ("classify", {"inputs": image_examples(image)}),
        ],
    )
    assert isinstance(predicted, dict)
    assert isinstance(classified, dict)
    np.testing.assert_allclose(predicted["logits"], [1.2 * np.arange(Q)], rtol=1e-6)
    assert classified["classes"][0].tolist() == NAMES[::-1].tolist()


def test_objects_that_the_model_refers_to_are_not_exported(tmp_path: Path) -> None:
    model = Scratch()
    model.trainer = tf.train.Checkpoint(momentum=tf.Variable(tf.zeros((1000, 1000))))
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    # W and b have 784 * 6 + 6 floats, 19 kB; the trainer's would be 4 MB.
    assert sum(path.stat().st_size for path in (tmp_path / "variables").iterdir()) < 100_000


def test_an_export_does_not_inherit_the_device_around_it(tmp_path: Path) -> None:
    with tf.device("/GPU:0"):
        export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    assert "serving_default" in read_signatures(tmp_path)


@pytest.mark.parametrize(
    ("labels", "words"),
    [
        (LABELS[1:], r"shape \(2, 5\), one for each label; got \(2, 6\)"),
        ([*LABELS[1:], "coat"], "must be different"),
        (["", *LABELS[1:]], "not empty"),
    ],
)
def test_labels_that_do_not_fit_are_refused(labels: list[str], words: str, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=words):
        export_classifier(Scratch(), tmp_path / "new", labels=labels, preprocess=preprocess)
    assert not (tmp_path / "new").exists()


def test_a_model_of_several_targets_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"one number for each .* \(1, 3\) for n = 1"):
        export_regressor(ConciseLinear(3), tmp_path, num_inputs=2)


def test_a_model_that_works_only_eagerly_is_refused(tmp_path: Path) -> None:
    class Eager(Scratch):
        def logits(self, X: tf.Tensor) -> tf.Tensor:
            return tf.constant(super().logits(X).numpy())

    with pytest.raises(ExportError, match=r"(?s)Eager can't be exported: .*numpy"):
        export_classifier(Eager(), tmp_path, labels=LABELS, preprocess=preprocess)


def test_variables_that_the_model_does_not_list_are_refused(tmp_path: Path) -> None:
    hidden = [tf.Variable(1.0)]

    class Hiding(Scratch):
        def logits(self, X: tf.Tensor) -> tf.Tensor:
            return super().logits(X) * hidden[0]

    with pytest.raises(ExportError, match=r"(?s)Hiding can't be exported.*model\.variables"):
        export_classifier(Hiding(), tmp_path, labels=LABELS, preprocess=preprocess)


@pytest.mark.parametrize("model", [Scratch, Concise])
def test_an_unwritable_directory_is_refused_by_name(model: type[Any], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ExportError, match=r"must be written to .*/file/mlp; .*Choose a directory"):
        export_classifier(model(), tmp_path / "file" / "mlp", labels=LABELS, preprocess=preprocess)


def test_probabilities_in_place_of_logits_are_refused(tmp_path: Path) -> None:
    class Forgetful(Scratch):
        def logits(self, X: Any) -> tf.Tensor:
            return tf.nn.softmax(super().logits(X))

    with pytest.raises(ExportError, match=r"logits of Forgetful are probabilities.*logits\(X\)"):
        export_classifier(Forgetful(), tmp_path, labels=LABELS, preprocess=preprocess)
    assert not list(tmp_path.iterdir())
