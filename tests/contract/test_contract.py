"""The contract that every model passes: the book's, and models as readers write them."""

from __future__ import annotations

import functools
import importlib
import inspect
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tests.support.data import Loaders
from tests.support.fits import MODES
from tests.support.zoo import LR, ZOO, Array
from tfd2l.book import models
from tfd2l.engine.checkpoint import save_checkpoint
from tfd2l.export.expected import classifier_checks, regressor_checks
from tfd2l.export.publish import publish_version
from tfd2l.export.signatures import export_classifier, export_regressor

LABELS = fashion_mnist.LABELS
each = pytest.mark.parametrize("name", ZOO)
Images = tuple[Array, Array]

# Classes in tfd2l/book/models that are not in the zoo, and why.
NOT_IN_ZOO = {
    "_DropoutClassifier": "the base of both dropout models, without layers of its own",
    "Residual": "a block of layers",
    "ResNeXtBlock": "a block of layers",
}


def test_every_model_of_the_book_is_in_the_zoo() -> None:
    classes = {
        name
        for info in pkgutil.iter_modules(models.__path__, f"{models.__name__}.")
        for name, value in vars(importlib.import_module(info.name)).items()
        if inspect.isclass(value) and value.__module__ == info.name
    }
    zoo = {type(entry.make()).__name__ for entry in ZOO.values()}
    assert classes - zoo == {*NOT_IN_ZOO}


class SomeImages(d2l.DataModule):
    """The made-up images of the fixture; the first batch of them is validated on."""

    def __init__(self, images: Images, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["images"])
        self.images = images

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        # In order if one batch has all, so that a test can compute with the images as they are.
        shuffle = train and self.batch_size < len(self.images[0])
        rows = slice(None if train else self.batch_size)
        pictures, labels = (array[rows] for array in self.images)
        return fashion_mnist.dataset(
            pictures, labels, self.batch_size, resize=(28, 28), shuffle=shuffle, seed=1
        )


def data_for(name: str, images: Images, batch_size: int = 33) -> d2l.DataModule:
    """70 examples; by default in three batches, the last of which has 4."""
    if ZOO[name].is_regression:
        return d2l.SyntheticRegressionData(
            [2, -3.4], 4.2, num_train=70, num_val=batch_size, batch_size=batch_size
        )
    return SomeImages(images, batch_size)


def fresh(name: str) -> Any:
    """The model with the parameters that the seed gives, built."""
    keras.utils.set_random_seed(7)
    model = ZOO[name].make()
    model(tf.zeros((1, 2) if ZOO[name].is_regression else (1, 28, 28, 1)))
    return model


# Steps of the second epoch after which a checkpoint is written; 0 for the end of the epoch. The
# last of its three steps has a smaller batch.
CUTS = (0, 1, 2)
# Calls of a single step end at every cut; without them a compiled fit keeps the end of the epoch.
FITS: dict[str, dict[str, Any]] = {
    "compiled": MODES["compiled"],
    "eager": MODES["eager"],
    "xla": {**MODES["xla"], "steps_per_execution": 1},
    "compiled, single steps": {**MODES["compiled"], "steps_per_execution": 1},
}


class Keeps(d2l.Callback):
    """Writes a checkpoint at each cut into a directory of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
        if trainer.epoch == 1 and trainer.steps_of_epoch in CUTS:
            self.keep(trainer, trainer.steps_of_epoch)

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        if trainer.epoch == 1:
            self.keep(trainer, 0)

    def keep(self, trainer: d2l.Trainer, cut: int) -> None:
        save_checkpoint(self.folder / str(cut), trainer.model, trainer.optim, trainer.state_dict())


@dataclass(frozen=True)
class Fitted:
    """A model after a fit of three epochs, the fit's history, and its checkpoints by cut."""

    model: Any
    history: dict[str, list[float]]
    checkpoints: dict[int, Path]


# Takes a name of the zoo and one of the fits.
Fits = Callable[[str, str], Fitted]


