"""Hooks of a model in the trainer's steps: compiled, run eagerly, or refused."""

from __future__ import annotations

import warnings
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, blobs, points
from tfd2l.engine.errors import CompileError


def test_methods_patched_in_later_take_effect_at_the_next_fit() -> None:
    class Patched(Line):
        pass

    model, data = Patched(lr=1e-12), Loaders(points(2, 2))
    trainer = d2l.Trainer(1)
    assert trainer.fit(model, data)["train_loss"][0] == pytest.approx(5)

    @d2l.add_to_class(Patched)
    def loss(self: Any, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean(tf.abs(y_hat - y))

    assert trainer.fit(model, data)["train_loss"][0] == pytest.approx(3)


@pytest.mark.parametrize("mode", MODES)
def test_overridden_steps_run_and_the_history_has_their_plots(mode: str) -> None:
    class Custom(Line):
        def training_step(self, batch: Any) -> tf.Tensor:
            X, y = batch
            self.plot("largest_x", tf.reduce_max(X), train=True)
            return 10 * self.loss(self(X), y)

        def validation_step(self, batch: Any) -> None:
            self.plot("twice", 2 * tf.reduce_mean(batch[1]), train=False)

    model = Custom(lr=1e-12)
    history = d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(points(4, 2), points(2, 2)))
    # Losses of batches (1, 2) and (3, 4) at w = 0: 10 * 5 and 10 * (36 + 64) / 4.
    assert history["train_loss"] == [pytest.approx(150)]
    assert history["train_largest_x"] == [3.0]
    assert history["val_twice"] == [6.0]
    assert {label: len(curve) for label, curve in model.board.data.items()} == {
        "train_largest_x": 2,
        "val_twice": 1,
    }


class Layers(d2l.Classifier):
    """Dropout and batch normalisation, nested in a list and a dict."""

    def __init__(self, lr: float = 0.1) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.blocks = [
            keras.Sequential([keras.layers.Flatten(), keras.layers.BatchNormalization()]),
            {"drop": keras.layers.Dropout(0.5), "out": keras.layers.Dense(3)},
        ]

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        H = self.blocks[0](X)
        dropped = self.blocks[1]["drop"](H)
        zeros = tf.reduce_mean(tf.cast(dropped == 0, tf.float32))
        if getattr(self, "trainer", None) is not None:
            self.plot("zeros", zeros, train=self.training)
        return self.blocks[1]["out"](dropped)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_training_reaches_dropout_and_batch_normalisation(mode: str) -> None:
    model = Layers()
    loader = batched(blobs(), 16, shuffle=False)
    history = d2l.Trainer(1, **MODES[mode]).fit(model, Loaders(loader, loader))
    assert 0.4 < history["train_zeros"][0] < 0.6
    assert history["val_zeros"][0] == 0
    averages = {v.path.split("/")[-1]: v.numpy() for v in model.non_trainable_variables}
    # Each of the four training steps moves them by a hundredth of the way; validation does not.
    batch_means = [X.numpy().mean(axis=0) for X, _ in loader]
    expected = np.zeros(8)
    for mean in batch_means:
        expected = 0.99 * expected + 0.01 * mean
    np.testing.assert_allclose(averages["moving_mean"], expected, rtol=1e-4)


def test_training_moves_every_parameter_of_nested_layers() -> None:
    model = Layers()
    model(tf.ones((1, 8)))
    before = [variable.numpy() for variable in model.trainable_variables]
    assert len(before) == 4
    d2l.Trainer(1).fit(model, Loaders(batched(blobs(), 16, shuffle=True)))
    for old, variable in zip(before, model.trainable_variables, strict=True):
        assert (old != variable.numpy()).any(), variable


def test_a_step_that_cannot_be_traced_runs_eagerly_with_one_warning() -> None:
    class Untraceable(Line):
        def training_step(self, batch: Any) -> tf.Tensor:
            loss = super().training_step(batch)
            self.last = loss.numpy()
            return loss

    model = Untraceable()
    with pytest.warns(UserWarning, match="training_step can't be compiled and runs eag") as caught:
        history = d2l.Trainer(2).fit(model, Loaders(points(4, 2), points(4, 2)))
    assert len(caught) == 1
    assert model.last == pytest.approx(history["train_loss"][1], rel=1)
    with pytest.raises(CompileError, match="'numpy'"):
        d2l.Trainer(1, run_eagerly=False).fit(model, Loaders(points(4, 2)))


