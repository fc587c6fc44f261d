"""The search for a model's state, and checkpoints that have all of it."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, points
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint


class Measured(Line):
    """Plots the mean of all targets since the metric was reset."""

    def __init__(self) -> None:
        super().__init__(lr=0.01)
        self.seen = [keras.metrics.Mean()]

    def training_step(self, batch: Any) -> Any:
        self.seen[0].update_state(batch[1])
        self.plot("mean", self.seen[0].result(), train=True)
        return super().training_step(batch)

    def validation_step(self, batch: Any) -> None:
        self.seen[0].update_state(batch[1])
        self.plot("mean", self.seen[0].result(), train=False)


class Saves(d2l.Callback):
    """Writes a checkpoint after each call of steps."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
        save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())


@pytest.mark.parametrize("mode", MODES)
def test_metrics_begin_anew_in_each_pass_as_in_keras_fit(mode: str) -> None:
    data = Loaders(points(4, 2), points(2, 2))
    history = d2l.Trainer(2, **MODES[mode]).fit(Measured(), data)
    # Targets 2, 4 | 6, 8: the running means are 3 and 5. The validation targets are 2 and 4.
    assert history["train_mean"] == [4.0, 4.0]
    assert history["val_mean"] == [3.0, 3.0]


@pytest.mark.slow
def test_a_fit_with_a_metric_resumes_within_an_epoch_without_a_warning(tmp_path: Path) -> None:
    data = Loaders(points(6, 2), points(2, 2))
    settings: dict[str, Any] = {"steps_per_execution": 1}
    whole = d2l.Trainer(2, callbacks=[Saves(tmp_path)], **settings).fit(Measured(), data)
    for path in checkpoints(tmp_path)[1:3]:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            resumed = d2l.Trainer(2, **settings).fit(Measured(), data, path)
        for column in ("train_mean", "val_mean", "train_loss"):
            assert resumed[column] == whole[column]


def test_metrics_are_state_but_not_weights() -> None:
    class Inner(keras.layers.Layer):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.hits = keras.metrics.Sum()

    model = Measured()
    model.layer = Inner()
    # w; total and count of the mean; the sum in the layer.
    assert len(model.variables) == 4
    assert len(model.weights) == len(model.parameters()) == 1
    model.layer.hits.update_state(3.0)
    model.reset_metrics()
    assert float(model.layer.hits.result()) == 0


def test_what_a_keras_model_was_compiled_with_is_no_state_of_the_model() -> None:
    model = d2l.Classifier()
    model.net = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    before = model.variables
    model.net.compile("adam", "mse", metrics=["mae"])
    model.net.fit(np.ones((2, 2)), np.ones((2, 1)), verbose=0)
    assert [id(v) for v in model.variables] == [id(v) for v in before]


@dataclass
class Parts:
    """Parameters in a dataclass."""

    w: Any = field(default_factory=lambda: tf.Variable(1.0))
    layer: Any = field(default_factory=lambda: keras.layers.Dense(1))


class Weighted(keras.losses.Loss):  # type: ignore[misc]
    """A loss with a parameter of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = tf.Variable(1.0)

    def call(self, y: Any, y_hat: Any) -> Any:
        return (self.weight * (y_hat - y)) ** 2


def test_dataclasses_and_losses_may_hold_parameters() -> None:
    model = d2l.Module()
    model.parts, model.criterion = [Parts()], Weighted()
    model.parts[0].layer.build((None, 2))
    assert len(model.parameters()) == 4
    assert len(model.weights) == 4


def test_an_optimizer_that_is_an_attribute_is_saved_once(tmp_path: Path) -> None:
    class OwnOptimizer(Line):
        def __init__(self) -> None:
            super().__init__()
            self.optimizer = keras.optimizers.Adam(0.1)

        def configure_optimizers(self) -> Any:
            return self.optimizer

    model = OwnOptimizer()
    data = Loaders(points(4, 2))
    d2l.Trainer(2, callbacks=[Saves(tmp_path)]).fit(model, data)
    assert len(model.weights) == 1
    resumed = OwnOptimizer()
    d2l.Trainer(2).fit(resumed, data, checkpoints(tmp_path)[-1])
    np.testing.assert_array_equal(resumed.w, model.w)


def test_a_lookup_table_that_a_step_changes_is_named(tmp_path: Path) -> None:
    class Remembers(Line):
        def __init__(self) -> None:
            super().__init__()
            self.table = tf.lookup.experimental.MutableHashTable(tf.int64, tf.float32, 0.0)

        def training_step(self, batch: Any) -> Any:
            self.table.insert(tf.constant([1], tf.int64), tf.reduce_sum(batch[1])[None])
            return super().training_step(batch)

    data = Loaders(points(4, 2))
    d2l.Trainer(1, callbacks=[Saves(tmp_path)]).fit(Remembers(), data)
    with pytest.warns(UserWarning, match="a step changes a lookup table"):
        d2l.Trainer(1).fit(Remembers(), data, checkpoints(tmp_path)[-1])
