"""All numbers that the library takes: wrong ones are refused by name, NumPy's are accepted."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import house_prices
from pipelines.batching import batched
from pipelines.fashion_mnist import Arrays
from tests.support.data import Loaders
from tfd2l.book.board import ProgressBoard
from tfd2l.book.module import Module

HUGE = [2**31, 10**400, 1e300]
NO_NUMBER = [None, "7", True, math.nan, math.inf, -math.inf, [1, 2], -1]
NO_COUNT = [*NO_NUMBER, *HUGE, 0, 1.5, np.float64(2)]
NO_RATE = [*NO_NUMBER, 0, 1e300, 10**400, 1e-300]
NO_PROBABILITY = [*NO_NUMBER, 1.5, 1e300]
NO_WEIGHT = [*NO_NUMBER, 1e300, 10**400]
NO_SEED = [*NO_NUMBER, 2**31, 0.5]

MODELS: dict[type, dict[str, Any]] = {
    d2l.LinearRegressionScratch: {"num_inputs": 2, "lr": 0.1, "sigma": 0.01},
    d2l.LinearRegression: {"lr": 0.1},
    d2l.WeightDecayScratch: {"num_inputs": 2, "lambd": 3, "lr": 0.1, "sigma": 0.01},
    d2l.WeightDecay: {"wd": 3, "lr": 0.1},
    d2l.SoftmaxRegressionScratch: {"num_inputs": 4, "num_outputs": 3, "lr": 0.1, "sigma": 0.01},
    d2l.SoftmaxRegression: {"num_outputs": 3, "lr": 0.1},
    d2l.MLPScratch: {
        "num_inputs": 4, "num_outputs": 3, "num_hiddens": 5, "lr": 0.1, "sigma": 0.01
    },
    d2l.MLP: {"num_outputs": 3, "num_hiddens": 5, "lr": 0.1},
}  # fmt: skip
for dropout in (d2l.DropoutMLPScratch, d2l.DropoutMLP):
    MODELS[dropout] = {
        "num_outputs": 3, "num_hiddens_1": 5, "num_hiddens_2": 4, "dropout_1": 0.5,
        "dropout_2": 0.5, "lr": 0.1,
    }  # fmt: skip


def wrong_values(name: str) -> list[Any]:
    """Return the values that the argument of this name must not have."""
    if name.startswith("num_"):
        return NO_COUNT
    if name.startswith("dropout"):
        return NO_PROBABILITY
    return {"lr": NO_RATE, "sigma": NO_WEIGHT, "lambd": NO_WEIGHT, "wd": NO_WEIGHT}[name]


def refused(name: str, make: Callable[..., Any], wrong: list[Any]) -> None:
    """Check that each wrong value raises one line with the argument's name and the value."""
    for value in wrong:
        with pytest.raises(ValueError, match=f"^{name} (must|is) .*; got ") as error:
            make(**{name: value})
        assert len(str(error.value)) < 250, error.value
        assert "\n" not in str(error.value), error.value


@pytest.mark.parametrize("model", MODELS)
def test_wrong_numbers_of_a_model_are_refused_by_name(model: type) -> None:
    arguments = MODELS[model]
    assert [*inspect.signature(model).parameters] == [*arguments]
    for name in arguments:
        refused(
            name,
            lambda model=model, **wrong: model(**{**MODELS[model], **wrong}),
            wrong_values(name),
        )


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("number", [np.float32, np.float64, tf.constant])
def test_numbers_of_numpy_and_tensorflow_are_accepted(model: type, number: Any) -> None:
    given = {
        name: np.int64(value) if name.startswith("num_") else number(float(value))
        for name, value in MODELS[model].items()
    }
    made: Any = model(**given)
    plain = (int, float)
    assert all(type(value) in plain for name, value in made.hparams.items() if name in given)
    random = np.random.default_rng(0)
    linear = not isinstance(made, d2l.Classifier)
    X = random.random((6, 2 if linear else 4), np.float32)
    y = random.random((6, 1), np.float32) if linear else np.arange(6, dtype=np.int32) % 3

    class Data(d2l.DataModule):
        def __init__(self) -> None:
            super().__init__()
            self.batch_size, self.seed = np.int64(4), np.int32(1)  # type: ignore[assignment]

        def get_dataloader(self, train: bool) -> tf.data.Dataset:
            return self.get_tensorloader((X, y), train)

    two: Any = np.int64(2)
    trainer = d2l.Trainer(two, gradient_clip_val=number(1.0), run_eagerly=True)
    losses = trainer.fit(made, Data())["train_loss"]
    assert len(losses) == 2
    assert np.isfinite(losses).all()


