"""Exported models that answer in this process, and directories that are refused."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from tests.support import ROOT
from tests.support.small_models import IMAGES, LABELS, Concise, Scratch, preprocess
from tfd2l.export.c_api.session import Session
from tfd2l.export.signature_types import TensorSpec
from tfd2l.export.signatures import export_classifier
from tfd2l.predict.answers import ServingError
from tfd2l.predict.local import LocalModel


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 2 and 10 of a model, the second with Keras layers, and other entries."""
    directory = tmp_path_factory.mktemp("exported") / "some model"
    for version, model in ((2, Scratch()), (10, Concise())):
        export_classifier(model, directory / str(version), labels=LABELS, preprocess=preprocess)
        np.save(directory / f"{version}.npy", model.logits(preprocess(IMAGES)).numpy())
    (directory / ".staging-11").mkdir()
    (directory / "99").write_text("a file, no version")
    return directory


@pytest.mark.parametrize("version", [2, 10])
def test_answers_are_those_of_the_model_that_was_exported(base: Path, version: int) -> None:
    model = LocalModel(base / str(version), batch_size=100)
    found, logits = model.predict(IMAGES), np.load(base / f"{version}.npy")
    # The order of summation differs.
    np.testing.assert_allclose(found.logits, logits, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.probabilities, tf.nn.softmax(logits), atol=1e-4)
    assert found.label.tolist() == [LABELS[class_id] for class_id in found.class_id]
    classified = model.classify(IMAGES)
    assert classified.classes[:, 0].tolist() == found.label.tolist()
    assert classified.scores.shape == (len(IMAGES), len(LABELS))
    np.testing.assert_allclose(classified.scores, -np.sort(-found.probabilities, axis=1), atol=1e-5)


def test_the_highest_version_is_taken_by_number(base: Path) -> None:
    model = LocalModel(base)
    assert model.directory == base / "10"
    assert str(model) == f"the model in {base / '10'}"
    assert model.image_shape() == (28, 28)
    metadata = model.metadata()
    image = TensorSpec("serving_default_image:0", "uint8", (None, 28, 28))
    assert metadata["serving_default"].inputs == {"image": image}
    assert metadata["classify"].outputs["classes"].dtype == "string"


def test_images_are_checked_before_they_are_run(base: Path) -> None:
    with pytest.raises(ServingError, match="got 1 to 256"):
        LocalModel(base).predict(IMAGES.astype(int) + 1)


@pytest.mark.parametrize("place", [".", "absent", "some model/99", "some model/.staging-11"])
def test_a_directory_without_versions_is_refused(base: Path, place: str) -> None:
    with pytest.raises(ServingError, match="a model's directory has versions named 1, 2"):
        LocalModel(base.parent / place)


def test_a_damaged_model_is_refused(base: Path, tmp_path: Path) -> None:
    for damage in ("saved_model.pb", "variables/variables.index"):
        directory = tmp_path / damage.replace("/", "-")
        shutil.copytree(base / "2", directory)
        (directory / damage).write_bytes(b"damaged")
        with pytest.raises(ServingError, match=r"can't be loaded: .*\. python -m tfd2l\.train exp"):
            LocalModel(directory).predict(IMAGES)


def test_a_model_without_the_signatures_is_refused(tmp_path: Path) -> None:
    module = tf.Module()
    module.f = tf.function(
        lambda image: {"sum": tf.reduce_sum(image)},
        input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8, name="image")],
    )
    tf.saved_model.save(module, str(tmp_path), signatures=module.f)
    model = LocalModel(tmp_path)
    with pytest.raises(ServingError, match=r"an output 'logits' .*; got the outputs \['sum'\]"):
        model.predict(IMAGES)
    with pytest.raises(ServingError, match="can't be run: .* 'classify' not found"):
        model.classify(IMAGES)


def test_the_runtimes_memory_is_freed_with_the_model(base: Path) -> None:
    with mock.patch.object(Session, "close") as close:
        model = LocalModel(base)
        model.metadata()
        del model
        gc.collect()
    close.assert_called_once_with()


def test_tensorflow_is_imported_by_the_first_call(base: Path) -> None:
    program = (
        "import sys\n"
        "from tfd2l.predict.local import LocalModel\n"
        "LocalModel(sys.argv[1])\n"
        "print('tensorflow' in sys.modules)"
    )
    process = subprocess.run(
        [sys.executable, "-c", program, str(base)], capture_output=True, text=True, cwd=ROOT
    )
    assert (process.stdout, process.stderr) == ("False\n", "")
