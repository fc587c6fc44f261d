"""Section 3.7: decay by a penalty, by Keras' regularizer and by the optimizer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l

LAMBDA, LR = 3.0, 0.01
# The hand-worked step: two examples in one batch.
X = np.array([[1.0, 0.0], [0.0, 2.0]], np.float32)
Y = np.array([[0.0], [1.0]], np.float32)
W, B = np.array([[1.0], [-1.0]], np.float32), np.array([0.5], np.float32)


class TwoRows(d2l.DataModule):
    batch_size = 2

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        return self.get_tensorloader((X, Y), train)


class ReadersData(d2l.DataModule):
    """The section's data as a reader of the book writes it, with the book's short names."""

    num_train: int

    def __init__(self, num_train: int, num_val: int, num_inputs: int, batch_size: int) -> None:
        self.save_hyperparameters()
        n = num_train + num_val
        self.X = d2l.normal((n, num_inputs))
        w, b = d2l.ones((num_inputs, 1)) * 0.01, 0.05
        self.y = d2l.matmul(self.X, w) + b + d2l.normal((n, 1)) * 0.01

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        i = slice(0, self.num_train) if train else slice(self.num_train, None)
        return self.get_tensorloader([self.X, self.y], train, i)


class ReadersWeightDecay(d2l.LinearRegression):
    """Adds the list of penalties itself, which makes a loss of shape (1,)."""

    def __init__(self, wd: float, lr: float) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        self.net = keras.layers.Dense(1, kernel_regularizer=keras.regularizers.L2(wd))

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return super().loss(y_hat, y) + self.net.losses


class DecayingOptimizer(d2l.LinearRegression):
    """Twice `wd`, since the penalty of Keras' regularizer has no factor 1/2."""

    def __init__(self, wd: float, lr: float, keep_bias: bool = True) -> None:
        super().__init__(lr)
        self.wd, self.keep_bias = wd, keep_bias

    def configure_optimizers(self) -> Any:
        optimizer = keras.optimizers.SGD(self.hparams["lr"], weight_decay=2 * self.wd)
        if self.keep_bias:
            optimizer.exclude_from_weight_decay(var_names=["bias"])
        return optimizer


CONCISE: dict[str, Callable[[float, float], d2l.LinearRegression]] = {
    "regularizer": d2l.WeightDecay,
    "list of one": ReadersWeightDecay,
    "optimizer": DecayingOptimizer,
}


def section_data(seed: int = 0, batch_size: int = 5) -> d2l.SyntheticRegressionData:
    return d2l.SyntheticRegressionData(
        w=tf.fill([200], 0.01),
        b=0.05,
        noise=0.01,
        num_train=20,
        num_val=100,
        batch_size=batch_size,
        seed=seed,
    )


def start_at(model: d2l.LinearRegression, w: Any, b: Any) -> None:
    model(tf.zeros((1, len(np.asarray(w)))))
    model.net.set_weights([np.asarray(w), np.asarray(b)])


def train_scratch(
    lambd: float, data: d2l.DataModule, sigma: float = 0.01
) -> tuple[d2l.WeightDecayScratch, np.ndarray]:
    """The trained model, and the weights it began with.

    Run eagerly: 40 steps are over before they would be compiled.
    """
    model = d2l.WeightDecayScratch(200, lambd, LR, sigma)
    before = model.w.numpy()
    d2l.Trainer(max_epochs=10, run_eagerly=True).fit(model, data)
    return model, before


def validation_error(model: d2l.Module, data: d2l.SyntheticRegressionData) -> float:
    """Half the mean squared error, without the penalty that the model's own loss adds."""
    losses = d2l.squared_loss(model(data.X), data.y)
    return float(tf.reduce_mean(losses[data.num_train :]))


def test_the_penalty_is_half_the_squared_norm() -> None:
    # (9 + 16) / 2.
    assert float(d2l.l2_penalty(tf.constant([[3.0], [-4.0]]))) == 12.5
    # 200 * 0.01^2 / 2, of float32 squares.
    assert float(d2l.l2_penalty(tf.fill((200, 1), 0.01))) == pytest.approx(0.01, rel=1e-5)


