"""Changes between steps reach compiled steps, too: fits end as eager ones do."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.engine.tracing.step import MAX_SILENT_RETRACES

EPOCHS = 3
Fit = tuple[d2l.Module, d2l.Trainer]


class Net(d2l.Module):
    """A model on Keras layers."""

    def __init__(self, lr: float = 0.03) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential([keras.layers.Dense(4), keras.layers.Dense(1)])

    def loss(self, y_hat: Any, y: Any) -> Any:
        return tf.reduce_mean((y_hat - y) ** 2)


class WithMomentum(Net):
    def configure_optimizers(self) -> Any:
        return keras.optimizers.SGD(0.01, momentum=0.5)


class Noisy(Net):
    """Its noise is the product of entries of a dict, a list, an object and an array."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name, self.in_list = {"scale": 1.0}, [1.0]
        self.settings = SimpleNamespace(scale=1.0)
        self.array = np.ones(3, np.float32)

    def forward(self, X: Any) -> Any:
        scale = self.by_name["scale"] * self.in_list[0] * self.settings.scale
        return self.net(X * scale * self.array[0])


def changing(change: Callable[[Any], Any], base: type = d2l.Trainer) -> type[d2l.Trainer]:
    """Make a trainer class that calls `change(trainer)` before each epoch but the first."""

    class Changing(base):  # type: ignore[misc]
        def fit_epoch(self) -> None:
            if self.epoch:
                change(self)
            super().fit_epoch()

    return Changing


