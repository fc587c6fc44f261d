"""tfd2l/export: colour images, encoded files, rows of tables; run by the C API."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.outputs import ClassOutput, NumberOutput
from pipelines.raw_inputs import ImageInput, TableInput
from tests.support.small_models import answers
from tfd2l.export.errors import ExportError
from tfd2l.export.expected import model_checks
from tfd2l.export.publish import CARD_FILE
from tfd2l.export.saved_model import read_signatures
from tfd2l.export.signatures import export_model
from tfd2l.export.verify import verify

RNG = np.random.default_rng(0)


def scaled(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32) / 255


def decode(data: tf.Tensor) -> tf.Tensor:
    image = tf.io.decode_image(data, channels=3, expand_animations=False)
    size = tf.image.resize(image, (4, 6), antialias=True)
    return tf.ensure_shape(tf.cast(tf.round(size), tf.uint8), (4, 6, 3))


COLOUR = ImageInput((4, 6, 3), scaled, decode=decode)
NAMES = ClassOutput(("left", "right"))


class Sides(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """The red of an image's left and right half."""

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        halves = tf.reshape(X[..., 0], (-1, 4, 2, 3))
        return tf.reduce_sum(halves, axis=(1, 3))


def run(directory: Path, calls: list[tuple[str, dict[str, Any]]]) -> list[Any]:
    """The answers of the C API: arrays by name, or an error's text."""
    return [*answers(directory, calls)]


