"""Checks of batches, labels and what a model's methods return."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import Line, blobs, points
from tfd2l.engine.checks import scores_and_ids

X, Y = blobs()
WEIGHTS = np.linspace(0, 2, len(Y), dtype=np.float32)


def test_a_dict_with_the_loss_trains_as_the_loss_alone() -> None:
    class Returns(Line):
        def training_step(self, batch: Any) -> Any:
            return {"loss": super().training_step(batch), "more": 3}

    model = Returns(lr=0.1)
    # The first test of the trainer works this by hand.
    assert d2l.Trainer(1).fit(model, Loaders(points(2, 2)))["train_loss"] == [5.0]
    assert model.w.numpy() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ({"total": 1.0}, r"returned a dict without 'loss', with the keys \['total'\]"),
        ({"loss": None}, "returned None; let it return the loss"),
        ((1.0, {"acc": 1.0}), r"returned a tuple; let it return the loss alone.*self\.plot"),
        ("loss", "returned a str"),
    ],
)
def test_a_step_without_a_loss_is_refused_with_what_it_returned(
    returned: Any, message: str
) -> None:
    class Returns(Line):
        def training_step(self, batch: Any) -> Any:
            return returned

    with pytest.raises(ValueError, match=rf"^Returns\.training_step .*{message}"):
        d2l.Trainer(1).fit(Returns(), Loaders(points(2, 2)))


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("adam", "str 'adam'"),
        (None, "None"),
        (keras.optimizers.Adam, "type <class .*Adam"),
        ([d2l.SGD(0.1), d2l.SGD(0.1)], r"list \[<tfd2l"),
        ({"optimizer": d2l.SGD(0.1)}, r"dict with the keys \['optimizer'\]"),
    ],
    ids=["name", "None", "class", "list", "dict"],
)
def test_anything_but_one_optimizer_is_refused_with_the_remedy(returned: Any, message: str) -> None:
    class Configured(Line):
        def configure_optimizers(self) -> Any:
            return returned

    rule = rf"^Configured\.configure_optimizers must return one optimizer.*got {message}"
    with pytest.raises(TypeError, match=rf"{rule}.*keras\.optimizers\.Adam\(self\.lr\)"):
        d2l.Trainer(1).fit(Configured(), Loaders(points(2, 2)))


MODELS: dict[str, Any] = {
    "concise": lambda: d2l.MLP(3, 8, lr=0.1),
    "scratch": lambda: d2l.SoftmaxRegressionScratch(8, 3, lr=0.1),
}


@pytest.mark.parametrize("kind", MODELS)
def test_sample_weights_and_missing_targets_are_named_with_the_remedy(kind: str) -> None:
    for train, val in ((True, False), (False, True)):
        bad, good = batched((X, Y, WEIGHTS), 64, shuffle=False), batched((X, Y), 64, shuffle=False)
        loaders = Loaders(bad if train else good, bad if val else good)
        with pytest.raises(TypeError, match=r"3 entries has 2 inputs.*takes 1 .*sample weights"):
            d2l.Trainer(1).fit(MODELS[kind](), loaders)
    with pytest.raises(TypeError, match="one entry has targets and no inputs"):
        d2l.Trainer(1).fit(MODELS[kind](), Loaders(batched((X,), 64, shuffle=False)))


def test_the_remedy_for_sample_weights_gives_keras_loss() -> None:
    class Weighted(d2l.MLP):
        def training_step(self, batch: Any) -> Any:
            X, y, w = batch
            return tf.reduce_mean(w * self.loss(self(X), y, averaged=False))

    model = Weighted(3, 8, lr=0.1)
    model(X)
    net = keras.models.clone_model(model.net)
    net(X)
    net.set_weights(model.net.get_weights())
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    net.compile(optimizer=keras.optimizers.SGD(0.1), loss=loss)
    expected = net.fit(X, Y, sample_weight=WEIGHTS, batch_size=64, shuffle=False, verbose=0)
    d2l.Trainer(1).fit(model, Loaders(batched((X, Y, WEIGHTS), 64, shuffle=False)))
    assert np.isfinite(expected.history["loss"]).all()
    for one, other in zip(model.net.get_weights(), net.get_weights(), strict=True):
        # One step on sums of 64 products of float32, in another order.
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_a_model_of_several_inputs_takes_them_as_one_entry_or_by_its_forward() -> None:
    class Both(Line):
        def forward(self, X: Any, Z: Any) -> Any:  # type: ignore[override]  # as users do
            return X @ self.w + 0 * Z

    one = np.array([[1.0], [2.0]], np.float32)
    batch = batched((one, one, 2 * one), 2, shuffle=False)
    # The hand-worked loss of the line through (1, 2) and (2, 4).
    assert d2l.Trainer(1).fit(Both(), Loaders(batch))["train_loss"] == [5.0]

    first, second = keras.Input((8,)), keras.Input((8,))
    net = keras.Model([first, second], keras.layers.Dense(3)(first + second))

    class Functional(d2l.Classifier):
        def __init__(self) -> None:
            super().__init__()
            self.lr, self.net = 0.1, net

    assert d2l.Trainer(1).fit(Functional(), Loaders([((X, X), Y)]))["train_loss"][0] > 0
    with pytest.raises(TypeError, match=r"Functional takes 1 .*one entry: \(\(X1, X2\), y\)"):
        d2l.Trainer(1).fit(Functional(), Loaders([(X, X, Y)]))


LABELS: dict[str, tuple[Any, str]] = {
    "one-hot": (np.eye(3, dtype=np.float32)[Y], r"got \(32, 3\) and \(32, 3\).*tf\.argmax\(y, ax"),
    "text": (np.array(["cat", "cow", "dog"])[Y], r"got text.*pandas\.factorize.*StringLookup"),
    "bytes": (np.array([b"cat", b"cow", b"dog"])[Y], r"got text.*pandas\.factorize"),
    "floats": (Y.astype(np.float64), r"got float64.*tf\.cast\(y, tf\.int32\)"),
}


@pytest.mark.parametrize("kind", MODELS)
@pytest.mark.parametrize("labels", LABELS)
def test_labels_that_are_no_class_ids_are_refused_as_the_user_has_them(
    labels: str, kind: str
) -> None:
    y, message = LABELS[labels]
    with pytest.raises(ValueError, match=message) as error:
        d2l.Trainer(1).fit(MODELS[kind](), Loaders(batched((X, y), 32, shuffle=False)))
    assert "\n" not in str(error.value)


def test_the_remedies_for_labels_work() -> None:
    logits = tf.one_hot(Y, 3)
    names = np.array(["cat", "cow", "dog"])[Y]
    lookup = keras.layers.StringLookup(vocabulary=["cat", "cow", "dog"], num_oov_indices=0)
    for ids in (tf.argmax(tf.one_hot(Y, 3), axis=1), lookup(names), tf.cast(Y * 1.0, tf.int32)):
        assert float(d2l.accuracy(logits, ids)) == 1


def test_scores_of_sequences_are_flattened_with_their_ids() -> None:
    scores, ids = scores_and_ids(np.zeros((2, 5, 3)), np.zeros((2, 5), int))
    assert (scores.shape, ids.shape) == ((10, 3), (10,))
    with pytest.raises(ValueError, match=r"\(2, 5, 3\) and \(2, 5, 3\).*tf\.argmax\(y, axis=2\)"):
        scores_and_ids(np.zeros((2, 5, 3)), np.zeros((2, 5, 3)))


def test_targets_of_another_dtype_are_refused_before_tensorflow_does() -> None:
    for model in (d2l.LinearRegression(0.1), d2l.LinearRegressionScratch(8, 0.1)):
        for dtype, remedy in ((np.int32, r"tf\.cast\(y, tf\.float32\)"), (str, "Encode text")):
            y = Y[:, None].astype(dtype)
            with pytest.raises(ValueError, match=f"need one dtype; got float32 and .*{remedy}"):
                d2l.Trainer(1).fit(model, Loaders(batched((X, y), 64, shuffle=False)))
