"""The contract that every classifier passes: the shipped ones, and a reader's own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tests.support.zoo import LR, ZOO, Array
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint
from tfd2l.export.expected import classifier_checks
from tfd2l.export.publish import publish
from tfd2l.export.signatures import export_classifier

LABELS = fashion_mnist.LABELS
each = pytest.mark.parametrize("name", ZOO)
Images = tuple[Array, Array]


class SomeImages(d2l.DataModule):
    """The made-up images of the fixture."""

    def __init__(self, images: Images, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["images"])
        self.images = images

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        # Without an order of its own, so that one batch is the data as it stands.
        shuffle = train and self.batch_size < len(self.images[0])
        return fashion_mnist.dataset(
            *self.images, self.batch_size, resize=(28, 28), shuffle=shuffle, seed=1
        )


def fresh(name: str) -> d2l.Classifier:
    """The model with the parameters that the seed gives, built."""
    keras.utils.set_random_seed(7)
    model = ZOO[name].make()
    model(tf.zeros((1, 28, 28, 1)))
    return model


def prepared(images: Images) -> tuple[tf.Tensor, tf.Tensor]:
    return prepare_images(tf.constant(images[0]), None), tf.constant(images[1], tf.int32)


def assert_agrees_with_eager(name: str, images: Images, **mode: Any) -> None:
    """Hold a fit in a mode against an eager one of the same seed."""

    def fit(**mode: Any) -> tuple[dict[str, list[float]], list[Array]]:
        model = fresh(name)
        # 33 to a batch, so that the last one has 4.
        history = d2l.Trainer(3, **mode).fit(model, SomeImages(images, 33))
        history.pop("seconds")
        return history, model.get_weights()

    expected, weights = fit(run_eagerly=True)
    history, others = fit(**mode)
    assert {*history} == {*expected}
    for column in expected:
        # Nine steps of float32 whose sums of up to 784 terms are ordered differently.
        np.testing.assert_allclose(history[column], expected[column], rtol=1e-4, err_msg=column)
    for one, other in zip(weights, others, strict=True):
        np.testing.assert_allclose(other, one, atol=2e-5)


@each
def test_eager_and_compiled_agree_on_one_seed(name: str, images: Images) -> None:
    assert_agrees_with_eager(name, images, run_eagerly=False)


# XLA takes seconds to compile a model: some of each kind, and the others in the long run.
IN_XLA = {"mlp", "softmax-scratch", "own steps", "batch normalisation"}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in IN_XLA else pytest.mark.long)
        for name, entry in ZOO.items()
        if entry.same_in_xla
    ],
)
def test_eager_and_xla_agree_on_one_seed(name: str, images: Images) -> None:
    assert_agrees_with_eager(name, images, jit_compile=True)


def loss_by_numpy(name: str, weights: list[Array], X: Array, y: Array) -> float:
    """Mean cross-entropy, and the entry's penalty, in float64."""
    entry = ZOO[name]
    assert entry.forward is not None
    logits = entry.forward(weights, X)
    shifted = logits - logits.max(axis=1, keepdims=True)
    log_sums = np.log(np.exp(shifted).sum(axis=1))
    return float((log_sums - shifted[range(len(y)), y]).mean()) + entry.penalty(weights)


@pytest.mark.parametrize("name", [name for name, entry in ZOO.items() if entry.forward])
def test_one_step_moves_the_weights_along_numpys_gradient(name: str, images: Images) -> None:
    model = fresh(name)
    X, y = (images[0] / 255.0)[..., np.newaxis], images[1].astype(int)
    before = [weight.astype(np.float64) for weight in model.get_weights()]
    trained = [variable.trainable for variable in model.weights]
    d2l.Trainer(1).fit(model, SomeImages(images, len(y)))
    after = [weight.astype(np.float64) for weight in model.get_weights()]
    generator = np.random.default_rng(0)
    for number, is_trained in enumerate(trained):
        if not is_trained:
            continue
        direction = generator.choice([-1.0, 1.0], before[number].shape)

        def loss_at(step: float, number: int = number, direction: Array = direction) -> float:
            moved = list(before)
            moved[number] = before[number] + step * direction
            return loss_by_numpy(name, moved, X, y)

        slope = (loss_at(1e-6) - loss_at(-1e-6)) / 2e-6
        moved = float(((before[number] - after[number]) / LR * direction).sum())
        # A float32 step of LR loses up to 6e-8 of each weight below 1, over up to 12,544 weights of
        # random sign: some 1e-4 for the largest matrix.
        assert moved == pytest.approx(slope, rel=2e-3, abs=2e-4), f"variable {number}"


