"""tfd2l/book/summary.py: the table of a model's parts."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data


class Mixed(d2l.Module):
    def __init__(self) -> None:
        super().__init__()
        self.W = tf.Variable(tf.zeros((3, 4)))
        self.blocks = [keras.layers.Dense(2), keras.layers.Dense(5)]
        self.net = keras.Sequential([keras.layers.BatchNormalization()])


def test_each_part_has_a_line_and_the_sums_are_right(capsys: pytest.CaptureFixture[str]) -> None:
    model = Mixed()
    model.blocks[0](tf.zeros((1, 4)))
    model.net(tf.zeros((1, 2)))
    model.summary()
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["W", "variable", "(3,", "4)", "12"] in lines
    assert ["blocks[0]", "Dense", "(1,", "2)", "10"] in lines or [
        "blocks[0]", "Dense", "10"] in lines  # fmt: skip
    assert ["blocks[1]", "Dense", "not", "built", "yet"] in lines
    # 12 + 4 * 2 + 2; batch normalization has two rows of 2 trainable numbers and two of others.
    assert " ".join(lines[-1]) == "30 parameters: 26 trainable, 4 not"


def test_the_text_goes_to_the_given_function() -> None:
    said: list[str] = []
    d2l.SoftmaxRegressionScratch(784, 10, lr=0.1).summary(print_fn=said.append)
    assert said[0].startswith("SoftmaxRegressionScratch\n")
    assert said[0].endswith("7,850 parameters: 7,850 trainable, 0 not")


def test_a_repr_names_arguments_parameters_epochs_and_parts() -> None:
    model = d2l.LinearRegression(lr=0.03)
    assert repr(model).splitlines() == [
        "LinearRegression(lr=0.03)", "  no parameters before the first batch, no fit yet",
        "  net: Dense",
    ]  # fmt: skip
    assert not model.net.built
    d2l.Trainer(2).fit(model, regression_data(8, 4))
    assert repr(model).splitlines()[1] == "  3 parameters, fitted for 2 epochs"


def test_a_repr_is_short_whatever_the_model_holds() -> None:
    class Many(Mixed):
        def __init__(self, table: object, **others: object) -> None:
            super().__init__()
            self.save_hyperparameters()
            self.open = tf.Variable(1.0, shape=tf.TensorShape(None))
            self.steps = [d2l.nn_Module() for _ in range(30)]
            for number in range(20):
                setattr(self, f"v{number}", tf.Variable(1.0))

    lines = repr(Many(table=list(range(1000)))).splitlines()
    assert lines[0] == "Many(table=[0, 1, 2, 3, 4, 5, ...])"
    assert lines[1] == "  33 parameters so far before the first batch, no fit yet"
    assert lines[2:5] == [
        "  W: variable (3, 4)", "  blocks: [Dense, Dense]", "  net: Sequential(BatchNormalization)"
    ]  # fmt: skip
    assert "  open: variable of any shape" in lines
    assert len(lines) == 14
    assert lines[-1] == "  ... and 14 more parts"
    assert max(map(len, lines)) < 200


def test_a_repr_of_a_half_made_model_does_not_fail() -> None:
    class Forgetful(d2l.Classifier):
        def __init__(self) -> None:
            self.net = keras.layers.Dense(2)

    assert (
        repr(Forgetful())
        == "Forgetful()\n  super().__init__() not called, no fit yet\n  net: Dense"
    )
