"""Section 4.5: softmax regression from Keras' layers, and the loss from logits."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist


def test_the_variables_are_made_by_the_first_input() -> None:
    model = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
    assert model.trainable_variables == []
    logits = model(tf.zeros((3, 28, 28, 1)))
    assert logits.shape == (3, 10)
    assert [tuple(v.shape) for v in model.trainable_variables] == [(784, 10), (10,)]


def test_the_outputs_are_logits() -> None:
    model = d2l.SoftmaxRegression(num_outputs=2, lr=0.1)
    model(tf.zeros((1, 2)))
    model.set_weights([np.array([[1.0, -2.0], [3.0, 0.5]]), np.array([0.5, -1.0])])
    # (1, 2) W + b = (1 + 6 + 0.5, -2 + 1 - 1); exact in float32.
    np.testing.assert_array_equal(model(tf.constant([[1.0, 2.0]])), [[7.5, -2.0]])


def test_the_loss_from_logits_is_right_where_softmax_and_logarithm_overflow() -> None:
    logits, y = tf.Variable([[0.0, 200.0]]), tf.constant([0])
    with tf.GradientTape(persistent=True) as tape:
        in_two_steps = d2l.cross_entropy(d2l.softmax(logits), y)
        from_logits = d2l.Classifier().loss(logits, y)
    assert np.isinf(in_two_steps)
    assert np.isnan(tape.gradient(in_two_steps, logits)).all()
    # log(exp(0) + exp(200)) - 0 = 200, and softmax - one-hot = (0 - 1, 1 - 0).
    assert float(from_logits) == 200
    np.testing.assert_array_equal(tape.gradient(from_logits, logits), [[-1, 1]])


def test_log_sum_exp_gives_the_logarithm_of_the_softmax() -> None:
    o = np.random.default_rng(0).normal(scale=3, size=(20, 5))
    shifted = o - o.max(axis=1, keepdims=True)
    log_y_hat = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    y = np.arange(20) % 5
    losses = d2l.cross_entropy_from_logits(tf.constant(o, tf.float32), tf.constant(y))
    # Logits up to 10 in float32 are known to 5e-7.
    np.testing.assert_allclose(losses, -log_y_hat[range(20), y], atol=2e-6)


def test_the_loss_of_each_example_is_available() -> None:
    losses = d2l.Classifier().loss(tf.zeros((3, 10)), tf.constant([0, 5, 9]), averaged=False)
    np.testing.assert_allclose(losses, [2.302585] * 3, atol=1e-6)  # ln 10 in float32


def test_one_epoch_from_the_same_weights_is_that_of_the_scratch_model(
    fashion: fashion_mnist.Arrays,
) -> None:
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    scratch = d2l.SoftmaxRegressionScratch(num_inputs=784, num_outputs=10, lr=0.1)
    concise = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
    concise(tf.zeros((1, 28, 28, 1)))
    concise.set_weights(scratch.get_weights())
    histories = [d2l.Trainer(max_epochs=1).fit(model, data) for model in (scratch, concise)]
    # 235 steps, whose roundings of 1e-8 or so in the weights do not grow.
    for ours, theirs in zip(scratch.get_weights(), concise.get_weights(), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert histories[0]["val_loss"] == pytest.approx(histories[1]["val_loss"], abs=1e-4)


@pytest.mark.slow
def test_ten_epochs_at_batch_256_reach_the_books_accuracy(fashion: fashion_mnist.Arrays) -> None:
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    model = d2l.SoftmaxRegression(num_outputs=10, lr=0.1)
    history = d2l.Trainer(max_epochs=10).fit(model, data)
    # Measured over seeds 0 to 4: 0.448 to 0.450, and 0.824 to 0.834.
    assert history["train_loss"][-1] == pytest.approx(0.449, abs=0.005)
    assert history["val_acc"][-1] > 0.81
