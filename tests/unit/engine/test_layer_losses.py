"""Losses that layers own, against Keras' `fit` and numbers worked by hand."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, blobs
from tfd2l.engine.tracing.graphs import suits_xla

L2 = keras.regularizers.L2


class Adds(keras.layers.Layer):  # type: ignore[misc]
    """Adds a tenth of the mean square of its input to the loss."""

    def call(self, x: Any) -> Any:
        self.add_loss(0.1 * tf.reduce_mean(x**2))
        return x


def net() -> keras.Sequential:
    """A shared layer, a nested model, `add_loss`, and a regularizer of each kind."""
    keras.utils.set_random_seed(1)
    shared = keras.layers.Dense(8, activation="tanh", activity_regularizer=L2(0.3))
    first = keras.layers.Dense(8, kernel_regularizer=L2(0.5), bias_regularizer=L2(0.2))
    last = keras.layers.Dense(3, kernel_regularizer="l1")
    return keras.Sequential([first, shared, Adds(), keras.Sequential([shared, last])])


def loader() -> Any:
    return batched(blobs(16), 8, shuffle=False)


class Plain(d2l.Classifier):
    """Leaves the layers' losses to the trainer."""

    def __init__(self) -> None:
        super().__init__()
        self.lr = 0.1
        # The model finds layers in lists and dicts as well.
        self.parts = [{"net": net()}]

    def forward(self, X: Any) -> Any:
        return self.parts[0]["net"](X)


class AddsInLoss(Plain):
    def loss(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        return super().loss(Y_hat, Y, averaged) + sum(self.parts[0]["net"].losses)


class AddsInStep(Plain):
    def training_step(self, batch: Any) -> Any:
        return self.loss(self(batch[0]), batch[1]) + tf.add_n(self.losses)


class PlotsOnly(Plain):
    def training_step(self, batch: Any) -> Any:
        loss = self.loss(self(batch[0]), batch[1])
        self.plot("penalties", sum(self.losses), train=True)
        return loss


class Generated:
    """Batches from a generator, from which no layer can be built before the first step."""

    def train_dataloader(self) -> Iterator[Any]:
        yield from loader()

    val_dataloader = train_dataloader


@functools.cache
def keras_fit() -> tuple[list[np.ndarray], dict[str, list[float]]]:
    """The weights and the history of Keras' `fit` on the same data in the same order."""
    model = net()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss)
    X, y = blobs(16)
    history = model.fit(X, y, 8, epochs=2, shuffle=False, verbose=0, validation_data=(X, y))
    return model.get_weights(), history.history


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "model", "data"),
    [
        *(("compiled", model, "in memory") for model in (Plain, AddsInLoss, AddsInStep, PlotsOnly)),
        *(("eager", model, "in memory") for model in (Plain, AddsInStep)),
        ("xla", Plain, "in memory"),
        ("compiled", AddsInStep, "generated"),
    ],
)
def test_the_weights_and_losses_are_those_of_keras_fit(
    mode: str, model: type[Plain], data: str
) -> None:
    trained = model()
    batches: Any = Generated() if data == "generated" else Loaders(loader(), loader())
    history = d2l.Trainer(2, **MODES[mode]).fit(trained, batches)
    weights, expected = keras_fit()
    for ours, theirs in zip(trained.get_weights(), weights, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-6)  # float32, other orders of sums
    for column, name in (("train_loss", "loss"), ("val_loss", "val_loss")):
        np.testing.assert_allclose(history[column], expected[name], rtol=1e-5)


def test_losses_are_those_of_the_last_call() -> None:
    model, X = Plain(), blobs(16)[0]
    alone = model.parts[0]["net"]
    alone(X)
    expected = [float(loss) for loss in alone.losses]
    # Three from calls (the shared layer is called twice), three from regularizers.
    assert len(expected) == 6
    for _ in range(3):
        model(X)
        assert [float(loss) for loss in model.losses] == expected
    d2l.Trainer(1, run_eagerly=True).fit(model, Loaders(loader()))
    assert len(model.losses) == 6
    # A compiled step leaves no symbolic tensors behind.
    d2l.Trainer(1).fit(model, Loaders(loader()))
    assert [float(loss) for loss in model.losses if float(loss) > 0] != []
    assert len(model.losses) == 3


