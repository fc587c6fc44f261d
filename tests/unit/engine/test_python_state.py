"""Steps that read or change Python state run eagerly, so that they compute what their code says."""

from __future__ import annotations

import random
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.engine.errors import CompileError, PythonStateError
from tfd2l.engine.tracing.python_state import PythonState


class Counting(d2l.HyperParameters):
    """A scratch optimizer that counts its steps in Python, as for Adam's bias correction."""

    lr: float

    def __init__(self, lr: float) -> None:
        self.save_hyperparameters()
        self.t = 0

    def apply_gradients(self, grads_and_vars: Any) -> None:
        self.t += 1
        for grad, param in grads_and_vars:
            param.assign_sub(self.lr / self.t * grad)


class Base(d2l.LinearRegressionScratch):
    def __init__(self) -> None:
        super().__init__(2, lr=0.03)
        self.kept: list[Any] = []
        self.settings = {"count": 0}


class WithOptimizer(Base):
    def configure_optimizers(self) -> Any:
        return Counting(self.lr)


class KeepsTensor(Base):
    def training_step(self, batch: Any) -> Any:
        self.last = super().training_step(batch)
        return self.last


class GrowsList(Base):
    def training_step(self, batch: Any) -> Any:
        loss = super().training_step(batch)
        self.kept.append(loss)
        return loss


class CountsInDict(Base):
    def training_step(self, batch: Any) -> Any:
        self.settings["count"] += 1
        return super().training_step(batch)


class DrawsFromNumpy(Base):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) * np.random.rand()


class DrawsFromPython(Base):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) * random.random()


# State outside of objects, which the steps below change.
count = 0
collected: list[Any] = []
rng = np.random.default_rng(0)
python_rng = random.Random(0)


def deeper() -> int:
    global count
    count += 1
    return count


class ReadsEpoch(Base):
    def loss(self, y_hat: Any, y: Any) -> Any:
        return super().loss(y_hat, y) * (1.0 if self.trainer.epoch else 0.5)


class ReadsSteps(Base):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) * min(1.0, self.trainer.train_batch_idx / 4)


class CountsInGlobal(Base):
    def training_step(self, batch: Any) -> Any:
        global count
        count += 1
        return super().training_step(batch) / count


class CountsInFunction(Base):
    def training_step(self, batch: Any) -> Any:
        return super().training_step(batch) / deeper()


class GrowsGlobal(Base):
    def training_step(self, batch: Any) -> Any:
        loss = super().training_step(batch)
        collected.append(loss)
        return loss


class DrawsFromGenerator(Base):
    def forward(self, X: Any) -> Any:
        return super().forward(X) * rng.normal()


class DrawsFromRandomInstance(Base):
    def forward(self, X: Any) -> Any:
        return super().forward(X) * python_rng.random()


class DrawsFromItsOwn(Base):
    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)

    def forward(self, X: Any) -> Any:
        return super().forward(X) * self.rng.normal()


class Counter(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def call(self, X: Any) -> Any:
        self.calls += 1
        return X / self.calls


class HasCountingLayer(Base):
    def __init__(self) -> None:
        super().__init__()
        self.layer = Counter()

    def forward(self, X: Any) -> Any:
        return super().forward(self.layer(X))


STATEFUL: dict[type[Base], str] = {
    WithOptimizer: r"it changes Counting\.t.* tf\.Variable",
    KeepsTensor: r"it changes KeepsTensor\.last",
    GrowsList: r"it changes \[0\] of a list or dict",
    CountsInDict: r"it changes \['count'\] of a list or dict",
    DrawsFromNumpy: "it draws random numbers from Python or NumPy",
    DrawsFromPython: "it draws random numbers from Python or NumPy",
    ReadsEpoch: r"it reads Trainer\.epoch",
    ReadsSteps: r"it reads Trainer\.train_batch_idx",
    CountsInGlobal: "it changes the variable count",
    CountsInFunction: "it changes the variable count",
    GrowsGlobal: "of a list or dict that",
    DrawsFromGenerator: "it draws random numbers",
    DrawsFromRandomInstance: "it draws random numbers",
    DrawsFromItsOwn: "it draws random numbers",
    HasCountingLayer: r"it changes Counter\.calls",
}


def fit(cls: type[Base], start: int = 0, **mode: Any) -> tuple[Base, d2l.Trainer]:
    """Fit for three epochs of three steps, from the same state each time; `count` is `start`."""
    global count
    count = start
    collected.clear()
    rng.bit_generator.state = np.random.default_rng(0).bit_generator.state
    python_rng.seed(0)
    keras.utils.set_random_seed(0)
    model, trainer = cls(), d2l.Trainer(3, **mode)
    trainer.fit(model, regression_data(96, 32))
    return model, trainer


@pytest.mark.slow
@pytest.mark.parametrize("cls", STATEFUL)
def test_a_step_with_python_state_runs_eagerly_and_one_warning_names_it(
    cls: type[Base],
) -> None:
    # Variables outside of objects keep the value that tracing gave them: one step's count.
    traced = 1 if cls in (CountsInGlobal, CountsInFunction) else 0
    expected, eager = fit(cls, traced, run_eagerly=True)
    message = f"can't be compiled and runs eagerly.*{STATEFUL[cls]}"
    with pytest.warns(UserWarning, match=message) as caught:
        model, trainer = fit(cls)
    # The validation step has its own warning.
    assert [str(each.message).split()[0] for each in caught].count("training_step") == 1
    # The same bits: tracing changed no other state, neither a count nor a random generator.
    for one, same in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(same, one)
    assert trainer.history["train_loss"] == eager.history["train_loss"]
    assert len(model.kept) == len(expected.kept)
    assert model.settings == expected.settings
    if isinstance(trainer.optim, Counting):
        assert trainer.optim.t == 9
    assert len(collected) == (9 if cls is GrowsGlobal else 0)
    assert not any(map(tf.is_symbolic_tensor, collected))
    with pytest.raises(CompileError, match=STATEFUL[cls]):
        fit(cls, run_eagerly=False)


def test_variables_that_the_first_batch_creates_can_be_compiled() -> None:
    class Lazy(d2l.Module):
        lr = 0.03

        def forward(self, X: Any) -> Any:
            if not hasattr(self, "w"):
                self.w = tf.Variable(tf.zeros((X.shape[1], 1)))
            return X @ self.w

        def loss(self, y_hat: Any, y: Any) -> Any:
            return tf.reduce_mean((y_hat - y) ** 2)

    model = Lazy()
    # With run_eagerly=False, falling back to eager steps would raise.
    d2l.Trainer(1, run_eagerly=False).fit(model, regression_data(96, 32))
    assert model.w.shape == (2, 1)


def test_changed_attributes_are_detected_and_restored() -> None:
    class Holder(d2l.HyperParameters):
        def __init__(self) -> None:
            self.count, self.name, self.kept = 1, "one", [1]

    holder = Holder()
    state = PythonState(holder)
    before = state.snapshot()
    state.check(before)
    holder.count, holder.new = 2, "new"  # type: ignore[attr-defined]
    holder.kept.append(2)
    with pytest.raises(PythonStateError, match=r"it changes Holder\.count"):
        state.check(before)
    state.restore(before)
    state.check(before)
    assert vars(holder) == {"count": 1, "name": "one", "kept": [1]}
