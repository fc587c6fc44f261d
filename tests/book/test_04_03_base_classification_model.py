"""Section 4.3: the base of all classifiers."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

# The highest scores are at 2, 0, 1 and 1; the last label disagrees.
Y_HAT = tf.constant([[0.1, 0.3, 0.6], [5.0, -2.0, 0.5], [0.2, 0.7, 0.1], [1.0, 3.0, 2.0]])
Y = tf.constant([2, 0, 1, 2])


class ReadersClassifier(d2l.Module):
    """The book's class, as a reader types it."""

    def validation_step(self, batch: Any) -> None:
        Y_hat = self(*batch[:-1])
        self.plot("loss", self.loss(Y_hat, batch[-1]), train=False)
        self.plot("acc", self.accuracy(Y_hat, batch[-1]), train=False)

    def accuracy(self, Y_hat: Any, Y: Any, averaged: bool = True) -> Any:
        Y_hat = tf.reshape(Y_hat, (-1, Y_hat.shape[-1]))
        preds = tf.cast(tf.argmax(Y_hat, axis=1), Y.dtype)
        compare = tf.cast(preds == tf.reshape(Y, (-1,)), tf.float32)
        return tf.reduce_mean(compare) if averaged else compare


@pytest.mark.parametrize("cls", [d2l.Classifier, ReadersClassifier])
def test_accuracy_is_the_share_of_hits(cls: type[Any]) -> None:
    assert float(cls().accuracy(Y_HAT, Y)) == 0.75
    np.testing.assert_array_equal(cls().accuracy(Y_HAT, Y, averaged=False), [1, 1, 1, 0])


@pytest.mark.parametrize("cls", [d2l.Classifier, ReadersClassifier])
def test_scores_of_higher_rank_count_position_by_position(cls: type[Any]) -> None:
    # As a model of sequences gives them: two sequences of two positions.
    Y_hat, targets = tf.reshape(Y_HAT, (2, 2, 3)), tf.reshape(Y, (2, 2))
    assert float(cls().accuracy(Y_hat, targets)) == 0.75


def test_predictions_must_be_cast_before_they_are_compared() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="int64 tensor but is a int32"):
        _ = tf.argmax(Y_HAT, axis=1) == Y


def test_accuracy_has_no_gradient() -> None:
    scores = tf.Variable(Y_HAT)
    with tf.GradientTape() as tape:
        share = d2l.Classifier().accuracy(scores, Y)
    assert tape.gradient(share, scores) is None


def test_the_optimizer_is_plain_sgd_at_the_models_rate() -> None:
    model = d2l.SoftmaxRegression(num_outputs=3, lr=0.5)
    optimizer = model.configure_optimizers()
    assert isinstance(optimizer, keras.optimizers.SGD)
    weight = tf.Variable([1.0, 2.0])
    optimizer.apply_gradients([(tf.constant([2.0, -4.0]), weight)])
    # 1 - 0.5 * 2 and 2 - 0.5 * (-4): no momentum, no decay.
    np.testing.assert_array_equal(weight, [0.0, 4.0])


class Given(d2l.DataModule):
    """The given examples in batches of 4."""

    def __init__(self, X: np.ndarray, y: np.ndarray) -> None:
        super().__init__()
        self.X, self.y, self.batch_size = X, y, 4

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        return self.get_tensorloader((self.X, self.y), train)


@pytest.mark.parametrize("run_eagerly", [False, True])
def test_validation_draws_the_exact_loss_and_accuracy_of_all_examples(run_eagerly: bool) -> None:
    rng = np.random.default_rng(0)
    # 4 + 4 + 2: the last batch is smaller, so a plain mean over batches would be another number.
    X, y = rng.normal(size=(10, 5)).astype(np.float32), rng.integers(0, 3, 10).astype(np.int32)
    model = d2l.SoftmaxRegression(num_outputs=3, lr=0.1)
    history = d2l.Trainer(max_epochs=1, run_eagerly=run_eagerly).fit(model, Given(X, y))

    scores = model(tf.constant(X)).numpy().astype(np.float64)
    losses = np.log(np.exp(scores).sum(axis=1)) - scores[range(10), y]
    # Ten float32 losses of about 1.
    assert history["val_loss"] == pytest.approx([losses.mean()], abs=1e-6)
    # Thirds and tenths are not float32 numbers.
    assert history["val_acc"] == pytest.approx([(scores.argmax(axis=1) == y).mean()], abs=1e-6)
    assert list(model.board.data) == ["train_loss", "val_loss", "val_acc"]
