"""What Keras' `fit` does around a step, against Keras' `fit` or a loop by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, blobs
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint


def net() -> keras.Sequential:
    """Two layers, the same each time."""
    keras.utils.set_random_seed(2)
    return keras.Sequential(
        [
            keras.Input((8,)),
            keras.layers.Dense(4, activation="tanh"),
            keras.layers.Dense(3, kernel_constraint=keras.constraints.MaxNorm(0.5)),
        ]
    )


class Net(d2l.Classifier):
    """The same as a module, with any optimizer."""

    def __init__(self, optimizer: Any) -> None:
        super().__init__()
        self.net, self.make = net(), optimizer

    def configure_optimizers(self) -> Any:
        return self.make()


def loader() -> Any:
    return batched(blobs(16), 8, shuffle=False)


def assert_equal_weights(ours: list[np.ndarray], theirs: list[np.ndarray]) -> None:
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)  # float32, other orders of sums


Schedule = keras.optimizers.schedules.ExponentialDecay


@pytest.mark.slow
@pytest.mark.parametrize(
    "optimizer",
    [
        lambda: keras.optimizers.Adam(0.05, use_ema=True, ema_momentum=0.8),
        lambda: keras.optimizers.SGD(
            0.1, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=3
        ),
        lambda: keras.optimizers.AdamW(Schedule(0.05, 2, 0.5), weight_decay=0.1, clipnorm=0.1),
        lambda: keras.optimizers.Adam(0.05, gradient_accumulation_steps=2, loss_scale_factor=8.0),
    ],
    ids=["ema", "ema in between", "decay, clipping, schedule", "accumulation, scaling"],
)
def test_what_an_optimizer_does_is_done_as_in_keras_fit(optimizer: Any) -> None:
    model, theirs = Net(optimizer), net()
    d2l.Trainer(3).fit(model, Loaders(loader()))
    theirs.compile(optimizer(), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    theirs.fit(*blobs(16), 8, epochs=3, shuffle=False, verbose=0)
    assert_equal_weights(model.get_weights(), theirs.get_weights())


class Thaws(d2l.Callback):
    """Trains the second layer in epoch 1, both in epoch 2, the first in epoch 3."""

    def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
        freeze(trainer.model.net, trainer.epoch)


class ThawsInLoop(d2l.Trainer):
    """The same in the reader's own `fit_epoch`."""

    def fit_epoch(self) -> None:
        freeze(self.model.net, self.epoch)
        super().fit_epoch()


def freeze(layers: keras.Sequential, epoch: int) -> None:
    layers.layers[0].trainable = epoch > 0
    layers.layers[1].trainable = epoch < 2


class Saves(d2l.Callback):
    """Writes a checkpoint after each epoch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())


def by_hand(optimizer: Any) -> list[np.ndarray]:
    """The weights of a loop in which an optimizer of all variables updates those that train."""
    layers, made = net(), optimizer()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    made.build(layers.trainable_variables)
    for epoch in range(3):
        freeze(layers, epoch)
        for X, y in loader():
            with tf.GradientTape() as tape:
                value = loss(y, layers(X, training=True))
            gradients = tape.gradient(value, layers.trainable_variables)
            made.apply(gradients, layers.trainable_variables)
    return [np.asarray(weight) for weight in layers.get_weights()]


@pytest.mark.slow
def test_a_layer_that_is_frozen_or_unfrozen_in_mid_fit_is_trained_as_by_hand() -> None:
    def adam() -> Any:
        return keras.optimizers.Adam(0.05)

    expected = by_hand(adam)
    for mode in MODES:
        model = Net(adam)
        freeze(model.net, 0)
        d2l.Trainer(3, callbacks=[Thaws()], **MODES[mode]).fit(model, Loaders(loader()))
        assert_equal_weights(model.get_weights(), expected)
    model = Net(adam)
    freeze(model.net, 0)
    ThawsInLoop(3).fit(model, Loaders(loader()))
    assert_equal_weights(model.get_weights(), expected)


@pytest.mark.slow
def test_a_fit_that_has_unfrozen_a_layer_resumes_with_the_same_bits(tmp_path: Path) -> None:
    def made(epoch: int) -> Net:
        model = Net(lambda: keras.optimizers.Adam(0.05))
        freeze(model.net, epoch)
        return model

    whole, resumed = made(0), made(1)
    d2l.Trainer(3, callbacks=[Thaws(), Saves(tmp_path)]).fit(whole, Loaders(loader()))
    second = checkpoints(tmp_path)[1]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        d2l.Trainer(3, callbacks=[Thaws()]).fit(resumed, Loaders(loader()), second)
    for one, other in zip(whole.get_weights(), resumed.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.warns(UserWarning, match=r"trains other variables .*dense.*/kernel.* are frozen"):
        d2l.Trainer(2).fit(made(0), Loaders(loader()), second)


class Growing(d2l.Classifier):
    """Uses a second layer, which has no variables before, once `depth` is 2."""

    def __init__(self) -> None:
        super().__init__()
        self.depth = 1
        self.blocks = [keras.layers.Dense(3, kernel_initializer="identity") for _ in range(2)]

    def forward(self, X: Any) -> Any:
        for block in self.blocks[: self.depth]:
            X = block(X)
        return X

    def configure_optimizers(self) -> Any:
        return keras.optimizers.Adam(0.01)


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["compiled", "eager"])
def test_a_layer_that_is_built_in_mid_fit_is_trained(mode: str) -> None:
    class Grows(d2l.Callback):
        def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
            trainer.model.depth = trainer.epoch + 1

    model = Growing()
    d2l.Trainer(2, callbacks=[Grows()], **MODES[mode]).fit(model, Loaders(loader()))
    # Two of Adam's steps, its third and fourth, on a state of zeros: with a gradient of one sign,
    # (0.1 / 0.271) / sqrt(0.001 / 0.002997) and (0.19 / 0.3439) / sqrt(0.001999 / 0.003994).
    moved = np.abs(model.blocks[1].kernel.numpy() - np.eye(3)).max()
    assert moved == pytest.approx(0.01 * (0.639 + 0.781), rel=0.05)


@pytest.mark.slow
def test_a_keras_loss_leaves_out_masked_entries_as_in_keras_fit() -> None:
    ids = np.array([[1, 2, 0], [2, 0, 0]], np.int32)
    targets = np.array([[1.0, 2.0, 9.0], [3.0, 9.0, 9.0]], np.float32)[..., None]

    def layers() -> keras.Sequential:
        keras.utils.set_random_seed(3)
        embedding = keras.layers.Embedding(3, 2, mask_zero=True)
        return keras.Sequential([embedding, keras.layers.Dense(1)])

    class Tagger(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net, self.lr = layers(), 0.1

        def loss(self, y_hat: Any, y: Any) -> Any:
            return keras.losses.MeanSquaredError()(y, y_hat)

    model, theirs = Tagger(), layers()
    history = d2l.Trainer(1).fit(model, Loaders(batched([ids, targets], 2, shuffle=False)))
    theirs.compile(keras.optimizers.SGD(0.1), "mse")
    losses = theirs.fit(ids, targets, 2, shuffle=False, verbose=0).history["loss"]
    assert history["train_loss"] == [pytest.approx(losses[0], rel=1e-6)]
    assert_equal_weights(model.get_weights(), theirs.get_weights())
