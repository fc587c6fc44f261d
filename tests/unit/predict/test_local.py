"""Exported models of images and tables in this process, and directories that are refused."""

from __future__ import annotations

import gc
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from tests.support import ROOT
from tests.support.raw_models import COLOUR_SHAPE, save_colours, save_prices, save_roofs
from tests.support.small_models import IMAGES, LABELS, Concise, Linear, Scratch, preprocess
from tfd2l.export.c_api.session import Session
from tfd2l.export.signature_types import TensorSpec
from tfd2l.export.signatures import export_classifier, export_regressor
from tfd2l.predict.answers import NumberPredictions, Predictions, ServingError
from tfd2l.predict.forms import ImageForm
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


def test_a_model_of_a_table_takes_rows_in_any_form(tmp_path: Path) -> None:
    columns: dict[str, Any] = {"rooms": [2, None], "roof": ["Slate", "Tin"]}
    model = LocalModel(save_prices(tmp_path / "houses" / "1"), batch_size=1)
    for rows in (columns, pd.DataFrame(columns), pd.DataFrame(columns).to_dict("records")):
        found = model.predict(rows)
        assert isinstance(found, NumberPredictions)
        # 10 * 2 + 5, and 10 * 3 where the number is missing.
        np.testing.assert_array_equal(found.prediction, np.array([25, 30], np.float32), strict=True)
    assert len(model.regress(columns)) == 2
    with pytest.raises(ServingError, match=r"takes rows with \['roof', 'rooms'\], such as "):
        model.predict(IMAGES)
    with pytest.raises(ServingError, match="takes no images, but rows with "):
        model.image_shape()
    with pytest.raises(ServingError, match="can't be run: .* 'classify' not found"):
        model.classify(columns)


def test_a_classifier_of_a_table_gives_labels_and_probabilities(tmp_path: Path) -> None:
    model = LocalModel(save_roofs(tmp_path / "1"))
    rows = {"rooms": [3, 3, None], "roof": ["Slate", "Tin", None]}
    found = model.predict(rows)
    assert isinstance(found, Predictions)
    # The logits are 30 and 35; 30 and 30, twice.
    share = 1 / (1 + np.exp(-5.0))
    np.testing.assert_allclose(found.probabilities[:, 1], [share, 0.5, 0.5], rtol=1e-6)
    assert found.label.tolist() == ["steep", "flat", "flat"]
    classified = model.classify(rows)
    assert classified.classes[0].tolist() == ["steep", "flat"]
    np.testing.assert_allclose(classified.scores[0], [share, 1 - share], rtol=1e-5)


def test_a_model_of_colour_images_takes_their_channels(tmp_path: Path) -> None:
    model = LocalModel(save_colours(tmp_path / "1", input={"framing": "none"}))
    images = np.zeros((2, *COLOUR_SHAPE), np.uint8)
    images[0, ..., 0], images[1, ..., 2] = 255, 255
    assert model.predict(images).label.tolist() == ["red", "blue"]
    assert model.classify(images[1]).classes[:, 0].tolist() == ["blue"]
    assert model.image_shape() == COLOUR_SHAPE
    assert model.form() == ImageForm(COLOUR_SHAPE, "none")
    with pytest.raises(ServingError, match=r"images must be \(n, 4, 6, 3\), or \(4, 6, 3\) for"):
        model.predict(images[..., 0])
    with pytest.raises(ServingError, match="takes images, not rows; got dict"):
        model.predict({"image": images})


def test_a_model_of_numbers_takes_them_as_one_input(tmp_path: Path) -> None:
    export_regressor(Linear(), tmp_path / "1", num_inputs=2)
    # 2 a - 3.4 b + 4.2
    found = LocalModel(tmp_path).regress({"features": [[1, 1], [0, -1]]})
    np.testing.assert_allclose(found.prediction, [2.8, 7.6], rtol=1e-6)
    with pytest.raises(ServingError, match=r"such as {'features': X}; got an array of "):
        LocalModel(tmp_path).predict(np.ones((2, 2)))


def test_a_card_that_is_no_json_object_is_refused(tmp_path: Path) -> None:
    directory = save_prices(tmp_path / "1", model="houses")
    for text, words in (("{", "a readable JSON file: "), ("[1]", r"a JSON object; got \[1\]")):
        (directory / "assets.extra/card.json").write_text(text)
        with pytest.raises(ServingError, match=f"can't be loaded: .*card.json must be {words}"):
            LocalModel(directory).metadata()


def test_the_documented_program_answers_rows(
    tmp_path: Path, documented_program: Callable[[str], str], capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    save_prices(tmp_path / "savedmodels/houses/1")
    monkeypatch.chdir(tmp_path)
    exec(documented_program("d2l.LocalModel"), {})
    assert capsys.readouterr().out == "[35. 30.]\n"
