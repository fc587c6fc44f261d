"""Section 5.8: a folder of images and a table of one's own, trained, published and asked."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image, ImageDraw

import tfd2l as d2l
from tfd2l.train.command import main as train

DOWN = np.array([(0.0, 1.0), (-0.87, -0.5), (0.87, -0.5)])  # an image's y points down
SIGNS = {"give-way": DOWN, "warning": -DOWN}


class SignNet(d2l.Classifier):
    def __init__(self, num_classes: int, lr: float = 0.01) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.augment = keras.layers.RandomFlip("horizontal")
        self.net = keras.Sequential(
            [
                keras.layers.Conv2D(8, kernel_size=3, activation="relu"),
                keras.layers.MaxPooling2D(),
                keras.layers.Flatten(),
                keras.layers.Dense(num_classes),
            ]
        )

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        return self.net(self.augment(X))

    def configure_optimizers(self) -> Any:
        return keras.optimizers.Adam(self.lr)


def draw_signs(folder: Path, number: int) -> None:
    """Write images of each sign, of different sizes and colours, at different places."""
    rng = np.random.default_rng(0)
    for kind, shape in SIGNS.items():
        (folder / kind).mkdir(parents=True)
        for n in range(number):
            width, height = rng.integers(24, 40, 2).tolist()
            image = Image.new("RGB", (width, height), tuple(rng.integers(0, 100, 3).tolist()))
            radius = 0.35 * min(width, height)
            centre = rng.uniform(radius, (width - radius, height - radius))
            corners = [tuple(point) for point in radius * shape + centre]
            ImageDraw.Draw(image).polygon(corners, tuple(rng.integers(150, 256, 3).tolist()))
            image.save(folder / kind / f"{n}.png")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """The data, and a model that has learnt it."""
    folder = tmp_path_factory.mktemp("own") / "signs"
    draw_signs(folder, 60)
    data = d2l.ImageFolder(folder, batch_size=16, resize=(16, 16))
    keras.utils.set_random_seed(0)
    model = SignNet(len(data.labels))
    stop = d2l.EarlyStopping("val_loss", patience=5, min_delta=0.02, restore_best_weights=True)
    trainer = d2l.Trainer(60, callbacks=[stop], enable_progress_bar=False)
    history = trainer.fit(model, data)
    return SimpleNamespace(
        folder=folder, data=data, model=model, stop=stop, trainer=trainer, history=history
    )


def test_a_mirrored_sign_is_the_same_and_one_upside_down_another() -> None:
    def mirrored(shape: Any, axis: int) -> set[tuple[float, ...]]:
        return {tuple(point) for point in (shape * np.array([[-1, 1], [1, -1]])[axis]).tolist()}

    assert mirrored(SIGNS["give-way"], 0) == {*map(tuple, SIGNS["give-way"].tolist())}
    assert mirrored(SIGNS["give-way"], 1) == {*map(tuple, SIGNS["warning"].tolist())}


def test_a_fifth_of_each_class_is_for_validation(trained: SimpleNamespace) -> None:
    assert trained.data.labels == ("give-way", "warning")
    np.testing.assert_array_equal(np.bincount(trained.data.train[1]), [48, 48])
    np.testing.assert_array_equal(np.bincount(trained.data.val[1]), [12, 12])


def test_a_net_of_ones_own_tells_the_signs_apart(trained: SimpleNamespace) -> None:
    # Guessing has 0.5, with a deviation of 0.1 on 24 images.
    assert trained.trainer.validate(trained.model, trained.data)["val_acc"] > 0.9


def test_early_stopping_leaves_the_weights_of_the_best_epoch(trained: SimpleNamespace) -> None:
    losses, best = trained.history["val_loss"], trained.stop.best_epoch
    assert len(losses) == best + 5
    found = trained.trainer.validate(trained.model, trained.data)["val_loss"]
    # The same computation on the same weights, but for the order of sums.
    assert found == pytest.approx(losses[best - 1], rel=1e-5)
    assert found != pytest.approx(losses[-1], rel=1e-5)


def test_augmentation_acts_in_training_alone(trained: SimpleNamespace) -> None:
    X, _ = next(iter(trained.data.val_dataloader()))
    in_training = [trained.model(X, training=True).numpy() for _ in range(2)]
    assert not np.array_equal(*in_training)
    outside = [trained.model(X).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*outside)
    # As without the layer.
    np.testing.assert_array_equal(outside[0], trained.model.net(X))


@pytest.mark.usefixtures("warm_load_check")
def test_the_exported_model_answers_a_file_as_the_model_does(
    trained: SimpleNamespace, tmp_path: Path
) -> None:
    version = d2l.publish(trained.model, trained.data, tmp_path / "signs")
    signs = d2l.LocalModel(version)
    images, _ = trained.data.val
    logits = trained.model.predict(images / 255)
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected = odds / odds.sum(axis=1, keepdims=True)
    # Float32 sums of a few hundred terms in another order.
    np.testing.assert_allclose(signs.predict(images).probabilities, expected, atol=1e-5)

    path = trained.folder / "warning" / "0.png"
    with Image.open(path) as image:
        assert image.size != (16, 16)
    seen = d2l.read_image_file(path, (16, 16), channels=3, framing="none").pixels
    parts = (trained.data.train, trained.data.val)
    differences = [
        np.abs(part[part_ids == 1].astype(int) - seen).max(axis=(1, 2, 3)).min()
        for part, part_ids in parts
    ]
    # Pillow and TensorFlow resize by the same filter; Pillow rounds once more on the way.
    assert min(differences) <= 1
    assert signs.predict(seen).label[0] == "warning"


@pytest.fixture(scope="module")
def houses(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A CSV file as people write them: a comma in large numbers, gaps, categories."""
    rng, n = np.random.default_rng(0), 80
    area, rooms = rng.integers(50, 250, n), rng.integers(1, 9, n)
    roof = rng.choice(["Slate", "Tin"], n)
    price = 2_000 * area + 10_000 * rooms + np.where(roof == "Slate", 50_000, 0)
    frame = pd.DataFrame({"Area": area, "Rooms": rooms.astype(str), "Roof": roof})
    frame["Price"] = [f"{value:,}" for value in price + rng.integers(0, 1_000, n)]
    frame.loc[:7, "Rooms"] = "?"
    frame.loc[8:15, "Roof"] = None
    path = tmp_path_factory.mktemp("table") / "houses.csv"
    frame.to_csv(path, index=False)
    return path


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({}, "column 'Price', .* looks like a number, but is none as it is written; pass thousa"),
        ({"thousands": ","}, r"column 'Rooms', row 2: '\?' is no number.* Pass na_values=\['\?'\]"),
    ],
)
def test_a_table_is_not_guessed_at(houses: Path, options: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        d2l.Table(houses, target="Price", **options)


@pytest.mark.usefixtures("warm_load_check")
def test_a_raw_row_is_answered_as_numpy_does_by_hand(houses: Path, tmp_path: Path) -> None:
    data = d2l.Table(houses, target="Price", batch_size=16, thousands=",", na_values="?")
    assert (data.task, data.num_train, data.num_val) == ("regression", 64, 16)
    assert data.statistics.columns == ["Area", "Rooms", "Roof_Slate", "Roof_Tin", "Roof_nan"]
    model = d2l.MLPRegression(num_hiddens=16, lr=0.05)
    d2l.Trainer(20, enable_progress_bar=False).fit(model, data)
    prices = d2l.LocalModel(d2l.publish(model, data, tmp_path / "houses"))

    # Means and deviations of the training rows, whose statistics are pandas'.
    rows = data.raw_train[["Area", "Rooms", "Price"]].astype(float)
    mean, deviation = rows.mean(), rows.std()
    area = (120 - mean["Area"]) / deviation["Area"]
    X = np.array([[area, 0, 1, 0, 0], [area, (3 - mean["Rooms"]) / deviation["Rooms"], 0, 0, 1]])
    W1, b1, W2, b2 = (np.asarray(weight, np.float64) for weight in model.get_weights())
    scaled = np.maximum(X @ W1 + b1, 0) @ W2 + b2
    expected = mean["Price"] + deviation["Price"] * scaled[:, 0]
    asked: list[dict[str, Any]] = [
        {"Roof": "Slate", "Area": 120, "Rooms": None},
        {"Rooms": 3, "Area": 120, "Roof": None},
    ]
    # Float32 has seven digits, of which sums lose one or two.
    np.testing.assert_allclose(prices.regress(asked).prediction, expected, rtol=1e-5)

    _, truth = data.raw_examples()
    error = np.sqrt(np.mean((prices.regress(data.raw_val).prediction - truth) ** 2))
    assert error < truth.std() / 2


def test_the_command_tries_the_same_table(
    houses: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(houses.parent)
    flags = ["--data", "houses.csv", "--target", "Price", "--dry-run", "--export", "none"]
    options = ["--data-option", "thousands=,", "--data-option", "na_values=?"]
    assert train([*flags, *options]) == 0
    said = capsys.readouterr().out
    assert "64 + 16 rows from houses.csv; regression, as 'Price' has" in said
    assert [path.name for path in houses.parent.iterdir()] == ["houses.csv"]