class Two(d2l.Module):
    """Two modules that share a layer; the outer one adds a loss by itself."""

    def __init__(self) -> None:
        super().__init__()
        ones = {"kernel_initializer": "ones", "use_bias": False}
        self.inner = d2l.Module()
        self.inner.net = keras.layers.Dense(1, kernel_regularizer=L2(2.0), **ones)
        self.again = keras.Sequential([self.inner.net])
        self.lr = 0.1

    def forward(self, X: Any) -> Any:
        self.add_loss(tf.reduce_sum(X))
        self.inner.add_loss(tf.constant(5.0))
        return self.again(self.inner(X))

    def loss(self, y_hat: Any, y: Any) -> Any:
        return tf.reduce_mean(y_hat)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_a_shared_layer_counts_once_and_modules_may_add_losses(mode: str) -> None:
    model, X = Two(), tf.constant([[3.0]])
    for _ in range(2):
        model(X)
        # The penalty 2 * 1, and 3 and 5 by the modules.
        assert sorted(float(loss) for loss in model.losses) == [2.0, 3.0, 5.0]
    data = Loaders(tf.data.Dataset.from_tensors((X, X)), tf.data.Dataset.from_tensors((X, X)))
    history = d2l.Trainer(1, **MODES[mode]).fit(model, data)
    assert history["train_loss"] == [pytest.approx(3 + 10)]
    # The output w * w * x has the slope 2 * 3 at w = 1, the penalty 4: w is 1 - 0.1 * 10 = 0.
    assert model.inner.net.kernel.numpy().item() == pytest.approx(0, abs=1e-6)
    assert history["val_loss"] == [pytest.approx(3 + 5, abs=1e-5)]


class FrozenFirst(d2l.Module):
    """A frozen layer's activity: a loss that depends on no variable that is trained."""

    def __init__(self) -> None:
        super().__init__()
        first = keras.layers.Dense(
            1, kernel_initializer="ones", activity_regularizer=L2(1.0), trainable=False
        )
        self.net = keras.Sequential([first, keras.layers.Dense(1, kernel_initializer="ones")])
        self.lr = 0.1

    def loss(self, y_hat: Any, y: Any) -> Any:
        return tf.reduce_mean(y_hat)


class ReadsFrozen(FrozenFirst):
    def loss(self, y_hat: Any, y: Any) -> Any:
        return super().loss(y_hat, y) + sum(self.net.losses)


@pytest.mark.parametrize("model", [FrozenFirst, ReadsFrozen])
def test_the_loss_of_a_frozen_layer_counts_once(model: type[d2l.Module]) -> None:
    X = tf.constant([[3.0]])
    history = d2l.Trainer(1).fit(model(), Loaders(tf.data.Dataset.from_tensors((X, X))))
    assert history["train_loss"] == [pytest.approx(3 + 9)]


def test_the_complete_loss_may_be_asked_for_again() -> None:
    model, X = FrozenFirst(), tf.constant([[3.0]])
    y_hat = model(X)
    assert [float(model.complete_loss(y_hat, X)) for _ in range(2)] == [12.0, 12.0]


def test_xla_still_suits_a_step_with_penalties() -> None:
    model = d2l.WeightDecay(wd=3, lr=0.01)
    data = d2l.SyntheticRegressionData([2.0], 1.0, num_train=8, num_val=8, batch_size=4)
    trainer = d2l.Trainer(1)
    trainer.fit(model, data)
    for step in (trainer._train_step, trainer._val_step):
        for traced in step._traced.values():
            assert suits_xla(traced.function.graph)