class Scaling(d2l.Trainer):
    """Multiplies its batches by an attribute."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.factor = 1.0

    def prepare_batch(self, batch: Any) -> Any:
        return (batch[0] * self.factor, *batch[1:])


def fit(model: Any, trainer: Any, **mode: Any) -> Fit:
    keras.utils.set_random_seed(0)
    made = model(), trainer(EPOCHS, **mode)
    made[1].fit(made[0], regression_data(96, 32))
    return made


@functools.cache
def unchanged(model: Any, trainer: Any) -> Fit:
    """An eager fit without a change."""
    return fit(model, trainer, run_eagerly=True)


def same(one: Fit, other: Fit) -> bool:
    """Compare the losses of two fits; float32 sums in another order differ by 1e-5."""
    first, second = (fitted[1].history["train_loss"] for fitted in (one, other))
    return bool(np.allclose(first, second, rtol=1e-5, atol=1e-9))


def scratch() -> d2l.Module:
    return d2l.LinearRegressionScratch(2, 0.03)


def decayed() -> d2l.Module:
    return d2l.WeightDecayScratch(2, lambd=0.0, lr=0.03)


def half(trainer: Any) -> None:
    trainer.optim.lr = 0.01


CHANGES: dict[str, tuple[Callable[[], d2l.Module], type[d2l.Trainer]]] = {
    "rate of a scratch optimizer": (scratch, changing(half)),
    "hyperparameter": (decayed, changing(lambda t: setattr(t.model, "lambd", 3.0))),
    "clipping": (scratch, changing(lambda t: setattr(t, "gradient_clip_val", 0.1))),
    "momentum": (WithMomentum, changing(lambda t: setattr(t.optim, "momentum", 0.0))),
    "optimizer": (scratch, changing(lambda t: setattr(t, "optim", d2l.SGD(0.001)))),
    "Keras optimizer": (Net, changing(lambda t: setattr(t, "optim", keras.optimizers.SGD(0.001)))),
    "frozen layer": (Net, changing(lambda t: setattr(t.model.net.layers[0], "trainable", False))),
    "frozen variable": (
        Net,
        changing(lambda t: setattr(t.model.net.layers[0].kernel, "trainable", False)),
    ),
    "dict": (Noisy, changing(lambda t: t.model.by_name.update(scale=2.0))),
    "list": (Noisy, changing(lambda t: t.model.in_list.__setitem__(0, 2.0))),
    "object": (Noisy, changing(lambda t: setattr(t.model.settings, "scale", 2.0))),
    "array in place": (Noisy, changing(lambda t: t.model.array.__setitem__(0, 2.0))),
    "attribute of the trainer": (
        scratch,
        changing(lambda t: setattr(t, "factor", 2.0), base=Scaling),
    ),
    "Keras' rate": (Net, changing(lambda t: setattr(t.optim, "learning_rate", 0.001))),
    "other data": (
        scratch,
        changing(lambda t: setattr(t, "train_dataloader", t.train_dataloader.take(1))),
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_epochs_reaches_the_compiled_steps(name: str) -> None:
    model, trainer = CHANGES[name]
    # With run_eagerly=False, falling back to eager steps would raise.
    compiled = fit(model, trainer, run_eagerly=False)
    assert same(compiled, fit(model, trainer, run_eagerly=True))
    base = Scaling if "trainer" in name else d2l.Trainer
    assert not same(compiled, unchanged(model, base))


@pytest.mark.slow
def test_a_change_by_a_callback_within_an_epoch_reaches_the_compiled_steps() -> None:
    class Halves(d2l.Callback):
        def on_train_batches_end(self, trainer: Any, results: Any) -> None:
            if trainer.steps_of_epoch == 1:
                trainer.optim.lr = 0.001

    def one(model: Any = scratch, **mode: Any) -> Fit:
        return fit(
            model,
            lambda epochs, **m: d2l.Trainer(
                epochs, steps_per_execution=1, callbacks=[Halves()], **m
            ),
            **mode,
        )

    assert same(one(run_eagerly=False), one(run_eagerly=True))


@pytest.mark.slow
def test_a_change_reaches_the_steps_of_streamed_data() -> None:
    class Streamed(d2l.SyntheticRegressionData):
        def get_dataloader(self, train: bool) -> Any:
            return super().get_dataloader(train).take(-1)  # type: ignore[union-attr]

    def losses(**mode: Any) -> Any:
        trainer = changing(half)(EPOCHS, **mode)
        data = Streamed([2, -3.4], 4.2, num_train=96, num_val=32)
        return trainer.fit(scratch_seeded(), data)["train_loss"]

    def scratch_seeded() -> d2l.Module:
        keras.utils.set_random_seed(0)
        return scratch()

    # float32 sums in another order.
    np.testing.assert_allclose(losses(run_eagerly=False), losses(run_eagerly=True), rtol=1e-5)


def test_batches_are_counted_again_after_the_data_was_replaced() -> None:
    model, trainer = CHANGES["other data"]
    _, fitted = fit(model, trainer)
    assert fitted.num_train_batches == 1
    # 96 examples are three batches of 32; then two epochs of one.
    assert fitted.train_batch_idx == 5


@pytest.mark.slow
def test_a_warning_names_an_attribute_that_changes_in_every_epoch() -> None:
    trainer: Any = changing(lambda t: setattr(t.model, "lambd", float(t.epoch)))
    with pytest.warns(UserWarning, match=r"each time that WeightDecayScratch\.lambd changes"):
        trainer(MAX_SILENT_RETRACES + 2).fit(decayed(), regression_data(96, 32))


def test_without_changes_a_step_is_traced_once_for_each_kind_of_batch() -> None:
    data = regression_data(100, 32)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = d2l.Trainer(EPOCHS)
        trainer.fit(Noisy(), data)
    # 100 examples are three batches of 32 and one of 4; 32 to validate on are one.
    assert trainer.num_traces == 3


@pytest.mark.slow
def test_a_change_of_an_enclosing_functions_variable_reaches_the_steps() -> None:
    def losses(**mode: Any) -> Any:
        weight = 1.0

        class Weighted(d2l.LinearRegressionScratch):
            def loss(self, y_hat: Any, y: Any) -> Any:
                return super().loss(y_hat, y) * weight

        class Changing(d2l.Trainer):
            def fit_epoch(self) -> None:
                nonlocal weight
                weight = 1.0 + self.epoch
                super().fit_epoch()

        return fit(lambda: Weighted(2, 0.03), Changing, **mode)[1].history["train_loss"]

    # float32 sums in another order.
    np.testing.assert_allclose(losses(run_eagerly=False), losses(run_eagerly=True), rtol=1e-5)