def test_the_data_are_20_rows_of_200_inputs_and_follow_the_formula() -> None:
    data = section_data()
    batches = list(data.train_dataloader())
    assert [(tuple(X.shape), tuple(y.shape)) for X, y in batches] == [((5, 200), (5, 1))] * 4
    assert sum(len(y) for _, y in data.val_dataloader()) == 100
    noise = data.y.numpy()[:, 0] - (0.05 + 0.01 * data.X.numpy().sum(axis=1))
    # Five deviations of the estimates from 120 draws: 0.01 / sqrt(120) and 0.01 / sqrt(240).
    assert noise.mean() == pytest.approx(0, abs=0.0046)
    assert noise.std() == pytest.approx(0.01, abs=0.0033)


def test_a_readers_own_data_module_trains() -> None:
    data = ReadersData(num_train=20, num_val=100, num_inputs=200, batch_size=5)
    model, before = train_scratch(LAMBDA, data)
    assert [tuple(X.shape) for X, _ in data.train_dataloader()] == [(5, 200)] * 4
    assert float(d2l.l2_penalty(model.w)) < float(d2l.l2_penalty(tf.constant(before)))


def test_a_step_from_scratch_is_as_by_hand() -> None:
    model = d2l.WeightDecayScratch(2, lambd=LAMBDA, lr=0.1)
    model.w.assign(W)
    model.b.assign(B)
    history = d2l.Trainer(max_epochs=1).fit(model, TwoRows())
    # Predictions 1.5 and -1.5, errors 1.5 and -2.5: (2.25 + 6.25) / 4 + 3 * (1 + 1) / 2.
    assert history["train_loss"] == [pytest.approx(5.125, rel=1e-6)]
    # Gradients by w (1.5 / 2, -2.5 * 2 / 2) + 3 * (1, -1), by b (1.5 - 2.5) / 2; float32.
    np.testing.assert_allclose(model.w, [[1 - 0.375], [-1 + 0.55]], rtol=1e-6)
    np.testing.assert_allclose(model.b, [0.5 + 0.05], rtol=1e-6)


@pytest.mark.parametrize("name", CONCISE)
def test_a_concise_step_is_twice_that(name: str) -> None:
    model = CONCISE[name](LAMBDA, 0.1)
    start_at(model, W, B)
    history = d2l.Trainer(max_epochs=1).fit(model, TwoRows())
    # Twice 5.125; the optimizer's decay is no part of the loss, which is twice 2.125.
    expected = 4.25 if name == "optimizer" else 10.25
    assert history["train_loss"] == [pytest.approx(expected, rel=1e-6)]
    w, b = model.get_w_b()
    # The rounding of numbers near 1 in float32.
    np.testing.assert_allclose(w, [[1 - 2 * 0.375], [-1 + 2 * 0.55]], atol=3e-7)
    np.testing.assert_allclose(b, [0.5 + 2 * 0.05], atol=3e-7)


def test_the_optimizers_decay_takes_the_bias_too_unless_it_is_excluded() -> None:
    model = DecayingOptimizer(LAMBDA, 0.1, keep_bias=False)
    start_at(model, W, B)
    d2l.Trainer(max_epochs=1).fit(model, TwoRows())
    # Shrunk by 0.1 * 6 first: 0.5 * 0.4 + 2 * 0.05.
    np.testing.assert_allclose(model.get_w_b()[1], [0.3], rtol=1e-6)


def test_the_optimizers_decay_works_on_variables_of_a_scratch_model() -> None:
    class Scratch(d2l.LinearRegressionScratch):
        def configure_optimizers(self) -> Any:
            optimizer = keras.optimizers.SGD(self.lr, weight_decay=LAMBDA)
            optimizer.exclude_from_weight_decay(var_list=[self.b])
            return optimizer

    model = Scratch(2, lr=0.1)
    model.w.assign(W)
    model.b.assign(B)
    d2l.Trainer(max_epochs=1).fit(model, TwoRows())
    # As the penalty's step by hand: both losses have their 1/2 here.
    np.testing.assert_allclose(model.w, [[0.625], [-0.45]], rtol=1e-6)
    np.testing.assert_allclose(model.b, [0.55], rtol=1e-6)