def red(side: int, height: int = 4, width: int = 6) -> np.ndarray[Any, Any]:
    image = np.zeros((height, width, 3), np.uint8)
    image[:, side * width // 2 : (side + 1) * width // 2, 0] = 255
    return image


def features(**parts: bytes) -> bytes:
    values = {n: tf.train.Feature(bytes_list={"value": [part]}) for n, part in parts.items()}
    return bytes(tf.train.Example(features={"feature": values}).SerializeToString())


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory: Path = tmp_path_factory.mktemp("sides")
    export_model(Sides(), directory, COLOUR, NAMES)
    return directory


def test_colour_images_are_taken_as_pixels_and_as_files_of_any_size(sides: Path) -> None:
    # Eight times as high, four times as wide; JPEG changes pixels a little, but no halves.
    png = tf.io.encode_png(red(0, 32, 24)).numpy()
    jpeg = tf.io.encode_jpeg(red(1, 32, 24)).numpy()
    [by_pixels, by_files, by_examples, *wrong] = run(
        sides,
        [
            ("serving_default", {"image": np.stack([red(0), red(1)])}),
            ("predict_bytes", {"image_bytes": np.array([png, jpeg, png], np.object_)}),
            (
                "classify",
                {
                    "inputs": np.array(
                        [features(image=red(1).tobytes()), features(image_bytes=png)], np.object_
                    )
                },
            ),
            ("predict_bytes", {"image_bytes": np.array([b"no image"], np.object_)}),
            ("classify", {"inputs": np.array([features(image=b"1234")], np.object_)}),
            ("classify", {"inputs": np.array([features(other=png)], np.object_)}),
        ],
    )
    # 12 pixels of full red in one half, none in the other.
    np.testing.assert_allclose(by_pixels["logits"], [[12, 0], [0, 12]], rtol=1e-6)
    assert by_files["label"].tolist() == [b"left", b"right", b"left"]
    assert by_examples["classes"].tolist() == [[b"right", b"left"], [b"left", b"right"]]
    assert all(isinstance(answer, str) for answer in wrong), wrong


@pytest.mark.slow
def test_the_load_check_runs_files_too(sides: Path) -> None:
    images = RNG.integers(0, 256, (20, 4, 6, 3)).astype(np.uint8)
    checks = model_checks(Sides(), COLOUR, NAMES, {"image": images})
    assert [check.signature for check in checks] == ["serving_default", "classify", "predict_bytes"]
    verify(sides, checks)
    # A decoder that the export does not have.
    mirrored = ImageInput((4, 6, 3), lambda images: scaled(images)[:, :, ::-1], decode=decode)
    with pytest.raises(ExportError, match="must answer as the model does"):
        verify(sides, model_checks(Sides(), mirrored, NAMES, {"image": images}))


# The second and third differ in case alone; the others are no names for Python.
COLUMNS = ["Rooms", "price", "Price", "Lot Area", "1stFloor", "Größe", "self", "input_3"]
WEIGHTS = np.arange(1, len(COLUMNS) + 1, dtype=np.float32)


class Weighted(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    def __call__(self, X: tf.Tensor) -> tf.Tensor:
        return tf.linalg.matvec(X, WEIGHTS)


@pytest.mark.slow
def test_columns_keep_their_names_whatever_these_are(tmp_path: Path) -> None:
    def stacked(raw: Any) -> tf.Tensor:
        known = tf.where(tf.math.is_nan(raw["Rooms"]), 0.0, raw["Rooms"])
        return tf.stack([known, *(raw[name] for name in COLUMNS[1:])], axis=1)

    table = TableInput(dict.fromkeys(COLUMNS, tf.float32), stacked)
    number = NumberOutput(lambda outputs: 100 + 10 * outputs)
    export_model(Weighted(), tmp_path, table, number)
    assert {*read_signatures(tmp_path)["serving_default"].inputs} == {*COLUMNS}
    rows = RNG.normal(size=(9, len(COLUMNS))).astype(np.float32)
    rows[0, 0] = np.nan
    raw = {name: rows[:, i] for i, name in enumerate(COLUMNS)}
    verify(tmp_path, model_checks(Weighted(), table, number, raw))
    # 0 * 1 + 1 * 2 + ... + 1 * 8 = 35, for a row of ones whose number of rooms is missing.
    ones = {name: np.ones(1, np.float32) for name in COLUMNS} | {"Rooms": np.full(1, np.nan, "f4")}
    example = tf.train.Example(
        features={
            "feature": {name: tf.train.Feature(float_list={"value": [1]}) for name in COLUMNS[1:]}
        }
    )
    [predicted, regressed] = run(
        tmp_path,
        [
            ("serving_default", ones),
            ("regress", {"inputs": np.array([example.SerializeToString()], np.object_)}),
        ],
    )
    np.testing.assert_allclose(predicted["prediction"], [450], rtol=1e-6)
    np.testing.assert_allclose(regressed["outputs"], [450], rtol=1e-6)


def test_a_row_of_text_is_classified(tmp_path: Path) -> None:
    class Roofs(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
        def logits(self, X: tf.Tensor) -> tf.Tensor:
            return X

    def one_hot(raw: Any) -> tf.Tensor:
        return tf.cast(raw["Roof"][:, tf.newaxis] == ["Slate", "Tin"], tf.float32) * 3

    table = TableInput({"Roof": tf.string}, one_hot)
    kinds = ClassOutput(("old", "new"))
    export_model(Roofs(), tmp_path, table, kinds)
    verify(tmp_path, model_checks(Roofs(), table, kinds, {"Roof": ["Tin", "Slate", "", "Reed"]}))
    roofs = np.array([b"Tin", b"Slate"], np.object_)
    [predicted] = run(tmp_path, [("serving_default", {"Roof": roofs})])
    assert predicted["label"].tolist() == [b"new", b"old"]


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ({"Roof": ["Tin"]}, r"a dict with an array for each of \['Area', 'Roof'\]; got \['Roof'\]"),
        ({"Roof": ["Tin"], "Area": [1, 2]}, "as many for each raw input; got"),
        ({"Roof": ["Tin"], "Area": ["1"]}, r"'Area' must be \(n,\) float32; got shape \(1,\) <U1"),
        ({"Roof": [["Tin"]], "Area": [1]}, r"'Roof' must be \(n,\) string; got shape \(1, 1\)"),
        ({"Roof": [], "Area": []}, "needs an example; got none"),
        (5, "got 5"),
    ],
)
def test_raw_examples_of_another_form_are_refused(raw: Any, words: str) -> None:
    table = TableInput({"Roof": tf.string, "Area": tf.float32}, lambda raw: raw["Area"][:, None])
    with pytest.raises(ExportError, match=words):
        model_checks(Weighted(), table, NumberOutput(), raw)


@pytest.mark.slow
def test_a_model_is_published_with_its_data(tmp_path: Path) -> None:
    data = d2l.SyntheticRegressionData(w=[2, -3.4], b=4.2, num_train=64, num_val=32)
    model = d2l.LinearRegression(lr=0.03)
    history = d2l.Trainer(max_epochs=1, enable_progress_bar=False).fit(model, data)
    version = d2l.publish(model, data, tmp_path / "linear", card={"note": "mine"})
    card = json.loads((version / CARD_FILE).read_text())
    assert card["input"] == {"kind": "features", "num_inputs": 2}
    assert card["output"] == {"kind": "number", "name": None}
    assert card["data"]["name"] == "SyntheticRegressionData"
    assert card["metrics"]["val_loss"] == history["val_loss"][-1]
    assert card["note"] == "mine"


def test_data_that_does_not_describe_itself_is_named(tmp_path: Path) -> None:
    class Mine(d2l.DataModule):
        pass

    with pytest.raises(NotImplementedError, match=r"Mine has no raw_input\(\).*d2l\.ImageFolder"):
        d2l.publish(keras.Sequential(), Mine(), tmp_path)
