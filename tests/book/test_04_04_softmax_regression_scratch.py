"""Section 4.4: softmax regression from scratch, assembled as a reader does it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from tfd2l.book.data_modules import labelled_images as data_file


def softmax(X: Any) -> Any:
    X_exp = tf.exp(X)
    partition = tf.reduce_sum(X_exp, 1, keepdims=True)
    return X_exp / partition


def cross_entropy(y_hat: Any, y: Any) -> Any:
    return -tf.reduce_mean(tf.math.log(tf.gather(y_hat, y, batch_dims=1)))


@pytest.fixture
def readers_model() -> d2l.Classifier:
    """The class of the notebook, its methods added one by one."""

    class SoftmaxRegressionScratch(d2l.Classifier):
        lr: float

        def __init__(self, num_inputs: int, num_outputs: int, lr: float, sigma: float = 0.01):
            super().__init__()
            self.save_hyperparameters()
            self.W = tf.Variable(tf.random.normal((num_inputs, num_outputs), 0, sigma))
            self.b = tf.Variable(tf.zeros(num_outputs))

    @d2l.add_to_class(SoftmaxRegressionScratch)
    def forward(self: Any, X: Any) -> Any:
        X = tf.reshape(X, (-1, self.W.shape[0]))
        return softmax(tf.matmul(X, self.W) + self.b)

    @d2l.add_to_class(SoftmaxRegressionScratch)
    def loss(self: Any, y_hat: Any, y: Any) -> Any:
        return cross_entropy(y_hat, y)

    return SoftmaxRegressionScratch(num_inputs=784, num_outputs=10, lr=0.1)


def test_sums_with_keepdims_keep_their_axis() -> None:
    X = tf.constant([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    np.testing.assert_array_equal(tf.reduce_sum(X, 0, keepdims=True), [[5, 7, 9]])
    np.testing.assert_array_equal(tf.reduce_sum(X, 1, keepdims=True), [[6], [15]])


def test_softmax_of_random_numbers_has_rows_that_sum_to_one() -> None:
    X = tf.random.uniform((2, 5))
    X_prob = softmax(X).numpy()
    assert (X_prob > 0).all()
    # Five float32 terms, each rounded to 6e-8 of its size.
    np.testing.assert_allclose(X_prob.sum(axis=1), [1, 1], atol=1e-6)
    # The library's subtracts the maximum first, which rounds differently.
    np.testing.assert_allclose(d2l.softmax(X), X_prob, atol=1e-6)


def test_a_tensor_is_not_indexed_by_two_lists() -> None:
    y, y_hat = tf.constant([0, 2]), tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    with pytest.raises(TypeError, match="Only integers, slices"):
        y_hat[[0, 1], y]


def test_gather_picks_the_probabilities_of_the_true_classes() -> None:
    y, y_hat = tf.constant([0, 2]), tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    picked = tf.gather(y_hat, y, batch_dims=1)
    np.testing.assert_array_equal(picked, np.array([0.1, 0.5], np.float32))


@pytest.mark.parametrize("function", [cross_entropy, d2l.cross_entropy])
def test_the_books_example_has_the_loss_1_4979(function: Any) -> None:
    y, y_hat = tf.constant([0, 2]), tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
    # Printed to four places; (ln 10 + ln 2) / 2.
    assert round(float(function(y_hat, y)), 4) == 1.4979


def test_an_image_of_28_by_28_is_a_vector_of_784(readers_model: Any) -> None:
    assert [tuple(v.shape) for v in readers_model.trainable_variables] == [(784, 10), (10,)]
    # W starts from a normal of deviation 0.01; of 7840 draws it is known to 0.8 %, times 4.
    assert np.std(readers_model.W) == pytest.approx(0.01, rel=0.04)
    np.testing.assert_array_equal(readers_model.b, np.zeros(10))
    probabilities = readers_model(tf.random.uniform((256, 28, 28, 1))).numpy()
    assert probabilities.shape == (256, 10)
    # Ten float32 terms, each rounded to 6e-8 of its size.
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)


def test_the_notebooks_model_computes_the_same_as_the_librarys(readers_model: Any) -> None:
    ours = d2l.SoftmaxRegressionScratch(num_inputs=784, num_outputs=10, lr=0.1)
    ours.set_weights(readers_model.get_weights())
    X, y = tf.random.uniform((32, 28, 28, 1)), tf.range(32) % 10
    # One exponential is shifted by the maximum, the other isn't: a few roundings of numbers < 1.
    np.testing.assert_allclose(ours(X), readers_model(X), atol=1e-6)
    # The same of a mean of logarithms of about 2.3.
    theirs = float(readers_model.loss(readers_model(X), y))
    assert float(ours.loss(ours(X), y)) == pytest.approx(theirs, abs=1e-5)


def test_mistakes_are_picked_and_drawn_with_both_labels(
    fashion: fashion_mnist.Arrays, readers_model: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        data_file, "show_images", lambda *args, **kw: drawn.append(d2l.show_images(*args, **kw))
    )
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    X, y = next(iter(data.val_dataloader()))
    preds = tf.argmax(readers_model(X), axis=1)
    assert preds.shape == (256,)

    wrong = tf.cast(preds, y.dtype) != y
    X, y, preds = (tf.boolean_mask(values, wrong) for values in (X, y, preds))
    labels = [
        a + "\n" + b for a, b in zip(data.text_labels(y), data.text_labels(preds), strict=True)
    ]
    data.visualize([X, y], labels=labels)

    [grid] = drawn
    assert [axes.get_title() for axes in grid] == labels[:8]
    for axes in grid:
        true, predicted = axes.get_title().split("\n")
        assert true != predicted
    for axes, image in zip(grid, X.numpy(), strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image[:, :, 0])


@pytest.mark.slow
def test_ten_epochs_at_batch_256_reach_the_books_accuracy(
    fashion: fashion_mnist.Arrays, readers_model: Any
) -> None:
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    history = d2l.Trainer(max_epochs=10, run_eagerly=False).fit(readers_model, data)
    assert [len(column) for column in history.values()] == [10] * 5
    # Measured over seeds 0 to 4: 0.447 to 0.448, and 0.824 to 0.834.
    assert history["train_loss"][-1] == pytest.approx(0.4475, abs=0.005)
    assert history["val_acc"][-1] > 0.81
    # An untrained model's loss is ln 10 = 2.3; no epoch's mean is near it, and they fall.
    losses = history["train_loss"]
    assert losses[0] < 0.85
    assert losses == sorted(losses, reverse=True)
