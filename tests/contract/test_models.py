"""What the shipped models do: a first step as NumPy has it, and for regressions the contract.

`test_contract.py` has the contract of classifiers, the shipped ones among them.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from tfd2l.engine.checkpoint import checkpoints, load_checkpoint, save_checkpoint
from tfd2l.engine.errors import CheckpointError
from tfd2l.export.expected import regressor_checks
from tfd2l.export.publish import publish
from tfd2l.export.signatures import export_regressor

Make = Callable[[], d2l.Module]
CLASSIFIERS: dict[str, Make] = {
    "softmax-scratch": lambda: d2l.SoftmaxRegressionScratch(784, 10, lr=0.1),
    "softmax": lambda: d2l.SoftmaxRegression(10, lr=0.1),
    "mlp-scratch": lambda: d2l.MLPScratch(784, 10, 16, lr=0.1),
    "mlp": lambda: d2l.MLP(10, 16, lr=0.1),
}
REGRESSIONS: dict[str, Make] = {
    "linear-scratch": lambda: d2l.LinearRegressionScratch(2, lr=0.03),
    "linear": lambda: d2l.LinearRegression(lr=0.03),
    "weight-decay-scratch": lambda: d2l.WeightDecayScratch(2, lambd=0.1, lr=0.03),
    "weight-decay": lambda: d2l.WeightDecay(wd=0.1, lr=0.03),
}
# Without a penalty, which moves the parameters off the true ones.
PLAIN = [name for name in REGRESSIONS if name.startswith("linear")]
MODELS = CLASSIFIERS | REGRESSIONS


class SomeImages(d2l.DataModule):
    """The made-up images of the fixture, 33 to a batch, so that the last one has 4."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        super().__init__()
        self.images, self.labels = images, labels

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        return fashion_mnist.dataset(
            self.images, self.labels, 33, resize=(28, 28), shuffle=train, seed=1
        )


def data_for(name: str, images: tuple[np.ndarray, np.ndarray]) -> d2l.DataModule:
    if name in REGRESSIONS:
        return d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=70, num_val=50)
    return SomeImages(*images)


def fresh(name: str) -> d2l.Module:
    keras.utils.set_random_seed(7)
    return MODELS[name]()


@pytest.mark.parametrize("name", REGRESSIONS)
def test_eager_compiled_and_xla_agree_on_one_seed(
    name: str, images: tuple[np.ndarray, np.ndarray]
) -> None:
    def fit(**mode: Any) -> tuple[dict[str, list[float]], list[np.ndarray]]:
        model = fresh(name)
        history = d2l.Trainer(3, **mode).fit(model, data_for(name, images))
        history.pop("seconds")
        return history, model.get_weights()

    expected, weights = fit(run_eagerly=True)
    for mode in ({"run_eagerly": False}, {"jit_compile": True}):
        history, others = fit(**mode)
        for column in expected:
            # Nine steps of float32 whose sums of up to 784 terms are ordered differently.
            np.testing.assert_allclose(history[column], expected[column], rtol=1e-4, err_msg=column)
        for one, other in zip(weights, others, strict=True):
            np.testing.assert_allclose(other, one, atol=1e-5)


def softmax(logits: np.ndarray) -> np.ndarray:
    shifted: np.ndarray = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities: np.ndarray = shifted / shifted.sum(axis=1, keepdims=True)
    return probabilities


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_one_step_of_a_classifier_is_numpys(
    name: str, images: tuple[np.ndarray, np.ndarray]
) -> None:
    model = fresh(name)
    X = (images[0] / 255.0).reshape(70, 784)
    y = images[1].astype(int)
    model(tf.zeros((1, 28, 28, 1)))  # Keras layers make their weights for this shape
    before = [weight.astype(np.float64) for weight in model.get_weights()]

    class OneBatch(SomeImages):
        def get_dataloader(self, train: bool) -> tf.data.Dataset:
            return fashion_mnist.dataset(
                self.images, self.labels, 70, resize=(28, 28), shuffle=False, seed=0
            )

    d2l.Trainer(1).fit(model, OneBatch(*images))

    hidden = len(before) == 4
    H = np.maximum(X @ before[0] + before[1], 0) if hidden else X
    W, b = before[-2:]
    error = softmax(H @ W + b)
    error[range(70), y] -= 1
    error /= 70
    expected = [W - 0.1 * H.T @ error, b - 0.1 * error.sum(axis=0)]
    if hidden:
        back = (error @ W.T) * (H > 0)
        expected = [
            before[0] - 0.1 * X.T @ back, before[1] - 0.1 * back.sum(axis=0), *expected
        ]  # fmt: skip
    for weight, value in zip(model.get_weights(), expected, strict=True):
        # float32 against float64: 70 terms below 1, each good to 6e-8.
        np.testing.assert_allclose(weight, value, atol=2e-6)


