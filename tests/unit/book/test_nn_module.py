"""The book's own base class on `nn_Module`, gradients as in Keras, and the list of weights."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data


class ReadersModule(d2l.nn_Module, d2l.HyperParameters):
    """A base class of one's own, as in the book."""

    def __init__(self) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.board = d2l.ProgressBoard()
        self.training = None  # type: ignore[assignment]

    def call(self, X: Any, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
        if kwargs and "training" in kwargs:
            self.training = kwargs["training"]
        return self.forward(X, *args)

    def forward(self, X: Any) -> Any:
        return self.net(X)


class Dropping(ReadersModule):
    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable(1.0)
        self.net = keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(2)])

    def loss(self, y_hat: Any, y: Any) -> Any:
        return tf.reduce_mean((y_hat - y) ** 2)


def test_an_own_base_class_finds_its_variables_and_keeps_its_loss() -> None:
    model = Dropping()
    X = tf.ones((4, 3))
    assert model(X).shape == (4, 2)
    assert [tuple(v.shape) for v in model.trainable_variables] == [(), (3, 2), (2,)]
    assert float(model.loss(tf.ones(2), tf.zeros(2))) == 1.0


def test_the_value_of_training_reaches_the_layers() -> None:
    model = Dropping()
    X = tf.ones((64, 50))
    np.testing.assert_array_equal(model(X), model(X))
    assert not np.array_equal(model(X, training=True), model(X, training=True))
    model.training = True
    assert not np.array_equal(model(X), model(X))
    np.testing.assert_array_equal(model(X, training=False), model(X, training=False))


def test_gradients_come_from_a_tape_as_for_keras_models() -> None:
    model = d2l.MLP(num_outputs=3, num_hiddens=4, lr=0.1)
    X, y = tf.ones((2, 5)), tf.constant([0, 1])
    with tf.GradientTape() as tape:
        loss = model.loss(model(X), y)
    gradients = tape.gradient(loss, model.trainable_variables)
    assert [g.shape for g in gradients] == [v.shape for v in model.parameters()]
    assert [type(layer).__name__ for layer in model.net.layers] == ["Flatten", "Dense", "Dense"]


def test_states_of_random_generators_are_variables_but_not_weights() -> None:
    class Random(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(1)])
            self.own = keras.random.SeedGenerator(1)

    model = Random()
    model(tf.ones((1, 2)))
    assert [w.shape for w in model.get_weights()] == [(2, 1), (1,)]
    # One state for the layer and one for the generator that is an attribute.
    assert len(model.variables) == 4
    assert len(model.trainable_variables) == 2


def test_setting_weights_before_the_first_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"Call the model on a batch first"):
        d2l.MLP(10, 5, lr=0.1).set_weights([np.zeros((2, 5))])


def test_the_error_names_the_missing_call() -> None:
    with pytest.raises(NotImplementedError, match=r"nn_Module has no call\(X\)"):
        d2l.nn_Module()(1)


def test_layer_summary_prints_the_shape_behind_each_layer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    d2l.MLP(10, 5, lr=0.1).layer_summary((2, 28, 28, 1))
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [(line[0], " ".join(line[3:])) for line in lines] == [
        ("Flatten", "(2, 784)"),
        ("Dense", "(2, 5)"),
        ("Dense", "(2, 10)"),
    ]


# TensorFlow's variables copy their numbers in a way that NumPy 2 deprecates.
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_deep_copy_is_an_independent_model_with_the_same_weights() -> None:
    data = regression_data(64, 32)
    for model in (d2l.LinearRegressionScratch(2, 0.03), d2l.WeightDecay(1, 0.03)):
        d2l.Trainer(1).fit(model, data)
        best = model.get_weights()
        for copied in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
            assert copied.hparams == model.hparams
            assert not hasattr(copied, "trainer")
            d2l.Trainer(1).fit(copied, data)
            for one, same, other in zip(
                best, model.get_weights(), copied.get_weights(), strict=True
            ):
                np.testing.assert_array_equal(one, same)
                assert not np.array_equal(one, other)


def test_the_error_says_that_a_constructor_did_not_call_its_parents() -> None:
    class Forgetful(d2l.Classifier):
        def __init__(self) -> None:
            self.net = keras.layers.Dense(2)

    with pytest.raises(AttributeError, match=r"Forgetful has no .*__init__ must call super\(\)"):
        Forgetful()(tf.zeros((1, 3)))
    with pytest.raises(AttributeError, match="'MLP' object has no attribute 'trainer'"):
        d2l.MLP(2, 3, lr=0.1).trainer  # noqa: B018
