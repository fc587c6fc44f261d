"""Steps that change Python's own state run eagerly, and learn what their code says."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tfd2l.engine.errors import CompileError, PythonStateError
from tfd2l.engine.python_state import PythonState

DATA: dict[str, Any] = {"w": [2, -3.4], "b": 4.2, "num_train": 96, "num_val": 32}


class Counting(d2l.HyperParameters):
    """A scratch optimizer that counts its steps in Python, as Adam's bias correction asks for."""

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


CHANGING: dict[type[Base], str] = {
    WithOptimizer: r"it changes Counting\.t",
    KeepsTensor: r"it changes KeepsTensor\.last",
    GrowsList: r"it changes \[0\] of a list or dict",
    CountsInDict: r"it changes \['count'\] of a list or dict",
    DrawsFromNumpy: "it draws random numbers from Python or NumPy",
    DrawsFromPython: "it draws random numbers from Python or NumPy",
}


@pytest.mark.parametrize("cls", CHANGING)
def test_it_is_run_eagerly_with_one_warning_that_names_it(cls: type[Base]) -> None:
    def fit(**mode: Any) -> tuple[Base, d2l.Trainer]:
        tf.random.set_seed(3)
        np.random.seed(3)
        random.seed(3)
        model, trainer = cls(), d2l.Trainer(2, **mode)
        trainer.fit(model, d2l.SyntheticRegressionData(**DATA))
        return model, trainer

    expected, _ = fit(run_eagerly=True)
    with pytest.warns(UserWarning, match=f"can't be compiled and runs eagerly.*{CHANGING[cls]}"):
        model, trainer = fit()
    # The very same steps: tracing left nothing behind, neither a count nor a drawn number.
    for one, same in zip(expected.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(same, one)
    assert len(model.kept) == len(expected.kept)
    assert model.settings == expected.settings
    if isinstance(trainer.optim, Counting):
        assert trainer.optim.t == 6


def test_where_compiling_is_insisted_on_it_is_refused() -> None:
    with pytest.raises(CompileError, match=r"it changes Counting\.t.* tf\.Variable"):
        d2l.Trainer(1, run_eagerly=False).fit(WithOptimizer(), d2l.SyntheticRegressionData(**DATA))


def test_variables_and_layers_that_a_first_batch_makes_are_no_harm() -> None:
    class Lazy(d2l.Module):
        lr = 0.03

        def forward(self, X: Any) -> Any:
            if not hasattr(self, "w"):
                self.w = tf.Variable(tf.zeros((X.shape[1], 1)))
            return X @ self.w

        def loss(self, y_hat: Any, y: Any) -> Any:
            return tf.reduce_mean((y_hat - y) ** 2)

    model = Lazy()
    # Insisted on: falling back would raise.
    d2l.Trainer(1, run_eagerly=False).fit(model, d2l.SyntheticRegressionData(**DATA))
    assert model.w.shape == (2, 1)


def test_plain_attributes_are_put_back() -> None:
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