@pytest.mark.parametrize(
    ("name", "factor", "decay"),
    [
        ("linear-scratch", 1, 0.0),
        ("linear", 2, 0.0),
        ("weight-decay-scratch", 1, 0.1),
        ("weight-decay", 2, 0.1),
    ],
)
def test_one_step_of_a_regression_is_numpys(name: str, factor: int, decay: float) -> None:
    model = fresh(name)
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=20, num_val=1, batch_size=20)
    X, y = data.X.numpy()[:20], data.y.numpy()[:20]
    model(tf.constant(X))
    w, b = (value.numpy() for value in model.get_w_b())
    d2l.Trainer(1).fit(model, data)
    error = X @ w + b - y
    # Half the squared error from scratch, all of it in Keras: hence the factor.
    expected_w = w - 0.03 * factor * (X.T @ error / 20 + decay * w)
    expected_b = b - 0.03 * factor * error.mean(axis=0)
    new_w, new_b = model.get_w_b()
    np.testing.assert_allclose(new_w.numpy(), expected_w, rtol=1e-5)
    np.testing.assert_allclose(new_b.numpy(), expected_b, rtol=1e-5)


@pytest.mark.parametrize("name", REGRESSIONS)
def test_a_checkpoint_brings_back_weights_and_epoch(
    name: str, images: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    model = fresh(name)
    trainer = d2l.Trainer(1)
    trainer.fit(model, data_for(name, images))
    path = save_checkpoint(tmp_path, model, trainer.optim, trainer.state_dict())
    other = MODELS[name]()
    other_trainer = d2l.Trainer(1)
    other_trainer.fit(other, data_for(name, images))
    assert checkpoints(tmp_path) == [path]
    assert load_checkpoint(path, other, other_trainer.optim)["epoch"] == 1
    for one, same in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, same)


def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path) -> None:
    path = save_checkpoint(tmp_path, d2l.MLPScratch(4, 3, 2, lr=0.1), None, {"epoch": 1, "step": 0})
    with pytest.raises(CheckpointError, match="of a MLPScratch with other variables: number 0"):
        load_checkpoint(path, d2l.LinearRegressionScratch(2, lr=0.1))
    with pytest.raises(CheckpointError, match="can't be read"):
        load_checkpoint(tmp_path / "none", d2l.MLPScratch(4, 3, 2, lr=0.1))


@pytest.mark.parametrize("name", REGRESSIONS)
def test_an_export_answers_as_the_model_in_a_fresh_process(name: str, tmp_path: Path) -> None:
    model = fresh(name)
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=70, num_val=50)
    d2l.Trainer(1).fit(model, data)
    version = publish(
        lambda directory: export_regressor(model, directory, num_inputs=2),
        tmp_path / "model",
        checks=regressor_checks(model, data.X.numpy()[70:]),
        card={"model": name},
    )
    assert version == tmp_path / "model" / "1"


@pytest.mark.parametrize("name", PLAIN)
def test_the_true_parameters_are_found(name: str) -> None:
    for seed in range(3):
        keras.utils.set_random_seed(seed)
        data = d2l.SyntheticRegressionData([2, -3.4], 4.2, seed=seed)
        model = MODELS[name]()
        d2l.Trainer(10).fit(model, data)
        w, b = (value.numpy().ravel() for value in model.get_w_b())
        # 320 steps at 0.03 shrink the distance by e^-9.6; noise leaves 0.01 / sqrt(1000).
        np.testing.assert_allclose(w, [2, -3.4], atol=0.01)
        np.testing.assert_allclose(b, [4.2], atol=0.01)
