"""Section 3.5: the Keras layer, its loss without the factor 1/2, and the result of three epochs."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


def test_the_loss_is_kerass_mean_squared_error_twice_that_of_section_3_4() -> None:
    y_hat, y = tf.constant([[1.0], [4.0]]), tf.constant([[0.0], [2.0]])
    # (1 + 4) / 2
    assert float(d2l.LinearRegression(lr=0.03).loss(y_hat, y)) == 2.5
    assert float(keras.losses.MeanSquaredError()(y, y_hat)) == 2.5
    assert float(d2l.LinearRegressionScratch(1, lr=0.03).loss(y_hat, y)) == 1.25


def test_the_first_input_builds_the_layer() -> None:
    model = d2l.LinearRegression(lr=0.03)
    assert model.trainable_variables == []
    assert model(tf.ones((5, 1000))).shape == (5, 1)
    w, b = model.get_w_b()
    assert (tuple(w.shape), tuple(b.shape)) == ((1000, 1), (1,))
    # A thousand draws have a deviation of 0.01 to within 0.0002.
    assert np.std(w.numpy()) == pytest.approx(0.01, abs=0.001)


def test_the_optimizer_is_kerass_at_the_models_rate() -> None:
    optimizer = d2l.LinearRegression(lr=0.03).configure_optimizers()
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert float(optimizer.learning_rate) == pytest.approx(0.03)


@pytest.mark.parametrize("seed", range(5))
def test_three_epochs_find_the_parameters(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    data = d2l.SyntheticRegressionData(w=tf.constant([2, -3.4]), b=4.2, seed=seed)
    model = d2l.LinearRegression(lr=0.03)
    d2l.Trainer(max_epochs=3).fit(model, data)
    w, b = model.get_w_b()
    # Twice the steps of section 3.4: (1 - 0.06)^96 = 0.0026 of distances up to 4.2 is 0.011.
    np.testing.assert_allclose(w.numpy().ravel(), [2, -3.4], atol=0.03)
    np.testing.assert_allclose(b.numpy(), [4.2], atol=0.03)
