"""Section 5.4: gradients that vanish or explode, symmetry, and the variances that weights keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched

initializers = keras.initializers
N_IN, N_OUT = 784, 256


def gradient_of(function: Callable[..., tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


def test_the_slope_of_the_sigmoid_is_a_quarter_at_most_and_vanishes_on_both_sides() -> None:
    x = tf.range(-8.0, 8.0, 0.1)
    slopes = gradient_of(tf.sigmoid, x).numpy()
    # The 80th step stands on zero to within the rounding of 80 sums.
    assert slopes.max() == pytest.approx(0.25, abs=1e-6)
    assert np.argmax(slopes) == 80
    # s (1 - s) with s = 1 / (1 + e^8) = 3.3535e-4.
    assert slopes[0] == pytest.approx(3.3535e-4 * (1 - 3.3535e-4), rel=1e-4)
    # The logistic curve is symmetric about 0.
    assert float(gradient_of(tf.sigmoid, tf.constant(8.0))) == pytest.approx(slopes[0], rel=1e-3)


def test_a_chain_of_sigmoids_multiplies_its_slopes() -> None:
    def chain(x: tf.Tensor) -> tf.Tensor:
        for _ in range(10):
            # Less one half, so that the input of each is 0, where the slope is 1/4.
            x = tf.sigmoid(x) - 0.5
        return x

    assert float(gradient_of(chain, tf.constant(0.0))) == 0.25**10


def growth(sigma: float, n: int, count: int) -> float:
    """Return what each factor of a product of random matrices adds to the logarithm of its size."""
    total, direction = 0.0, tf.one_hot(0, n, dtype=tf.float64)
    for M in tf.unstack(tf.random.normal((count, n, n), stddev=sigma, dtype=tf.float64)):
        direction = tf.linalg.matvec(M, direction)
        size = float(tf.norm(direction))
        direction, total = direction / size, total + math.log(size)
    return total / count


@pytest.mark.parametrize(("sigma", "expected"), [(1.0, 0.557966), (0.3, -0.646007)])
def test_products_of_random_matrices_grow_or_fade_at_the_rate_of_theory(
    sigma: float, expected: float
) -> None:
    # ln sigma + (ln 2 + digamma(2)) / 2 with digamma(2) = 1 - Euler's 0.5772157; a factor's own
    # logarithm varies by sqrt(trigamma(2)) / 2 = 0.40, the mean of 2000 by 0.009: five of these.
    assert expected == pytest.approx(math.log(sigma) + (math.log(2) + 1 - 0.5772157) / 2, abs=1e-6)
    assert growth(sigma, n=4, count=2000) == pytest.approx(expected, abs=0.045)


def test_a_hundred_matrices_of_four_by_four_explode() -> None:
    M = tf.random.normal((4, 4))
    for _ in range(99):
        M = M @ tf.random.normal((4, 4))
    # 100 * 0.558 = 55.8 in the logarithm, give or take five deviations of 0.40 * sqrt(100). (The
    # norm would square numbers of 1e24, which overflows float32.)
    assert math.log(float(tf.reduce_max(tf.abs(M)))) == pytest.approx(55.8, abs=20)


def test_beyond_their_range_numbers_are_zero_infinite_or_nan() -> None:
    assert float(tf.constant(1e-40) * 1e-10) == 0
    assert math.isinf(float(tf.constant(1e30) * 1e30))
    assert math.isnan(float(tf.constant(1e30) * 1e30 - tf.constant(1e30) * 1e30))
    assert math.isinf(float(tf.cast(65520.0, tf.float16)))
    assert float(tf.cast(65504.0, tf.float16)) == 65504


def alike(num_hiddens: int, start: float, dropout: float = 0.0) -> d2l.Classifier:
    """An MLP whose weights all start with the same number."""
    same = initializers.Constant(start)
    model = d2l.MLP(num_outputs=10, num_hiddens=num_hiddens, lr=0.1)
    model.net = keras.Sequential(
        [
            keras.layers.Flatten(),
            keras.layers.Dense(num_hiddens, activation="relu", kernel_initializer=same),
            keras.layers.Dropout(dropout),
            keras.layers.Dense(10, kernel_initializer=same),
        ]
    )
    return model


@pytest.fixture
def data(images: tuple[np.ndarray, np.ndarray]) -> d2l.DataModule:
    pictures, labels = images

    class Images(d2l.DataModule):
        def get_dataloader(self, train: bool) -> tf.data.Dataset:
            arrays = (pictures[..., None] / np.float32(255), labels.astype(np.int32))
            return batched(arrays, 16, shuffle=train)

    return Images()


def spread_of_units(model: d2l.Classifier) -> float:
    """Return the largest difference between the weights of two hidden units."""
    return float(np.ptp(model.net.layers[1].kernel.numpy(), axis=1).max())


def test_units_with_equal_weights_stay_equal_and_act_as_one(data: d2l.DataModule) -> None:
    trainer, model, single = d2l.Trainer(max_epochs=3), alike(64, 0.002), alike(1, 0.016)
    losses, expected = (trainer.fit(m, data)["train_loss"] for m in (model, single))
    kernel = model.net.layers[1].kernel.numpy()
    assert np.abs(kernel - 0.002).max() > 5e-4
    # Equal numbers, summed in another order at the edges of a matrix product at most.
    assert spread_of_units(model) < 1e-6
    # sqrt(64) = 8 times their weights: 64 w2 relu(w1 x) = (8 w2) relu(8 w1 x), and so the steps.
    np.testing.assert_allclose(single.net.layers[1].kernel[:, 0], 8 * kernel[:, 0], atol=1e-5)
    assert losses == pytest.approx(expected, rel=1e-4)


def test_one_step_of_two_units_that_are_alike_by_hand() -> None:
    model = alike(2, 0.5)
    X, y = tf.constant([[1.0, 3.0]]), tf.constant([0])
    model(X)
    with tf.GradientTape() as tape:
        loss = model.loss(model(X), y)
    d_hidden, _, d_out, _ = tape.gradient(loss, model.trainable_variables)
    # Hidden (2, 2); all ten logits are 2, so p - y is -0.9 once and 0.1 nine times. A row of the
    # output's gradient is 2 (p - y); behind it 0.5 (-0.9 + 9 * 0.1) = 0 reaches the hidden units.
    np.testing.assert_allclose(d_out, 2 * np.array([[-0.9] + [0.1] * 9] * 2), rtol=1e-6)
    np.testing.assert_allclose(d_hidden, np.zeros((2, 2)), atol=1e-7)
    assert float(loss) == pytest.approx(math.log(10))


def test_dropout_and_random_weights_break_the_symmetry(data: d2l.DataModule) -> None:
    model, trainer = alike(64, 0.002, dropout=0.5), d2l.Trainer(max_epochs=3)
    trainer.fit(model, data)
    assert spread_of_units(model) > 1e-4
    random = d2l.MLP(num_outputs=10, num_hiddens=64, lr=0.1)
    trainer.fit(random, data)
    assert spread_of_units(random) > 0.1


@pytest.mark.parametrize(
    ("name", "variance"),
    [
        ("GlorotUniform", 2 / (N_IN + N_OUT)),
        ("GlorotNormal", 2 / (N_IN + N_OUT)),
        ("HeNormal", 2 / N_IN),
        ("HeUniform", 2 / N_IN),
        ("LecunNormal", 1 / N_IN),
        ("RandomNormal", 0.05**2),
        # Cut off at two deviations: 1 - 2 * 2 * phi(2) / (Phi(2) - Phi(-2)) of it is left.
        ("TruncatedNormal", 0.05**2 * (1 - 4 * 0.0539910 / 0.9544997)),
    ],
)
def test_initializers_draw_with_the_variance_of_their_formula(name: str, variance: float) -> None:
    drawn = np.asarray(getattr(initializers, name)()((N_IN, N_OUT)), np.float64)
    n = N_IN * N_OUT
    # The variance of n normal draws is known to sqrt(2 / n) of itself; of others here better.
    assert drawn.var() == pytest.approx(variance, rel=5 * math.sqrt(2 / n))
    assert drawn.mean() == pytest.approx(0, abs=5 * math.sqrt(variance / n))


def test_glorots_uniform_reaches_up_to_its_limit_and_no_further() -> None:
    drawn = initializers.GlorotUniform()((N_IN, N_OUT)).numpy()
    limit = math.sqrt(6 / (N_IN + N_OUT))
    assert limit == pytest.approx(0.0759555, rel=1e-6)
    # That none of 200,704 draws comes closer than 1 in 10,000 has a probability of e^-20.
    assert limit * (1 - 1e-4) < np.abs(drawn).max() <= limit


@pytest.mark.parametrize(
    ("mode", "weights", "outputs", "gradient"),
    [
        # Outputs get n_in times the weights' variance, gradients n_out times it.
        ("fan_in", 1 / 400, 1, 1 / 4),
        ("fan_out", 1 / 100, 4, 1),
        ("fan_avg", 2 / 500, 8 / 5, 2 / 5),
    ],
)
def test_a_layer_multiplies_variances_by_its_widths(
    mode: str, weights: float, outputs: float, gradient: float
) -> None:
    initializer = initializers.VarianceScaling(1.0, mode, "uniform")
    layer = keras.layers.Dense(100, use_bias=False, kernel_initializer=initializer)
    X, G = tf.random.normal((2000, 400)), tf.random.normal((2000, 100))
    with tf.GradientTape() as tape:
        tape.watch(X)
        Y = layer(X)
    found = [layer.kernel, Y, tape.gradient(Y, X, output_gradients=G)]
    # 40,000 weights have their variance within 0.5 %; outputs and gradients follow it.
    expected = pytest.approx([weights, outputs, gradient], rel=0.025)
    assert [float(tf.math.reduce_variance(Z)) for Z in found] == expected


def deep(initializer: Any, activation: str, depth: int = 20, width: int = 256) -> list[float]:
    """Sizes of the activations at the end and of the gradient at the start, both from 1."""
    H = start = tf.random.normal((128, width), dtype=tf.float64)
    G = tf.random.normal((128, width), dtype=tf.float64)
    with tf.GradientTape() as tape:
        tape.watch(start)
        for _ in range(depth):
            layer = keras.layers.Dense(
                width, activation, kernel_initializer=initializer(), dtype="float64"
            )
            H = layer(H)
    gradient = tape.gradient(H, start, output_gradients=G)
    return [math.sqrt(float(tf.reduce_mean(Z**2))) for Z in (H, gradient)]


def small() -> Any:
    return initializers.RandomNormal(stddev=0.01)


@pytest.mark.parametrize(
    ("activation", "make", "factor"),
    [
        # A layer multiplies the mean square by n sigma^2, and ReLU halves it.
        ("linear", initializers.GlorotUniform, 1.0),
        ("linear", initializers.HeNormal, math.sqrt(2)),
        ("linear", small, 0.16),
        ("relu", initializers.GlorotUniform, math.sqrt(1 / 2)),
        ("relu", initializers.HeNormal, 1.0),
        ("relu", small, 0.16 / math.sqrt(2)),
    ],
)
def test_twenty_layers_scale_activations_and_gradients_as_worked_out(
    activation: str, make: Callable[[], Any], factor: float
) -> None:
    # Each layer's deviation by chance is some 1/sqrt(256) for ReLU; 20 add up to about a quarter.
    for size in deep(make, activation):
        assert math.log(size) == pytest.approx(20 * math.log(factor), abs=1)


def test_sigmoids_lose_a_gradient_under_every_initialization() -> None:
    for make in (small, initializers.GlorotUniform, initializers.HeNormal):
        # He's weights multiply by sqrt(2) a layer, slopes by 1/4 at most.
        assert deep(make, "sigmoid")[1] < (math.sqrt(2) / 4) ** 20 * 3


def test_keras_layers_take_initializers_by_name_and_as_objects() -> None:
    named = keras.layers.Dense(4, kernel_initializer="he_normal", bias_initializer="ones")
    default = keras.layers.Dense(4)
    for layer in (named, default):
        layer.build((None, 3))
    assert isinstance(named.kernel_initializer, initializers.HeNormal)
    np.testing.assert_array_equal(named.bias, np.ones(4))
    # PyTorch's Linear draws its bias too.
    assert isinstance(default.kernel_initializer, initializers.GlorotUniform)
    np.testing.assert_array_equal(default.bias, np.zeros(4))


def test_an_orthogonal_kernel_keeps_lengths_up_to_its_gain() -> None:
    W = initializers.Orthogonal(gain=2.0)((3, 3)).numpy()
    # Sums of three float32 products.
    np.testing.assert_allclose(W @ W.T, 4 * np.eye(3), atol=1e-5)


def test_an_initializer_object_repeats_itself_unless_its_seed_is_a_generator() -> None:
    shared = initializers.GlorotUniform()
    np.testing.assert_array_equal(shared((3, 3)), shared((3, 3)))
    counting = initializers.GlorotUniform(seed=keras.random.SeedGenerator(0))
    assert not np.array_equal(counting((3, 3)), counting((3, 3)))


def test_deep_relus_begun_too_small_get_no_gradient_and_hes_do() -> None:
    X, y = tf.random.uniform((64, 784)), tf.range(64) % 10

    def first_gradient(make: Callable[[], Any]) -> float:
        hidden = [keras.layers.Dense(64, "relu", kernel_initializer=make()) for _ in range(10)]
        model = d2l.MLP(num_outputs=10, num_hiddens=1, lr=0.1)
        model.net = keras.Sequential([*hidden, keras.layers.Dense(10)])
        model(X)
        with tf.GradientTape() as tape:
            loss = model.loss(model(X), y)
        return float(tf.norm(tape.gradient(loss, model.trainable_variables[0])))

    # Nine layers above, each multiplying by 0.01 * sqrt(64 / 2) = 0.057.
    assert first_gradient(small) < 1e-8
    assert first_gradient(initializers.HeNormal) > 1e-2