def by_numpy(data: d2l.SyntheticRegressionData, w: np.ndarray, steps: int) -> np.ndarray:
    """Weights and bias, (201,) float64, after steps of gradient descent on all 20 rows."""
    X, y = (np.asarray(part[:20], np.float64) for part in (data.X, data.y))
    w, b = w.astype(np.float64), 0.0
    for _ in range(steps):
        error = X @ w + b - y
        w, b = w - LR * (X.T @ error / 20 + LAMBDA * w), b - LR * error.mean()
    return np.append(w, b)


@functools.cache
def scratch_fit(
    batch_size: int, epochs: int
) -> tuple[np.ndarray, d2l.WeightDecayScratch, dict[str, list[float]]]:
    """The first weights, the trained model and the history of a compiled fit."""
    model = d2l.WeightDecayScratch(200, LAMBDA, LR)
    before = model.w.numpy()
    trainer = d2l.Trainer(max_epochs=epochs, run_eagerly=False)
    return before, model, trainer.fit(model, section_data(batch_size=batch_size))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONCISE)
def test_scratch_and_concise_agree_at_half_the_rate_and_with_numpy(name: str) -> None:
    data = section_data(batch_size=20)
    before, scratch, _ = scratch_fit(20, 30)
    concise = CONCISE[name](LAMBDA, LR / 2)
    start_at(concise, before, tf.zeros(1))
    expected = by_numpy(data, before, steps=30)
    d2l.Trainer(max_epochs=30, run_eagerly=False).fit(concise, data)
    for model in (scratch, concise):
        found = np.concatenate([np.ravel(part) for part in model.get_w_b()])
        # Weights up to 0.03 in float32, over 30 steps that forget roundings: 0.03 * 6e-8 * 30.
        np.testing.assert_allclose(found, expected, atol=6e-8)


@pytest.mark.slow
@pytest.mark.parametrize("name", CONCISE)
def test_scratch_and_concise_agree_on_the_sections_batches(name: str) -> None:
    before, scratch, history = scratch_fit(5, 10)
    concise = CONCISE[name](LAMBDA, LR / 2)
    start_at(concise, before, tf.zeros(1))
    histories = history, d2l.Trainer(max_epochs=10).fit(concise, section_data())
    w, b = concise.get_w_b()
    # The tolerance above, for 40 steps.
    np.testing.assert_allclose(w, scratch.w, atol=8e-8)
    np.testing.assert_allclose(b, scratch.b, atol=8e-8)
    if name != "optimizer":
        losses, twice = (np.array(history["val_loss"]) for history in histories)
        # Means over 100 float32 losses.
        np.testing.assert_allclose(twice, 2 * losses, rtol=1e-5)


@pytest.mark.parametrize("jit_compile", [False, True])
def test_a_loss_of_shape_1_trains_compiled(jit_compile: bool) -> None:
    data = section_data()
    reader, ours = ReadersWeightDecay(LAMBDA, LR), d2l.WeightDecay(LAMBDA, LR)
    for model in (reader, ours):
        start_at(model, tf.fill((200, 1), 0.02), tf.zeros(1))
    assert reader.loss(tf.ones((2, 1)), tf.zeros((2, 1))).shape == (1,)
    assert ours.loss(tf.ones((2, 1)), tf.zeros((2, 1))).shape == ()
    trainer = d2l.Trainer(max_epochs=2, run_eagerly=False, jit_compile=jit_compile)
    histories = [trainer.fit(model, data) for model in (reader, ours)]
    for column in ("train_loss", "val_loss"):
        # The same operations; XLA may fuse them otherwise.
        np.testing.assert_allclose(histories[0][column], histories[1][column], rtol=1e-6)
    np.testing.assert_allclose(reader.net.kernel, ours.net.kernel, atol=1e-8)


def test_keras_regularizer_applies_to_w_alone_without_a_factor_of_one_half() -> None:
    model = d2l.WeightDecay(wd=LAMBDA, lr=LR)
    start_at(model, W, [100.0])
    [penalty] = model.net.losses
    # 3 * (1 + 1), whatever the bias.
    assert float(penalty) == 6


def test_with_a_penalty_of_zero_both_models_are_plain_linear_regression() -> None:
    y_hat, y = tf.constant([[1.0], [4.0]]), tf.constant([[0.0], [2.0]])
    concise = d2l.WeightDecay(wd=0, lr=LR)
    start_at(concise, W, B)
    # (1 + 4) / 2, and half of it.
    assert float(concise.loss(y_hat, y)) == 2.5
    assert float(d2l.WeightDecayScratch(2, lambd=0, lr=LR).loss(y_hat, y)) == 1.25


