"""The base class of models: the variables that it finds, and calls of its layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


class Nested(d2l.Module):
    """Variables of every kind, in every container."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = tf.Variable(1.0, name="scale")
        self.fixed = tf.Variable(2.0, trainable=False, name="fixed")
        self.layers = [keras.layers.Dense(2), {"norm": keras.layers.BatchNormalization()}]
        self.inner = d2l.LinearRegressionScratch(2, lr=0.1)
        self.tied = (self.scale, self.inner)

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        H = self.layers[1]["norm"](self.layers[0](X))
        return self.scale * self.inner(H)


def names(variables: list[object]) -> list[str]:
    return [getattr(v, "path", None) or v.name for v in variables]  # type: ignore[attr-defined]


def test_variables_of_tensorflow_and_keras_are_found_once_and_in_order() -> None:
    model = Nested()
    assert names(model.variables) == ["scale:0", "fixed:0", "w:0", "b:0"]
    model(tf.ones((1, 3)))
    assert [name.split("/")[-1] for name in names(model.trainable_variables)] == [
        "scale:0", "kernel", "bias", "gamma", "beta", "w:0", "b:0",
    ]  # fmt: skip
    assert [name.split("/")[-1] for name in names(model.non_trainable_variables)] == [
        "fixed:0", "moving_mean", "moving_variance",
    ]  # fmt: skip
    assert model.parameters() == model.trainable_variables


def test_a_tensorflow_variable_in_a_custom_keras_layer_is_found() -> None:
    class Shift(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
        def __init__(self) -> None:
            super().__init__()
            self.by = tf.Variable(1.0, name="by")

        def call(self, X: tf.Tensor) -> tf.Tensor:
            return X + self.by

    class Shifted(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Sequential([Shift()])

    assert names(Shifted().trainable_variables) == ["by:0"]


def test_built_is_false_while_layers_wait_for_an_input() -> None:
    waiting, called = Nested(), Nested()
    called(tf.ones((1, 3)))
    assert not waiting.built
    assert called.built
    assert d2l.MLPScratch(4, 3, 2, lr=0.1).built


def test_weights_can_be_read_and_set_and_wrong_shapes_change_nothing() -> None:
    one, other = d2l.MLPScratch(4, 3, 2, lr=0.1), d2l.MLPScratch(4, 3, 2, lr=0.1)
    other.set_weights(one.get_weights())
    X = tf.ones((2, 4))
    np.testing.assert_array_equal(one(X), other(X))
    with pytest.raises(ValueError, match=r"need shapes .*; got \[\(9,\)\]"):
        other.set_weights([np.zeros(9)])
    np.testing.assert_array_equal(one(X), other(X))


def test_the_argument_training_applies_to_one_call_only() -> None:
    class Dropped(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Sequential([keras.Sequential([keras.layers.Dropout(0.5)])])

    model, X = Dropped(), tf.ones((100, 10))
    assert (model(X).numpy() == 1).all()
    assert (model(X, training=True).numpy() == 0).any()
    assert (model(X).numpy() == 1).all()
    assert model.training is False


def test_errors_in_forward_are_raised_unchanged() -> None:
    class Broken(d2l.Module):
        def forward(self, X: tf.Tensor) -> tf.Tensor:
            raise KeyError("mine")

    with pytest.raises(KeyError) as error:
        Broken()(tf.ones(1))
    assert error.value.args == ("mine",)
    assert Broken().training is False


@pytest.mark.parametrize("method", ["forward", "loss", "configure_optimizers"])
def test_the_error_names_the_method_that_a_model_must_define(method: str) -> None:
    arguments = {"forward": (1,), "loss": (1, 1), "configure_optimizers": ()}[method]
    with pytest.raises(NotImplementedError, match="Module has no .*define"):
        getattr(d2l.Module(), method)(*arguments)


def test_a_classifier_measures_logits() -> None:
    model = d2l.Classifier()
    Y_hat, Y = tf.constant([[0.0, 0.0], [10.0, -10.0]]), tf.constant([0, 0])
    # ln 2 for the undecided row, ln(1 + e^-20) = 2e-9 for the decided one.
    losses = model.loss(Y_hat, Y, averaged=False)
    np.testing.assert_allclose(losses, [np.log(2), 0], atol=1e-6)
    assert float(model.loss(Y_hat, Y)) == pytest.approx(np.log(2) / 2, abs=1e-6)
    assert float(model.accuracy(Y_hat, tf.constant([0, 1]))) == 0.5
    # The shapes of a sequence model: (batch, steps, classes) and (batch, steps).
    assert model.loss(tf.zeros((2, 3, 4)), tf.zeros((2, 3), tf.int32), averaged=False).shape == (6,)
