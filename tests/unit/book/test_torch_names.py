"""tfd2l/book/torch_names.py: train and eval, and parameters by name, as in PyTorch."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.engine.variable_names import named_variables


class Pair(keras.layers.Layer):  # type: ignore[misc]  # Keras has no types
    """Two layers as attributes, one of them private, and a variable."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self._right = keras.layers.Dense(1), keras.layers.Dense(1)
        self.by = tf.Variable(1.0)

    def call(self, X: Any) -> Any:
        return self.left(X) + self._right(X) * self.by


class Mixed(d2l.Module):
    """Variables of every kind, one of them twice."""

    def __init__(self, net: Any = None) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.W = tf.Variable([1.0, 2.0])
        self.tied = self.W
        self.blocks = [keras.layers.BatchNormalization(), {"pair": Pair()}]
        self.inner = d2l.LinearRegressionScratch(2, lr=0.1)

    def forward(self, X: Any) -> Any:
        return self.blocks[1]["pair"](self.blocks[0](self.net(X)))


def mixed() -> Mixed:
    model = Mixed(keras.Sequential([keras.layers.Dropout(0.5), keras.layers.Dense(3)]))
    model(tf.ones((1, 2)))
    return model


def test_train_and_eval_reach_the_layers_and_return_the_model() -> None:
    class Dropped(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.net = keras.layers.Dropout(0.5)

    model, X = Dropped(), tf.ones((8, 50))
    assert (model.train()(X).numpy() == 0).any()
    assert model.training
    assert (model.eval()(X).numpy() == 1).all()
    assert not model.train(False).training


def test_names_are_the_paths_of_attributes_and_the_same_for_each_object() -> None:
    one, other = mixed(), mixed()
    names = [name for name, _ in one.named_parameters()]
    assert sorted(names) == sorted(
        [
            "net.1.kernel", "net.1.bias", "W", "blocks.0.gamma", "blocks.0.beta",
            "blocks.1.pair.left.kernel", "blocks.1.pair.left.bias", "blocks.1.pair.kernel",
            "blocks.1.pair.bias", "blocks.1.pair.by", "inner.w", "inner.b",
        ]
    )  # fmt: skip
    assert [name for name, _ in other.named_parameters()] == names
    assert [v for _, v in one.named_parameters()] == one.trainable_variables
    # Every variable has a name, those of random generators too.
    assert len(named_variables(one)) == len(one.variables)


def test_a_state_moves_all_weights_to_another_model() -> None:
    one, other = mixed(), mixed()
    state = one.state_dict()
    assert {"blocks.0.moving_mean", "net.1.kernel"} <= {*state}
    other.load_state_dict(state)
    for mine, theirs in zip(one.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    # Copies: a later change of the model leaves them as they are.
    one.W.assign([5.0, 5.0])
    assert state["W"].tolist() == [1.0, 2.0]


def test_a_state_of_another_model_changes_nothing() -> None:
    model = mixed()
    state = {**model.state_dict(), "W": np.zeros(3), "extra": np.zeros(1)}
    del state["inner.b"]
    with pytest.raises(ValueError, match=r"it differs in W, extra, inner\.b\."):
        model.load_state_dict(state)
    assert model.W.numpy().tolist() == [1.0, 2.0]


def test_values_that_are_no_numbers_change_nothing() -> None:
    model = mixed()
    before = model.get_weights()
    state = {**model.state_dict(), "W": np.array(["a", "b"]), "net.1.bias": np.ones(3)}
    weights = [np.array(["a", "b"]) if w.shape == (2,) else w + 1 for w in before]
    with pytest.raises(ValueError, match="weights must be arrays of numbers; could not convert"):
        model.load_state_dict(state)
    with pytest.raises(ValueError, match="weights must be arrays of numbers"):
        model.set_weights(weights)
    for one, other in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    with pytest.raises(TypeError, match=r"as state_dict\(\) returns; got None\. load_weights"):
        model.load_state_dict(None)  # type: ignore[arg-type]


def test_a_loop_as_the_books_pytorch_code_has_it_fits_as_the_trainer_does() -> None:
    class Loop(d2l.Trainer):
        def fit_epoch(self) -> None:
            self.model.train()
            for batch in self.train_dataloader:
                with tf.GradientTape() as tape:
                    loss = self.model.training_step(self.prepare_batch(batch))
                variables = self.model.parameters()
                gradients = tape.gradient(loss, variables)
                self.optim.apply_gradients(zip(gradients, variables, strict=True))
                self.train_batch_idx += 1
            self.model.eval()
            for batch in self.val_dataloader:
                self.model.validation_step(self.prepare_batch(batch))
                self.val_batch_idx += 1

    losses = []
    for trainer in (Loop(2), d2l.Trainer(2)):
        tf.random.set_seed(0)
        model = d2l.LinearRegressionScratch(2, lr=0.03)
        losses.append(trainer.fit(model, regression_data(8, 8, batch_size=8))["val_loss"])
    # One batch an epoch, so that its order does not matter. Float32 sums, compiled and not.
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
