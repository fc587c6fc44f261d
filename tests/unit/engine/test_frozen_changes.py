"""What a reader changes between steps reaches them: compiled fits end as eager ones do."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.engine.errors import CompileError
from tfd2l.engine.step import MAX_SILENT_RETRACES

DATA: dict[str, Any] = {"w": [2, -3.4], "b": 4.2, "num_train": 96, "num_val": 32}
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
    """Its noise is an entry of a dict, of an object, and of a list."""

    def __init__(self) -> None:
        super().__init__()
        self.by_name, self.in_list = {"scale": 1.0}, [1.0]
        self.settings = SimpleNamespace(scale=1.0)
        self.array = np.ones(3, np.float32)

    def forward(self, X: Any) -> Any:
        scale = self.by_name["scale"] * self.in_list[0] * self.settings.scale
        return self.net(X * scale * self.array[0])


def changing(change: Callable[[Any], Any], base: type = d2l.Trainer) -> type[d2l.Trainer]:
    """A trainer that calls `change(trainer)` before each epoch but the first."""

    class Changing(base):  # type: ignore[misc]
        def fit_epoch(self) -> None:
            if self.epoch:
                change(self)
            super().fit_epoch()

    return Changing


class Clipping(d2l.Trainer):
    """Scales its batches by an attribute of its own."""

    scale = 1.0

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.factor = 1.0

    def prepare_batch(self, batch: Any) -> Any:
        return (batch[0] * self.factor, *batch[1:])


def fit(model: Any, trainer: Any, **mode: Any) -> Fit:
    keras.utils.set_random_seed(0)
    made = model(), trainer(EPOCHS, **mode)
    made[1].fit(made[0], d2l.SyntheticRegressionData(**DATA))
    return made


def same(one: Fit, other: Fit) -> bool:
    """Whether two fits gave the same losses; float32 sums in another order differ by 1e-5."""
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
        changing(lambda t: setattr(t, "factor", 2.0), base=Clipping),
    ),
    "Keras' rate": (Net, changing(lambda t: setattr(t.optim, "learning_rate", 0.001))),
    "other data": (
        scratch,
        changing(lambda t: setattr(t, "train_dataloader", t.train_dataloader.take(1))),
    ),
}


@pytest.mark.parametrize("name", CHANGES)
def test_a_change_between_epochs_reaches_the_compiled_steps(name: str) -> None:
    model, trainer = CHANGES[name]
    # Insisted on: falling back to eager steps would raise.
    compiled = fit(model, trainer, run_eagerly=False)
    assert same(compiled, fit(model, trainer, run_eagerly=True))
    unchanged = Clipping if "trainer" in name else d2l.Trainer
    assert not same(compiled, fit(model, unchanged))


def test_a_change_by_a_callback_within_an_epoch_does_too() -> None:
    class Halves(d2l.Callback):
        def on_train_batches_end(self, trainer: Any, call: Any) -> None:
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


def test_loaders_of_any_kind_see_the_change() -> None:
    class Streamed(d2l.SyntheticRegressionData):
        def get_dataloader(self, train: bool) -> Any:
            return super().get_dataloader(train).take(-1)  # type: ignore[union-attr]

    def losses(**mode: Any) -> Any:
        trainer = changing(half)(EPOCHS, **mode)
        return trainer.fit(scratch_seeded(), Streamed(**DATA))["train_loss"]

    def scratch_seeded() -> d2l.Module:
        keras.utils.set_random_seed(0)
        return scratch()

    # float32 sums in another order.
    np.testing.assert_allclose(losses(run_eagerly=False), losses(run_eagerly=True), rtol=1e-5)


def test_the_epochs_of_data_that_was_replaced_are_counted_anew() -> None:
    model, trainer = CHANGES["other data"]
    _, fitted = fit(model, trainer)
    assert fitted.num_train_batches == 1
    # 96 examples are three batches of 32; then two epochs of one.
    assert fitted.train_batch_idx == 5


def test_what_changes_all_the_time_is_named_in_a_warning() -> None:
    trainer: Any = changing(lambda t: setattr(t.model, "lambd", float(t.epoch)))
    with pytest.warns(UserWarning, match=r"each time that WeightDecayScratch\.lambd changes"):
        trainer(MAX_SILENT_RETRACES + 2).fit(decayed(), d2l.SyntheticRegressionData(**DATA))


def test_where_nothing_changes_a_step_is_traced_once_for_each_kind_of_batch() -> None:
    data = d2l.SyntheticRegressionData(**{**DATA, "num_train": 100})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = d2l.Trainer(EPOCHS)
        trainer.fit(Noisy(), data)
    # 100 examples are three batches of 32 and one of 4; 32 to validate on are one.
    assert trainer.num_traces == 3


# What the steps below count in, and draw from.
count = 0
kept: list[Any] = []
rng = np.random.default_rng(0)
python_rng = random.Random(0)


def deeper() -> int:
    global count
    count += 1
    return count


class ReadsEpoch(d2l.LinearRegressionScratch):
    def loss(self, y_hat: Any, y: Any) -> Any:
        return super().loss(y_hat, y) * (1.0 if self.trainer.epoch else 0.5)


class ReadsSteps(d2l.LinearRegressionScratch):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) * min(1.0, self.trainer.train_batch_idx / 4)


class CountsInGlobal(d2l.LinearRegressionScratch):
    def training_step(self, batch: Any) -> Any:
        global count
        count += 1
        return super().training_step(batch) / count


class CountsInFunction(d2l.LinearRegressionScratch):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) / deeper()


class GrowsGlobal(d2l.LinearRegressionScratch):
    def training_step(self, batch: Any) -> Any:
        loss = super().training_step(batch)
        kept.append(loss)
        return loss


class DrawsFromGenerator(d2l.LinearRegressionScratch):
    def forward(self, X: Any) -> Any:
        return super().forward(X) * rng.normal()


class DrawsFromPython(d2l.LinearRegressionScratch):
    def forward(self, X: Any) -> Any:
        return super().forward(X) * python_rng.random()


class DrawsFromItsOwn(d2l.LinearRegressionScratch):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.rng = np.random.default_rng(0)

    def forward(self, X: Any) -> Any:
        return super().forward(X) * self.rng.normal()


class Counter(keras.layers.Layer):  # type: ignore[misc]
    calls = 0

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, X: Any) -> Any:
        self.calls += 1
        return X / self.calls


class HasCountingLayer(d2l.LinearRegressionScratch):
    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.layer = Counter()

    def forward(self, X: Any) -> Any:
        return super().forward(self.layer(X))


FROZEN: dict[Any, str] = {
    ReadsEpoch: r"it reads Trainer\.epoch",
    ReadsSteps: r"it reads Trainer\.train_batch_idx",
    CountsInGlobal: "it changes the variable count",
    CountsInFunction: "it changes the variable count",
    GrowsGlobal: "of a list or dict that",
    DrawsFromGenerator: "it draws random numbers",
    DrawsFromPython: "it draws random numbers",
    DrawsFromItsOwn: "it draws random numbers",
    HasCountingLayer: r"it changes Counter\.calls",
}


@pytest.mark.parametrize("cls", FROZEN)
def test_what_a_graph_would_freeze_runs_eagerly_with_a_warning_that_names_it(cls: Any) -> None:
    # Assigned variables outside of objects keep what tracing assigned: one step's count.
    traced = 1 if cls in (CountsInGlobal, CountsInFunction) else 0

    def one(already: int = 0, **mode: Any) -> Fit:
        global count
        count = already
        kept.clear()
        rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
        python_rng.seed(0)
        return fit(lambda: cls(2, 0.03), d2l.Trainer, **mode)

    expected = one(traced, run_eagerly=True)
    with pytest.warns(UserWarning, match=f"runs eagerly.*{FROZEN[cls]}"):
        found = one()
    # The very same steps: tracing left nothing else behind.
    assert found[1].history["train_loss"] == expected[1].history["train_loss"]
    assert len(kept) == (9 if cls is GrowsGlobal else 0)
    assert not any(map(tf.is_symbolic_tensor, kept))
    with pytest.raises(CompileError, match=FROZEN[cls]):
        one(run_eagerly=False)


def test_a_variable_of_an_enclosing_function_is_seen() -> None:
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