@pytest.fixture(scope="module")
def fitted(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Fits:
    """Fit a model of the zoo in a way; later calls return the same fit."""

    @functools.cache
    def fit(name: str, way: str) -> Fitted:
        model, folder = fresh(name), tmp_path_factory.mktemp("checkpoints")
        trainer = d2l.Trainer(3, callbacks=[Keeps(folder)], **FITS[way])
        history = trainer.fit(model, data_for(name, images))
        history.pop("seconds")
        kept = {int(path.parent.name): path for path in folder.glob("*/*")}
        return Fitted(model, history, kept)

    return fit


def assert_agrees_with_eager(name: str, mode: str, fitted: Fits) -> None:
    """Compare a fit in a mode with an eager one of the same seed."""
    expected, found = fitted(name, "eager"), fitted(name, mode)
    assert {*found.history} == {*expected.history}
    for column, values in expected.history.items():
        # Nine steps of float32 whose sums of up to 784 terms are ordered differently.
        np.testing.assert_allclose(found.history[column], values, rtol=1e-4, err_msg=column)
    atol = 1e-5 if ZOO[name].is_regression else 2e-5
    weights = found.model.get_weights(), expected.model.get_weights()
    for one, other in zip(*weights, strict=True):
        np.testing.assert_allclose(one, other, atol=atol)


@each
def test_eager_and_compiled_agree_on_one_seed(name: str, fitted: Fits) -> None:
    assert_agrees_with_eager(name, "compiled", fitted)


# XLA takes seconds to compile a step, so only the long run does so for all models.
IN_XLA = {"mlp", "own steps", "batch normalisation", "linear-scratch", "weight-decay"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in IN_XLA else pytest.mark.long)
        for name, entry in ZOO.items()
        if entry.same_in_xla
    ],
)
def test_eager_and_xla_agree_on_one_seed(name: str, fitted: Fits) -> None:
    assert_agrees_with_eager(name, "xla", fitted)


def one_step(name: str, images: Images) -> tuple[list[Array], list[Array], Any, Array, Array]:
    """Weights before and after a step on all 70 examples, the model, and these as X and y."""
    model, data = fresh(name), data_for(name, images, 70)
    before = [weight.astype(np.float64) for weight in model.get_weights()]
    d2l.Trainer(1).fit(model, Loaders(data.train_dataloader()))
    after = [weight.astype(np.float64) for weight in model.get_weights()]
    if isinstance(data, d2l.SyntheticRegressionData):
        return before, after, model, data.X.numpy()[:70], data.y.numpy()[:70]
    return before, after, model, (images[0] / 255.0)[..., np.newaxis], images[1].astype(int)


@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if entry.gradients])
def test_one_step_subtracts_the_gradient_by_hand(name: str, images: Images) -> None:
    before, after, model, X, y = one_step(name, images)
    entry = ZOO[name]
    assert entry.gradients is not None
    # Regressions: float32 sums. Classifiers: 70 terms below 1, each good to 6e-8.
    tolerance: dict[str, Any] = {"rtol": 1e-5} if entry.is_regression else {"atol": 2e-6}
    gradients = entry.gradients(before, X, y)
    for weight, old, gradient in zip(after, before, gradients, strict=True):
        np.testing.assert_allclose(weight, old - model.lr * gradient, **tolerance)


def cross_entropy(logits: Array, y: Array) -> float:
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[range(len(y)), y]).mean())


@pytest.mark.parametrize(
    "name", [name for name, entry in ZOO.items() if entry.forward and not entry.gradients]
)
def test_one_step_moves_the_weights_along_numpys_slope(name: str, images: Images) -> None:
    before, after, model, X, y = one_step(name, images)
    forward = ZOO[name].forward
    assert forward is not None
    generator = np.random.default_rng(0)
    for number, variable in enumerate(model.weights):
        if not variable.trainable:
            continue
        direction = generator.choice([-1.0, 1.0], before[number].shape)

        def loss_at(step: float, number: int = number, direction: Array = direction) -> float:
            moved = list(before)
            moved[number] = before[number] + step * direction
            return cross_entropy(forward(moved, X), y)

        slope = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
        moved = float(((before[number] - after[number]) / LR * direction).sum())
        # A float32 step of LR loses up to 6e-8 of each weight below 1, over up to 12,544 weights of
        # random sign: some 1e-4 for the largest matrix.
        assert moved == pytest.approx(slope, rel=2e-3, abs=2e-4), f"variable {number}"