@each
def test_weights_that_were_saved_give_the_same_answers(
    name: str, images: Images, tmp_path: Path
) -> None:
    model = fresh(name)
    d2l.Trainer(1).fit(model, SomeImages(images, 33))
    model.save_weights(tmp_path / "model.weights.h5")
    other = ZOO[name].make()
    X, _ = prepared(images)
    other(X)
    other.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(other(X), model(X))


class StopError(Exception):
    """Ends a fit."""


class StopAt(d2l.Callback):
    """Writes a checkpoint at a step of the second epoch, or at its end, and ends the fit there."""

    def __init__(self, folder: Path, step: int) -> None:
        self.folder, self.step = folder, step

    def stop(self, trainer: d2l.Trainer) -> None:
        save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())
        raise StopError

    def on_train_batches_end(self, trainer: d2l.Trainer, call: Any) -> None:
        if (trainer.epoch, trainer.steps_of_epoch) == (1, self.step):
            self.stop(trainer)

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        if (trainer.epoch, self.step) == (1, 0):
            self.stop(trainer)


# At the end of an epoch, before the smaller last batch, within an epoch.
CUTS: list[tuple[int, dict[str, Any]]] = [
    (0, {}),
    (2, {"jit_compile": True}),
    (1, {"run_eagerly": True}),
]


# For each model one of them.
@pytest.mark.parametrize(
    ("name", "cut"), [(name, 1 if name in IN_XLA else n % 2 * 2) for n, name in enumerate(ZOO)]
)
def test_a_fit_that_was_cut_goes_on_to_the_very_same_end(
    name: str, cut: int, images: Images, tmp_path: Path
) -> None:
    step, mode = CUTS[cut]
    assert_goes_on(name, step, mode, images, tmp_path)


@pytest.mark.long
@pytest.mark.parametrize("mode", [mode for _, mode in CUTS], ids=["compiled", "xla", "eager"])
@pytest.mark.parametrize("step", [0, 1, 2])
@each
def test_every_model_goes_on_in_every_mode_from_every_cut(
    name: str, step: int, mode: dict[str, Any], images: Images, tmp_path: Path
) -> None:
    assert_goes_on(name, step, mode, images, tmp_path)


def assert_goes_on(
    name: str, step: int, mode: dict[str, Any], images: Images, folder: Path
) -> None:
    """Hold a fit that was cut after `step` steps of its second epoch against one that was not."""
    data = SomeImages(images, 33)
    model, trainer = fresh(name), d2l.Trainer(3, steps_per_execution=1, **mode)
    whole = trainer.fit(model, data)
    with pytest.raises(StopError):
        d2l.Trainer(3, steps_per_execution=1, callbacks=[StopAt(folder, step)], **mode).fit(
            fresh(name), data
        )
    other = ZOO[name].make()
    history = d2l.Trainer(3, **mode).fit(other, data, checkpoints(folder)[0])
    for column in set(whole) - {"seconds"}:
        assert history[column] == whole[column], column
    for one, same in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(same, one)
    assert other.board.data == model.board.data


@each
def test_an_export_answers_as_the_model_in_a_fresh_process(
    name: str, images: Images, tmp_path: Path
) -> None:
    def preprocess(raw: Any) -> Any:
        return prepare_images(raw, None)

    model = fresh(name)
    d2l.Trainer(1).fit(model, SomeImages(images, 33))
    checks = classifier_checks(model, images[0], labels=LABELS, preprocess=preprocess)
    # Publishing runs raw images by the C API, in a process without Keras, in batches of 1, of 7
    # and all 70, and raises where an answer differs from the model's own.
    version = publish(
        lambda directory: export_classifier(model, directory, labels=LABELS, preprocess=preprocess),
        tmp_path / "model",
        checks=checks,
        card={"model": name},
    )
    assert version == tmp_path / "model" / "1"