def test_wrong_numbers_of_a_trainer_are_refused_by_name() -> None:
    make = partial(d2l.Trainer, max_epochs=1)
    refused("max_epochs", make, NO_COUNT)
    refused("gradient_clip_val", make, NO_WEIGHT)
    refused("num_gpus", make, [-1, 2, 0.0, math.nan, "0", True])
    refused("steps_per_execution", make, [wrong for wrong in NO_COUNT if wrong is not None])


def test_wrong_numbers_of_data_are_refused_by_name(images: tuple[Any, Any]) -> None:
    X, y = images
    arrays = Arrays(X, y, X, y, source="made up", sha256={})
    wrong_size = [0, 28, (28,), (0, 28), (28.0, 28), (28, 5000), "28", None, [28] * 10_000]
    modules: list[Callable[..., Any]] = [
        partial(d2l.SyntheticRegressionData, [2.0, -3.4], 4.2),
        partial(d2l.FashionMNIST, arrays=arrays),
        partial(d2l.KaggleHouse, batch_size=2, train=pd.DataFrame()),
        lambda **wrong: batched([X, y], **{"batch_size": 2, "shuffle": True, **wrong}),
    ]
    for make in modules:
        refused("batch_size", make, NO_COUNT)
        refused("seed", make, [wrong for wrong in NO_SEED if wrong != -1])
    refused("resize", modules[1], wrong_size)
    for name, wrong in (("num_train", NO_COUNT), ("noise", NO_WEIGHT)):
        refused(name, modules[0], wrong)
    refused("num_val", modules[0], [wrong for wrong in NO_COUNT if wrong != 0])
    refused("b", partial(d2l.SyntheticRegressionData, [2.0]), [None, "4", math.nan, 1e300])


def test_wrong_numbers_of_folds_are_refused_by_name() -> None:
    rows = pd.DataFrame({"Id": range(5)})
    refused("k", lambda k: next(house_prices.folds(rows, k)), [*NO_COUNT, 1, 6])
    assert len(list(house_prices.folds(rows, np.int64(5)))) == 5  # type: ignore[arg-type]


def test_wrong_numbers_of_boards_and_layers_are_refused_by_name() -> None:
    every_n = [value for value in NO_COUNT if value != 0 or isinstance(value, float)]
    refused("every_n", partial(ProgressBoard().draw, 0, 0, "a"), every_n)
    for name in ("plot_train_per_epoch", "plot_valid_per_epoch"):
        refused(name, Module, NO_COUNT)
    X = tf.ones((2, 2))
    refused("dropout", partial(d2l.dropout_layer, X), NO_PROBABILITY)


def test_a_schedule_is_accepted_as_learning_rate() -> None:
    schedule = keras.optimizers.schedules.ExponentialDecay(0.1, 10, 0.5)
    optimizer = d2l.SoftmaxRegression(3, schedule).configure_optimizers()
    assert float(optimizer.learning_rate) == pytest.approx(0.1)


@pytest.mark.parametrize("make", [tf.Variable, keras.Variable])
@pytest.mark.parametrize("run_eagerly", [False, True])
def test_a_learning_rate_that_is_a_variable_is_read_at_each_step(
    make: Any, run_eagerly: bool
) -> None:
    lr = make(0.25, trainable=False)

    class Stop(d2l.Callback):
        def on_epoch_end(self, trainer: Any, row: Any) -> None:
            lr.assign(0.0)

    model = d2l.LinearRegression(lr)
    model(tf.ones((1, 2)))
    for weight in model.trainable_variables:
        weight.assign(tf.zeros_like(weight))
    data = Loaders([(tf.ones((2, 2)), tf.ones((2, 1)))] * 3)
    history = d2l.Trainer(2, run_eagerly=run_eagerly, callbacks=[Stop()]).fit(model, data)
    # All three weights are u, the prediction is 3u, and u - 0.25 * 2 * (3u - 1) = (1 - u) / 2:
    # 0, 1/2, 1/4, 3/8. The second epoch changes nothing: its loss is (9/8 - 1)^2.
    assert [w.numpy().ravel().tolist() for w in model.trainable_variables] == [[0.375] * 2, [0.375]]
    assert history["train_loss"][1] == 0.015625


def test_the_optimizer_checks_the_learning_rate_of_a_subclass() -> None:
    class Own(d2l.Module):
        def __init__(self, lr: Any) -> None:
            super().__init__()
            self.save_hyperparameters()

    refused("lr", lambda lr: Own(lr).configure_optimizers(), NO_RATE)
