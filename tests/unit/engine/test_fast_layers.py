"""Layers by faster operations: the results of Keras' own."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import Loaders
from tfd2l.engine.fast_layers import fast_layers

IMAGES = np.random.default_rng(0).normal(2, 3, (6, 5, 4, 3)).astype(np.float32)
PLAIN = keras.layers.BatchNormalization
POOLING = keras.layers.AveragePooling2D


def results(layer: Any, inputs: Any, **options: Any) -> list[np.ndarray]:
    """Outputs, gradients and averages after a call in training."""
    inputs = tf.convert_to_tensor(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, training=True, **options)
        loss = tf.reduce_sum(outputs**3)
    sources = [inputs, *(variable.value for variable in layer.trainable_variables)]
    found = [outputs, *tape.gradient(loss, sources), *(v.value for v in layer.variables)]
    return [np.asarray(each) for each in found]


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1, "momentum": 0.5}], ids=str)
@pytest.mark.parametrize("inputs", [IMAGES, IMAGES[:1, :1, :1]], ids=["images", "one pixel"])
def test_the_fused_layer_computes_what_keras_does(inputs: Any, options: dict[str, Any]) -> None:
    ours, kerass = PLAIN(**options), PLAIN(**options)
    for layer in (ours, kerass):
        layer.build(inputs.shape)
        layer.gamma.assign([1.0, 0.5, -2.0])
        layer.beta.assign([0.0, 3.0, 1.0])
    expected = results(kerass, inputs)
    with fast_layers([ours]):
        found = results(ours, inputs)
    # Sums over 120 pixels in another order.
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    assert "call" not in vars(ours)


def fused_operations(layer: Any, inputs: Any, training: bool = True, **options: Any) -> int:
    """The number of fused operations in the graph of a call."""
    layer.build(inputs.shape)
    with fast_layers([layer]):
        function = tf.function(lambda X: layer(X, training=training, **options))
        graph = function.get_concrete_function(tf.convert_to_tensor(inputs)).graph
    return sum(operation.type == "FusedBatchNormV3" for operation in graph.get_operations())


@pytest.mark.parametrize("size", [(5, 2), (1, 4), (5, 4), 1], ids=str)
@pytest.mark.parametrize("padding", ["valid", "same"])
def test_fast_pooling_computes_what_keras_does(size: Any, padding: str) -> None:
    layer = POOLING(size, padding=padding)
    expected = results(layer, IMAGES)
    with fast_layers([layer]):
        assert gradient_operations(layer) == 0
        found = results(layer, IMAGES)
    # Shares of windows of ten or twenty pixels may round otherwise, in the last bits of float32.
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize(
    "layer",
    [
        POOLING(2),  # leaves a row over
        POOLING(2, padding="same"),
        POOLING((5, 2), strides=1),
        POOLING((1, 3), data_format="channels_first"),
        POOLING((5, 2), dtype="float64"),
        type("Own", (POOLING,), {})((5, 2)),
    ],
    ids=str,
)
def test_windows_that_do_not_tile_an_image_take_keras_way(layer: Any) -> None:
    with fast_layers([layer]):
        assert gradient_operations(layer) == 1


def gradient_operations(layer: Any) -> int:
    """The number of TensorFlow's gradients of pooling in the graph of a layer's gradient."""

    def gradient(X: Any) -> Any:
        with tf.GradientTape() as tape:
            tape.watch(X)
            total = tf.reduce_sum(layer(X))
        return tape.gradient(total, X)

    graph = tf.function(gradient).get_concrete_function(tf.constant(IMAGES)).graph
    return sum(operation.type == "AvgPoolGrad" for operation in graph.get_operations())


class Own(keras.layers.BatchNormalization):  # type: ignore[misc]  # Keras has no types
    """A reader's subclass."""


def test_other_layers_and_inputs_take_keras_way() -> None:
    assert fused_operations(PLAIN(), IMAGES) == 1
    assert fused_operations(PLAIN(), IMAGES, training=False) == 0
    assert fused_operations(PLAIN(), IMAGES, mask=tf.ones((6, 5, 4), tf.bool)) == 0
    assert fused_operations(PLAIN(), IMAGES[0, 0]) == 0
    assert fused_operations(PLAIN(trainable=False), IMAGES) == 0
    for other in (Own(), PLAIN(axis=1), PLAIN(scale=False), PLAIN(dtype="mixed_bfloat16")):
        assert fused_operations(other, IMAGES) == 0


class Net(d2l.Classifier):
    """A convolution, a normalization, a pooling and a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.lr = 0.05
        self.net = keras.Sequential(
            [
                keras.layers.Conv2D(2, 3, padding="same"),
                PLAIN(),
                POOLING((5, 2)),
                keras.layers.Flatten(),
                keras.layers.Dense(3),
            ]
        )


def test_a_fit_equals_that_of_keras() -> None:
    y = np.arange(6, dtype=np.int32) % 3
    keras.utils.set_random_seed(0)
    model = Net()
    trainer = d2l.Trainer(3, run_eagerly=False, enable_progress_bar=False)
    history = trainer.fit(model, Loaders([(IMAGES[:4], y[:4]), (IMAGES[4:], y[4:])]))
    keras.utils.set_random_seed(0)
    net = Net().net
    net.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    net.optimizer.learning_rate = 0.05
    fit = net.fit(IMAGES, y, batch_size=4, epochs=3, shuffle=False, verbose=0)
    assert history["train_loss"] == pytest.approx(fit.history["loss"], rel=1e-4)
    for found, expected in zip(model.net.variables, net.variables, strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-3, atol=1e-4)