@pytest.mark.parametrize("lambd", [0.0, 3.0])
def test_directions_without_data_only_decay(lambd: float) -> None:
    data = section_data()
    model, before = train_scratch(lambd, data)
    # Orthonormal rows: the 180 directions in which no training example extends.
    silent = np.linalg.svd(data.X.numpy()[:20].astype(np.float64))[2][20:]
    # 40 steps, each of which takes off a share of 0.01 * 3. Components up to 0.03, float32.
    expected = (1 - LR * lambd) ** 40 * (silent @ before)
    np.testing.assert_allclose(silent @ model.w.numpy(), expected, atol=1e-6)


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2, 3, 4))]
)
def test_decay_makes_weights_smaller_and_predictions_better(seed: int) -> None:
    keras.utils.set_random_seed(seed)
    data = section_data(seed)
    (plain, _), (decayed, _) = (train_scratch(lambd, data) for lambd in (0, LAMBDA))
    # Half the squared norm in the 180 silent directions: 0.009 without decay and, by a factor of
    # 0.97^80, 0.0008 with it; the other directions add to both.
    assert float(d2l.l2_penalty(plain.w)) > 3 * float(d2l.l2_penalty(decayed.w))
    # In those directions the true weights are missed in any case, half the squared norm of which
    # is 0.009; the initial ones, of the same size, add 0.009 without decay and 0.0008 with it.
    # That makes 1.84 for the ratio. It is an estimate from 100 examples, and for the other
    # directions ten epochs of decay are not enough: 1.47 was the least in eight seeds.
    assert validation_error(plain, data) > 1.2 * validation_error(decayed, data)


@pytest.mark.parametrize("seed", [0, *(pytest.param(n, marks=pytest.mark.long) for n in (1, 2))])
def test_from_weights_of_zero_decay_gains_almost_nothing(seed: int) -> None:
    data = section_data(seed)
    plain, decayed = (
        validation_error(train_scratch(lambd, data, sigma=0)[0], data) for lambd in (0, LAMBDA)
    )
    # There are no initial weights to remove; exact solutions for both differ by 2 % at most.
    assert plain == pytest.approx(decayed, rel=0.05)


def test_curves_are_drawn_on_a_logarithmic_axis() -> None:
    model = d2l.WeightDecayScratch(200, LAMBDA, LR)
    model.board.yscale = "log"
    d2l.Trainer(max_epochs=2, run_eagerly=True).fit(model, section_data())
    (axes,) = model.board.figure().axes
    assert axes.get_yscale() == "log"
    assert [line.get_label() for line in axes.get_lines()] == ["train_loss", "val_loss"]


OPTIMIZERS: dict[str, tuple[Callable[..., Any], list[float]]] = {
    # 0.95 times, each time.
    "SGD": (lambda **decay: keras.optimizers.SGD(0.1, **decay), [0.95, 0.9025]),
    # Steps -0.05 and 0.9 * -0.05 - 0.1 * 0.5 * 0.95.
    "momentum": (
        lambda **decay: keras.optimizers.SGD(0.1, momentum=0.9, **decay),
        [0.95, 0.8575],
    ),
    # The first step is the learning rate, however small the gradient.
    "Adam": (lambda **decay: keras.optimizers.Adam(0.1, **decay), [0.9]),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_penalty_goes_through_the_optimizer_and_its_own_decay_does_not(name: str) -> None:
    make, expected = OPTIMIZERS[name]
    by_penalty, decoupled = keras.Variable(1.0), keras.Variable(1.0)
    penalised, decaying = make(), make(weight_decay=0.5)
    for step, value in enumerate(expected, start=1):
        penalised.apply_gradients([(0.5 * by_penalty.value, by_penalty)])
        decaying.apply_gradients([(tf.zeros(()), decoupled)])
        # Adam divides by 1 - 0.999, which in float32 has five good digits: 0.1 * 1e-5 of a step.
        assert float(by_penalty.value) == pytest.approx(value, abs=2e-6)
        assert float(decoupled.value) == pytest.approx(0.95**step, abs=1e-6)
