"""The changes that docs/chapters_6_to_8.md lists: each is needed on Keras 3, and each works."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

Dense = tf.keras.layers.Dense
Sequential = tf.keras.Sequential


class Halving(tf.keras.layers.Layer):  # type: ignore[misc]  # Keras has no types here
    """Loops in Python on the values of its inputs, as `FixedHiddenMLP` does in section 6.1."""

    def call(self, X: tf.Tensor) -> tf.Tensor:
        while tf.reduce_sum(tf.abs(X)) > 1:
            X /= 2
        return tf.reduce_sum(X)


class Chain(tf.keras.Model):  # type: ignore[misc]
    """Calls layers one after the other, as `MySequential` does."""

    def __init__(self, *parts: Any) -> None:
        super().__init__()
        self.parts = parts

    def call(self, X: tf.Tensor) -> tf.Tensor:
        for part in self.parts:
            X = part(X)
        return X


def test_6_1_a_python_loop_on_values_needs_data() -> None:
    X = tf.ones((2, 5))
    with pytest.raises(Exception, match="Could not automatically infer the output shape"):
        Sequential([Dense(3), Halving()])(X)
    assert abs(float(Chain(Dense(3), Halving())(X))) <= 1


# Keras' own use of NumPy 2.
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_6_6_weights_have_an_ending_and_need_variables(tmp_path: Path) -> None:
    X, net, clone = tf.ones((2, 5)), Chain(Dense(4), Dense(3)), Chain(Dense(4), Dense(3))
    Y = net(X)
    with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`"):
        net.save_weights(tmp_path / "mlp.params")
    net.save_weights(tmp_path / "mlp.weights.h5")
    with pytest.raises(ValueError, match="not yet been built"):
        clone.load_weights(tmp_path / "mlp.weights.h5")
    clone(X)
    clone.load_weights(tmp_path / "mlp.weights.h5")
    np.testing.assert_array_equal(clone(X), Y)


def test_6_7_a_variables_value_has_the_device() -> None:
    net = Sequential([Dense(1)])
    net(tf.ones((2, 5)))
    for variable in net.layers[0].weights:
        assert not hasattr(variable, "device")
        assert variable.value.device.endswith("CPU:0")


def test_7_2_a_tape_watches_a_variables_value() -> None:
    layer = Dense(1, use_bias=False)
    layer(tf.ones((2, 3)))
    with tf.GradientTape(watch_accessed_variables=False) as tape:
        with pytest.raises(ValueError, match="not tf.Tensor or tf.Variable"):
            tape.watch(layer.weights[0])
        tape.watch(layer.weights[0].value)
        y = layer(tf.ones((2, 3)))
    np.testing.assert_array_equal(tape.gradient(y, layer.weights[0].value), np.full((3, 1), 2.0))


def average_layer(call: Callable[..., Any]) -> type:
    """A layer with a moving average of its inputs, and this `call`."""

    def build(self: Any, shape: Any) -> None:
        self.average = self.add_weight(
            name="average", shape=[shape[-1]], initializer=tf.initializers.zeros, trainable=False
        )

    return type("Average", (tf.keras.layers.Layer,), {"build": build, "call": call})


def test_8_5_training_has_a_default_and_assign_is_all() -> None:
    def required(self: Any, inputs: Any, training: Any) -> Any:
        return inputs

    def adding(self: Any, inputs: Any, training: Any = None) -> Any:
        self.add_update(self.average.assign(tf.reduce_mean(inputs, axis=0)))
        return inputs

    @tf.function  # type: ignore[untyped-decorator]
    def changed(self: Any, inputs: Any, training: Any = None) -> Any:
        if training:
            self.average.assign(tf.reduce_mean(inputs, axis=0))
        return inputs - self.average

    X = tf.constant([[1.0, 2.0], [3.0, 6.0]])
    with pytest.raises(ValueError, match="only have a single required positional argument"):
        Sequential([average_layer(required)()])(X)
    with pytest.raises(AttributeError, match="no attribute 'add_update'"):
        average_layer(adding)()(X)
    net = Sequential([average_layer(changed)()])
    np.testing.assert_array_equal(net(X, training=True), [[-1, -2], [1, 2]])
    np.testing.assert_array_equal(net.layers[0].average, [2, 4])


def test_8_6_to_8_8_sequential_takes_a_list() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        Sequential(Sequential([Dense(3)]))
    assert Sequential([Sequential([Dense(3)])])(tf.ones((2, 5))).shape == (2, 3)


def test_8_7_a_list_of_layers_is_a_list() -> None:
    chain = Chain(Dense(4), Dense(3))
    chain.listed = [*chain.parts]
    assert not hasattr(chain.listed, "layers")
    assert [layer.units for layer in chain.listed] == [4, 3]


def test_8_8_the_block_of_this_package_takes_the_number_of_groups() -> None:
    block = d2l.ResNeXtBlock(32, 16, 1)
    assert block(tf.ones((1, 8, 8, 32))).shape == (1, 8, 8, 32)
    [grouped] = [layer.groups for layer in block.layers if getattr(layer, "groups", 1) > 1]
    assert grouped == 16
