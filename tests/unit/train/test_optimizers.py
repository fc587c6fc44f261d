"""The optimizers, schedules and weight decay of the settings, by Keras' own numbers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

import tfd2l as d2l
from tfd2l.train.optimizers import set_optimizer
from tfd2l.train.settings.config import ConfigError, from_settings


def optimizer(num_batches: int = 10, model: Any = None, **settings: Any) -> Any:
    model = model or d2l.LinearRegression(lr=0.5)
    set_optimizer(model, from_settings({"model": "linear", **settings}), num_batches)
    return model.configure_optimizers()


def test_the_models_own_optimizer_stays_unless_the_user_asks() -> None:
    own = optimizer()
    assert isinstance(own, keras.optimizers.SGD)
    assert float(own.learning_rate) == 0.5
    assert isinstance(optimizer(model=d2l.LinearRegressionScratch(2, lr=0.5)), d2l.SGD)


@pytest.mark.parametrize(
    ("name", "kind", "rate"),
    [
        ("sgd", "SGD", 0.03),
        ("momentum", "SGD", 0.03),
        ("adam", "Adam", 0.001),
        ("adamw", "AdamW", 0.001),
    ],
)
def test_a_named_optimizer_has_the_rate_of_the_settings(name: str, kind: str, rate: float) -> None:
    found = optimizer(optimizer=name)
    assert type(found).__name__ == kind
    assert float(found.learning_rate) == pytest.approx(rate)
    assert getattr(found, "momentum", 0) == (0.9 if name == "momentum" else 0)
    given = optimizer(optimizer=name, lr=0.2, weight_decay=0.1)
    assert float(given.learning_rate) == pytest.approx(0.2)
    assert given.weight_decay == 0.1


def test_schedules_end_with_the_last_step_of_the_run() -> None:
    for name, rates in {
        "linear": [1, 0.5, 0],
        "cosine": [1, 0.5, 0],
        "step": [1, 0.1, 0.01],
    }.items():
        found = optimizer(schedule=name, lr=1.0, epochs=3)
        schedule = found._learning_rate
        # The first, middle and last of 3 epochs of 10 steps.
        np.testing.assert_allclose([float(schedule(n)) for n in (0, 15, 30)], rates, atol=1e-6)


def test_a_readers_own_optimizer_is_not_overruled_in_silence() -> None:
    class Mine(d2l.LinearRegression):
        def configure_optimizers(self) -> Any:
            return keras.optimizers.Adam(self.lr)

    with pytest.raises(ConfigError, match="schedule is for the optimizers of this command, and Mi"):
        optimizer(model=Mine(0.1), schedule="cosine")
    assert isinstance(
        optimizer(model=Mine(0.1), schedule="cosine", optimizer="sgd"), keras.optimizers.SGD
    )
    assert isinstance(optimizer(model=Mine(0.1)), keras.optimizers.Adam)
