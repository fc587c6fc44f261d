"""Data and weights that are not finite stop a fit in every mode."""

from __future__ import annotations

import math
import re
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, blobs, points
from tfd2l.engine.errors import DivergedError


def in_memory(loader: Any) -> Any:
    """The batches as they are."""
    return loader


def streamed(loader: Any) -> Any:
    """The same batches without the attribute by which a fit finds them in memory."""
    return loader.map(lambda *batch: batch)


def classes(wrong: float | None = None, example: int = 37) -> Any:
    """Four batches of 16; one number of one example is `wrong`."""
    X, y = blobs(64)
    if wrong is not None:
        X[example, 2] = wrong
    return batched((X, y), 16, shuffle=False)


# XLA takes a second to compile a step; streamed data are checked without regard to it.
each_mode_and_loader = pytest.mark.parametrize(
    ("mode", "loader"),
    [
        pytest.param(
            mode, loader, marks=[pytest.mark.long] if (mode, loader) == ("xla", streamed) else []
        )
        for mode in MODES
        for loader in (in_memory, streamed)
    ],
)


@pytest.mark.slow
@each_mode_and_loader
@pytest.mark.parametrize("wrong", [math.nan, math.inf])
def test_inputs_that_are_not_finite_stop_the_training(mode: str, loader: Any, wrong: float) -> None:
    # The kernel that joins product and ReLU turns NaN into 0, so that the compiled loss is finite.
    model = d2l.MLP(3, num_hiddens=8, lr=0.1)
    trainer = d2l.Trainer(2, **MODES[mode], callbacks=[NoEpochEnds()])
    with pytest.raises(DivergedError, match=r"step.* of epoch 1\b.*learning rate.*data") as caught:
        trainer.fit(model, Loaders(loader(classes(wrong)), classes()))
    # Example 37 is in the third of the batches of 16.
    assert int(re.findall(r"step (\d+) of epoch 1", str(caught.value))[-1]) in (3, 4)


@pytest.mark.slow
@each_mode_and_loader
def test_validation_inputs_that_are_not_finite_stop_the_fit(mode: str, loader: Any) -> None:
    model = d2l.MLP(3, num_hiddens=8, lr=0.1)
    trainer = d2l.Trainer(2, **MODES[mode], callbacks=[NoEpochEnds()])
    pattern = "the validation loss became nan at step 3 of the validation of epoch 1; look for"
    with pytest.raises(DivergedError, match=pattern):
        trainer.fit(model, Loaders(classes(), loader(classes(math.nan))))


class NoEpochEnds(d2l.Callback):
    """No epoch with such numbers comes to its end."""

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        raise AssertionError(row)


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_targets_of_the_smaller_last_batch_are_noticed(mode: str) -> None:
    x = np.arange(1, 6, dtype=np.float32)[:, None]
    y = np.where(x == 5, np.nan, 2 * x).astype(np.float32)
    with pytest.raises(DivergedError, match="the training loss became nan at step 3 of epoch 1;"):
        d2l.Trainer(1, **MODES[mode]).fit(Line(lr=0.01), Loaders(batched((x, y), 2, shuffle=False)))
    pattern = "the validation loss became nan at step 3 of the validation of epoch 1;"
    loaders = Loaders(points(4, 2), batched((x, y), 2, shuffle=False))
    with pytest.raises(DivergedError, match=pattern):
        d2l.Trainer(1, **MODES[mode]).fit(Line(lr=0.01), loaders)


class Unseen(Line):
    """Has a trainable variable that becomes infinite in each step, and that no loss depends on."""

    def __init__(self) -> None:
        super().__init__(lr=0.01)
        self.unseen = tf.Variable(1.0)

    def training_step(self, batch: Any) -> Any:
        self.unseen.assign_add(math.inf)
        return super().training_step(batch)


@pytest.mark.parametrize("mode", MODES)
def test_a_weight_that_the_loss_does_not_see_is_noticed(mode: str) -> None:
    pattern = r"weights of Unseen \(Variable:0\) became infinite or NaN .*step . of epoch 1"
    with pytest.raises(DivergedError, match=pattern):
        d2l.Trainer(1, **MODES[mode]).fit(Unseen(), Loaders(points(4, 2)))


def test_a_loop_of_ones_own_is_checked_too() -> None:
    class Own(d2l.Trainer):
        def fit_epoch(self) -> None:
            if self.epoch == 1:
                self.model.w.assign([[math.nan]])
            self.train_batch_idx += 1

    with pytest.raises(DivergedError, match="between the end of epoch 1 and the end of epoch 3"):
        Own(3).fit(Line(), Loaders(points(4, 2)))


def test_weights_that_are_wrong_before_the_fit_are_said_to_be_so() -> None:
    model = Line()
    model.w.assign([[math.inf]])
    with pytest.raises(
        DivergedError, match="became infinite or NaN before the first step of the fit"
    ):
        d2l.Trainer(1).fit(model, Loaders(points(4, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
def test_numbers_that_a_model_handles_itself_are_left_alone(mode: str) -> None:
    class Filling(d2l.Classifier):
        """Replaces NaN, masks scores by infinity, and has a metric that is NaN so far."""

        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Sequential([keras.layers.Dense(8, activation="relu"),
                                         keras.layers.Dense(3)])  # fmt: skip
            self.lr = 0.1
            self.ratio = tf.Variable(math.nan, trainable=False)

        def forward(self, X: Any) -> Any:
            # (n, 8) -> (n, 4); the last class never occurs.
            scores = self.net(tf.where(tf.math.is_nan(X), 0.0, X))
            return tf.concat([scores, tf.fill((tf.shape(X)[0], 1), -math.inf)], axis=1)

        def training_step(self, batch: Any) -> Any:
            self.plot("ratio", self.ratio, train=True)
            return super().training_step(batch)

    loaders = Loaders(classes(math.nan), classes(math.nan))
    history = d2l.Trainer(2, **MODES[mode]).fit(Filling(), loaders)
    assert np.isfinite(history["val_loss"]).all()
    assert np.isnan(history["train_ratio"]).all()