@each
def test_saved_weights_give_the_same_answers(
    name: str, images: Images, fitted: Fits, tmp_path: Path
) -> None:
    model, other = fitted(name, "compiled").model, ZOO[name].make()
    model.save_weights(tmp_path / "model.weights.h5")
    X = next(iter(data_for(name, images).val_dataloader()))[0]
    other(X)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(X), model(X))


# Each model has one of these: the end of an epoch, before its smaller last batch, after one step.
RESUMES = [(0, "compiled"), (2, "xla"), (1, "eager")]


@pytest.mark.parametrize(
    ("name", "case"), [(name, 1 if name in IN_XLA else n % 2 * 2) for n, name in enumerate(ZOO)]
)
def test_a_resumed_fit_ends_with_the_same_bits(
    name: str, case: int, images: Images, fitted: Fits
) -> None:
    cut, mode = RESUMES[case]
    assert_resumes(fitted(name, mode), name, cut, mode, images)


@pytest.mark.long
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("cut", CUTS)
@each
def test_every_model_resumes_in_every_mode_from_every_cut(
    name: str, cut: int, mode: str, images: Images, fitted: Fits
) -> None:
    whole = fitted(name, "compiled, single steps" if mode == "compiled" else mode)
    assert_resumes(whole, name, cut, mode, images)


def assert_resumes(whole: Fitted, name: str, cut: int, mode: str, images: Images) -> None:
    """Compare a fit that was resumed at one of its cuts with the uninterrupted fit."""
    other = ZOO[name].make()
    history = d2l.Trainer(3, **MODES[mode]).fit(
        other, data_for(name, images), whole.checkpoints[cut]
    )
    for column, values in whole.history.items():
        assert history[column] == values, column
    for one, same in zip(whole.model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(same, one)
    assert other.board.data == whole.model.board.data


# Publishing compares all rows with the model's own answers, and raises where one differs: by the C
# API in a process without Keras, from raw input, in batches of 1, of 7 and of all.
@each
@pytest.mark.usefixtures("warm_load_check")
def test_an_export_answers_as_the_model_in_a_fresh_process(
    name: str, images: Images, fitted: Fits, tmp_path: Path
) -> None:
    model, data = fitted(name, "compiled").model, data_for(name, images)
    if isinstance(data, d2l.SyntheticRegressionData):
        checks = regressor_checks(model, data.X.numpy()[70:])
    else:
        checks = classifier_checks(model, images[0], labels=LABELS, preprocess=preprocess)

    def export(directory: Path) -> None:
        if ZOO[name].is_regression:
            export_regressor(model, directory, num_inputs=2)
        else:
            export_classifier(model, directory, labels=LABELS, preprocess=preprocess)

    version = publish_version(export, tmp_path / "model", checks=checks, card={"model": name})
    assert version == tmp_path / "model" / "1"


def preprocess(raw: Any) -> Any:
    return prepare_images(raw, None)


# Those without a penalty, which moves the parameters off the true ones.
@pytest.mark.parametrize("name", ["linear-scratch", "linear"])
def test_the_true_parameters_are_found(name: str) -> None:
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        data = d2l.SyntheticRegressionData([2, -3.4], 4.2, seed=seed)
        model: Any = ZOO[name].make()
        d2l.Trainer(10).fit(model, data)
        w, b = (value.numpy().ravel() for value in model.get_w_b())
        # 320 steps at 0.03 shrink the distance by e^-9.6; noise leaves 0.01 / sqrt(1000).
        np.testing.assert_allclose(w, [2, -3.4], atol=0.01)
        np.testing.assert_allclose(b, [4.2], atol=0.01)
