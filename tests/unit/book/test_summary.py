"""tfd2l/book/summary.py: the table of a model's parts."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

import tfd2l as d2l


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
