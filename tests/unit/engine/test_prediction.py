"""tfd2l/engine/prediction.py: outputs for all examples, against the model called by hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l

X = np.arange(14, dtype=np.float32).reshape(7, 2)


class Line(d2l.Module):
    """2 x0 + 3 x1, and dropout in training; `sizes` are those of its calls."""

    def __init__(self) -> None:
        super().__init__()
        self.w = tf.Variable([[2.0], [3.0]])
        self.dropout = keras.layers.Dropout(0.9)
        self.sizes: list[int] = []

    def forward(self, X: Any, *others: Any) -> Any:
        self.sizes.append(int(X.shape[0]))
        return self.dropout(tf.matmul(X, self.w))


class Places(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of three by their places."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, place: int) -> Any:
        return X[3 * place : 3 * place + 3], np.zeros(3)


def generator() -> Iterator[Any]:
    yield X[:3], np.zeros(3)
    yield X[3:], np.zeros(4)


BATCHES = tf.data.Dataset.from_tensor_slices((X, np.zeros(7))).batch(3)


@pytest.mark.parametrize(
    "given",
    [
        X, X.astype(np.float64), tf.constant(X), tf.Variable(X), X.tolist(), pd.DataFrame(X), (X,),
        BATCHES, BATCHES.map(lambda X, y: X), BATCHES.map(lambda X, y: (X,)), generator(),
        Places(),
    ],
    ids=lambda given: type(given).__name__,
)  # fmt: skip
def test_all_kinds_of_examples_give_the_models_outputs_in_order(given: Any) -> None:
    outputs = Line().train().predict(given)
    assert isinstance(outputs, np.ndarray)
    # Whole numbers are exact in float32.
    np.testing.assert_array_equal(outputs, X @ np.array([[2.0], [3.0]], np.float32), strict=True)


def test_batches_have_the_given_size_and_the_last_one_is_smaller() -> None:
    model = Line()
    model.predict(X, batch_size=3)
    model.predict(np.zeros((70, 2)))
    assert model.sizes == [3, 3, 1, 32, 32, 6]


def test_a_data_modules_loader_is_predicted_without_its_targets() -> None:
    data = d2l.SyntheticRegressionData(w=[2.0, 3.0], b=0.0, noise=0, num_train=4, num_val=5)
    outputs = Line().predict(data.val_dataloader())
    np.testing.assert_allclose(outputs, data.y[4:], rtol=1e-5)
    with pytest.raises(ValueError, match=r"got the data module Synthetic.*val_dataloader\(\)"):
        Line().predict(data)


def test_several_inputs_and_outputs_keep_their_structure() -> None:
    class Two(d2l.Module):
        def forward(self, X: Any, scale: Any) -> Any:
            return {"sum": X + scale, "both": (X, scale)}

    outputs = Two().predict((X, np.ones((7, 1))), batch_size=4)
    np.testing.assert_array_equal(outputs["sum"], X + 1)
    np.testing.assert_array_equal(outputs["both"][1], np.ones((7, 1)))


def test_an_input_that_is_a_dict_reaches_the_model_as_one() -> None:
    class Table(d2l.Module):
        def forward(self, columns: Any) -> Any:
            return columns["a"] - columns["b"]

    outputs = Table().predict({"a": [3, 4, 5], "b": [1, 1, 1]}, batch_size=2)
    assert outputs.tolist() == [2, 3, 4]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (np.zeros((0, 2)), r"at least one example.*\(0, 2\)"),
        (3.0, r"shape \(\)"),
        ("images", r"shape \(\)"),
        ((X, X[:3]), r"\(7, 2\), \(3, 2\)"),
        (iter([]), "the loader has no batches"),
        (BATCHES.repeat(), "repeats without end"),
    ],
)
def test_what_cannot_be_predicted_is_refused_in_words(given: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Line().predict(given)


def test_a_batch_size_must_be_a_size_and_have_a_use() -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1; got 0"):
        Line().predict(X, batch_size=0)
    with pytest.raises(ValueError, match=r"batch_size must be left out; got batch_size=8 for a"):
        Line().predict(BATCHES, batch_size=8)


def test_a_model_that_returns_one_number_for_a_batch_is_refused() -> None:
    class Mean(d2l.Module):
        def forward(self, X: Any) -> Any:
            return tf.reduce_mean(X)

    with pytest.raises(ValueError, match=r"an output for each example, \(n, ...\)"):
        Mean().predict(X)
