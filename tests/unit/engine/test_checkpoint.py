"""Checkpoints: their content, damage, and which of them are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import Loaders, regression_data
from tests.support.fits import Line, points
from tfd2l.common.arrays import write_weights
from tfd2l.engine.checkpoint import (
    checkpoint_name,
    checkpoints,
    load_checkpoint,
    prune,
    save_checkpoint,
)
from tfd2l.engine.errors import CheckpointError, DivergedError


class Drawing(d2l.Module):
    """Has a variable of each kind, and a random generator."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable([1.0, 2.0])
        self.count = tf.Variable(3, dtype=tf.int64, trainable=False)
        self.net = keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(1)])


def state(epoch: int, step: int = 0) -> dict[str, Any]:
    return {"epoch": epoch, "step": step}


def built() -> Drawing:
    model = Drawing()
    model(tf.ones((1, 4)))
    return model


def test_a_checkpoint_restores_variables_of_each_kind_and_of_the_optimizer(tmp_path: Path) -> None:
    model, other = built(), built()
    optimizers = [keras.optimizers.Adam(0.1) for _ in range(2)]
    for optimizer, one in zip(optimizers, (model, other), strict=True):
        optimizer.build(one.trainable_variables)
    gradients = [tf.ones(v.shape) for v in model.trainable_variables]
    optimizers[0].apply_gradients(zip(gradients, model.trainable_variables, strict=True))
    path = save_checkpoint(tmp_path, model, optimizers[0], state(2, 5))
    assert path.name == "epoch-00002.step-0000005"
    assert load_checkpoint(path, other, optimizers[1]) == state(2, 5)
    for one, same in zip(model.variables, other.variables, strict=True):
        np.testing.assert_array_equal(same, one)
    assert [int(o.iterations) for o in optimizers] == [1, 1]
    # Both generators are in the same state: they drop the same numbers.
    X = tf.ones((5, 4))
    np.testing.assert_array_equal(model(X, training=True), other(X, training=True))


def test_a_checkpoint_of_another_model_changes_nothing(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, built(), None, state(1))
    other = d2l.MLPScratch(4, 3, 2, lr=0.1)
    before = other.get_weights()
    with pytest.raises(CheckpointError, match=r"is of a Drawing with other variables: number 0"):
        load_checkpoint(path, other)
    for one, same in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(same, one)


def test_a_missing_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="can't be read"):
        load_checkpoint(tmp_path / "none", built())


def test_damage_is_refused_by_name(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, built(), None, state(1))
    content = bytearray(path.read_bytes())
    content[-200] ^= 4
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"epoch-00001\.step-0000000' is damaged"):
        load_checkpoint(path, built())


def test_the_last_ones_and_the_best_are_kept(tmp_path: Path) -> None:
    model = built()
    for epoch in range(1, 7):
        save_checkpoint(tmp_path, model, None, state(epoch))
    save_checkpoint(tmp_path, model, None, state(6, 10))
    assert checkpoints(tmp_path)[0].name == "epoch-00006.step-0000010"
    prune(tmp_path, 2, {checkpoint_name(3)})
    assert [path.name for path in checkpoints(tmp_path)] == [
        "epoch-00006.step-0000010",
        "epoch-00006.step-0000000",
        "epoch-00003.step-0000000",
    ]


def test_an_infinite_or_nan_loss_stops_the_fit_and_names_the_step() -> None:
    data = regression_data(960, 32)
    # Each step multiplies the distance by about 1 - 1000, until float32 ends.
    model = d2l.LinearRegressionScratch(2, lr=1000.0)
    pattern = r"the training loss became (inf|nan) at step \d+ of epoch \d+; try a smaller"
    with pytest.raises(DivergedError, match=pattern):
        d2l.Trainer(100).fit(model, data)


@pytest.mark.parametrize("callbacks", [None, 3, {"EarlyStopping": [{"best": {"array": 9}}]}])
@pytest.mark.parametrize("number", [1, -1, 99, "one", None])
def test_callbacks_of_another_form_are_refused_in_a_line(
    tmp_path: Path, callbacks: Any, number: Any
) -> None:
    model, trainer = Line(), d2l.Trainer(1, enable_progress_bar=False)
    trainer.fit(model, Loaders(points(4, 2)))
    state = {**trainer.state_dict(), "callbacks": callbacks, "num_callback_arrays": number}
    about = {"model": "Line", "optimizer": "SGD", "state": state}
    write_weights(tmp_path / "foreign", model.get_weights(), about)
    with pytest.raises(CheckpointError) as error:
        d2l.Trainer(2).fit(Line(), Loaders(points(4, 2)), tmp_path / "foreign")
    assert "\n" not in str(error.value)
