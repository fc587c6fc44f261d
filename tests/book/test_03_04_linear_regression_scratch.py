"""Section 3.4: the scratch model, its optimizer, and the result of three epochs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


def test_the_weights_are_a_column_of_small_numbers_and_the_bias_is_zero() -> None:
    model = d2l.LinearRegressionScratch(1000, lr=0.03, sigma=0.01)
    assert (model.w.shape, model.b.shape) == ((1000, 1), (1,))
    # A thousand draws have a deviation of 0.01 to within 0.01 / sqrt(2000) = 0.0002.
    assert np.std(model.w) == pytest.approx(0.01, abs=0.001)
    np.testing.assert_array_equal(model.b, [0])


def test_sigma_is_the_deviation_of_the_weights() -> None:
    model = d2l.LinearRegressionScratch(1000, lr=0.03, sigma=2.0)
    assert np.std(model.w) == pytest.approx(2.0, abs=0.2)


def test_the_loss_is_half_the_mean_squared_error() -> None:
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    # (0 + 9 / 2) / 2
    assert float(model.loss(tf.constant([[1.0], [5.0]]), tf.constant([[1.0], [2.0]]))) == 2.25


def test_a_step_by_hand() -> None:
    model = d2l.LinearRegressionScratch(2, lr=0.1)
    model.w.assign(tf.zeros((2, 1)))
    X, y = tf.constant([[1.0, 0.0], [0.0, 1.0]]), tf.constant([[2.0], [4.0]])
    with tf.GradientTape() as tape:
        loss = model.loss(model(X), y)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, variables)
    model.configure_optimizers().apply_gradients(zip(gradients, variables, strict=True))
    # Errors -2 and -4; means over two examples: -1 and -2 in w, -3 in b.
    np.testing.assert_allclose(model.w, [[0.1], [0.2]], rtol=1e-6)
    np.testing.assert_allclose(model.b, [0.3], rtol=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_after_three_epochs_the_error_is_as_small_as_theory_says(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    data = d2l.SyntheticRegressionData(w=tf.constant([2, -3.4]), b=4.2, seed=seed)
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    d2l.Trainer(max_epochs=3).fit(model, data)
    w_error = data.w - tf.reshape(model.w, data.w.shape)
    b_error = data.b - model.b
    # 96 steps keep (1 - 0.03)^96 = 0.054 of the distance: 0.11, 0.18 and 0.23, as the source's
    # 0.0969, -0.1792 and 0.2222. The examples' own spread makes half of that again.
    np.testing.assert_allclose(w_error, [0.107, -0.183], atol=0.09)
    np.testing.assert_allclose(b_error, [0.226], atol=0.09)


def test_steps_get_the_batch_from_prepare_batch() -> None:
    class Doubling(d2l.Trainer):
        def prepare_batch(self, batch: tuple[tf.Tensor, ...]) -> tuple[tf.Tensor, ...]:
            X, y = batch
            return X, 2 * y

    data = d2l.SyntheticRegressionData([1.0], 3.0, noise=0.0)
    model = d2l.LinearRegressionScratch(1, lr=0.1)
    Doubling(max_epochs=5).fit(model, data)
    np.testing.assert_allclose(model.b, [6], atol=1e-3)


def test_clipping_keeps_the_first_steps_short() -> None:
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2)
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    before = np.concatenate([model.w.numpy().ravel(), model.b.numpy()])
    d2l.Trainer(max_epochs=1, gradient_clip_val=0.5).fit(model, data)
    after = np.concatenate([model.w.numpy().ravel(), model.b.numpy()])
    # 32 steps of at most 0.03 * 0.5; unclipped they are longer, about 3 in total.
    assert 0 < np.linalg.norm(after - before) <= 32 * 0.015 + 1e-6