def test_a_bug_in_a_step_raises_its_own_error_without_a_warning() -> None:
    class Buggy(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return y_hat.no_such_attribute

    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(AttributeError, match="no_such_attribute"):
            d2l.Trainer(1).fit(Buggy(), Loaders(points(2, 2)))


def test_control_flow_on_tensors_in_a_step_is_compiled() -> None:
    class Branching(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            if tf.reduce_sum(y) > 100:
                return tf.reduce_mean(y_hat - y)
            return tf.reduce_mean((y_hat - y) ** 2) / 2

    history = d2l.Trainer(1, run_eagerly=False).fit(Branching(lr=1e-12), Loaders(points(2, 2)))
    assert history["train_loss"] == [5.0]


class OwnLoop(d2l.Trainer):
    """An eager loop of one's own, as in the book."""

    def fit_epoch(self) -> None:
        self.model.training = True
        for batch in self.train_dataloader:
            with tf.GradientTape() as tape:
                loss = self.model.training_step(self.prepare_batch(batch))
            gradients = tape.gradient(loss, self.model.trainable_variables)
            self.optim.apply_gradients(zip(gradients, self.model.trainable_variables, strict=True))
            self.train_batch_idx += 1
        if self.val_dataloader is None:
            return
        self.model.training = False
        for batch in self.val_dataloader:
            self.model.validation_step(self.prepare_batch(batch))
            self.val_batch_idx += 1


def test_an_overridden_fit_epoch_trains_as_the_trainers_own() -> None:
    data = Loaders(points(8, 2), points(4, 2))
    own, ours = Line(lr=0.01), Line(lr=0.01)
    history = OwnLoop(3).fit(own, data)
    expected = d2l.Trainer(3).fit(ours, data)
    np.testing.assert_allclose(own.w, ours.w, rtol=1e-6)
    assert history["val_loss"] == pytest.approx(expected["val_loss"], rel=1e-6)


def test_an_overridden_fit_epoch_works_with_generators_and_without_validation() -> None:
    class Generated(d2l.DataModule):
        def get_dataloader(self, train: bool) -> Any:
            return iter([*points(8, 2)]) if train else None

    own, ours = Line(lr=0.01), Line(lr=0.01)
    history = OwnLoop(3).fit(own, Generated())
    d2l.Trainer(3).fit(ours, Generated())
    assert np.isfinite(history["train_loss"]).all()
    np.testing.assert_allclose(own.w, ours.w, rtol=1e-6)
    # The loop left training on; after the fit it is off.
    assert own.training is False


def test_loss_of_shape_one_trains_like_a_scalar() -> None:
    class Shaped(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return tf.reshape(super().loss(y_hat, y), (1,))

    model = Shaped(lr=0.1)
    assert d2l.Trainer(1).fit(model, Loaders(points(2, 2)))["train_loss"] == [5.0]
    assert model.w.numpy() == pytest.approx(0.5)


def test_a_loss_that_depends_on_no_parameter_is_refused() -> None:
    class Detached(Line):
        def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
            return tf.reduce_mean(y)

    with pytest.raises(ValueError, match="does not depend on any of the 1 trainable variables"):
        d2l.Trainer(1).fit(Detached(), Loaders(points(2, 2)))


def test_plot_without_a_trainer_says_what_is_missing() -> None:
    with pytest.raises(RuntimeError, match="plot needs a trainer"):
        Line().plot("loss", tf.constant(1.0), train=True)


def test_a_loss_of_several_numbers_is_refused() -> None:
    class Several(Line):
        def training_step(self, batch: Any) -> Any:
            return tf.stack([super().training_step(batch)] * 3)

    with pytest.raises(ValueError, match=r"Several\.training_step returned a loss of shape \(3,\)"):
        d2l.Trainer(1).fit(Several(lr=0.01), Loaders(points(8, 2)))
