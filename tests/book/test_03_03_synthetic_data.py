"""Section 3.3: the synthetic data and its loaders."""

from __future__ import annotations

import numpy as np
import tensorflow as tf

import tfd2l as d2l


def data() -> d2l.SyntheticRegressionData:
    return d2l.SyntheticRegressionData(w=tf.constant([2, -3.4]), b=4.2)


def test_there_are_a_thousand_examples_to_train_on_and_a_thousand_to_validate() -> None:
    made = data()
    assert (made.X.shape, made.y.shape) == ((2000, 2), (2000, 1))
    assert (made.X.dtype, made.y.dtype) == (tf.float32, tf.float32)
    assert (len(made.train_dataloader()), len(made.val_dataloader())) == (32, 32)


def test_targets_are_the_model_plus_noise_of_a_hundredth() -> None:
    made = data()
    noise = made.y - (tf.matmul(made.X, tf.reshape(made.w, (-1, 1))) + made.b)
    # The deviation of 2,000 draws is 0.01 to within 0.01 / sqrt(4000) = 0.00016 at one sigma.
    assert abs(float(tf.math.reduce_std(noise)) - 0.01) < 0.0008
    assert abs(float(tf.reduce_mean(noise))) < 0.0012


def test_batches_have_32_examples_and_the_last_one_the_rest() -> None:
    X, y = next(iter(data().train_dataloader()))
    assert (X.shape, y.shape) == ((32, 2), (32, 1))
    assert [len(y) for _, y in data().train_dataloader()] == [32] * 31 + [8]


def test_training_is_reshuffled_and_validation_keeps_its_order() -> None:
    made = data()
    loader = made.train_dataloader()
    first, second = (np.concatenate([y for _, y in loader]) for _ in range(2))
    assert (first != second).any()
    np.testing.assert_array_equal(np.sort(first, axis=0), np.sort(second, axis=0))
    for _ in range(2):
        val = np.concatenate([y for _, y in made.val_dataloader()])
        np.testing.assert_array_equal(val, made.y[1000:])


def test_the_same_seed_draws_the_same_data_and_another_seed_other_data() -> None:
    same, other = data(), d2l.SyntheticRegressionData([2, -3.4], 4.2, seed=1)
    np.testing.assert_array_equal(data().X, same.X)
    assert (same.X.numpy() != other.X.numpy()).any()
