"""Section 5.7: house prices by folds, on made-up houses with Kaggle's columns."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import nbformat
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import house_prices
from pipelines.tables.csv_files import write_table
from tfd2l.book.kaggle_house import TEST_FILE, TRAIN_FILE

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "05_07_kaggle_house_price.ipynb"


@pytest.fixture
def data(house_files: Path) -> d2l.KaggleHouse:
    train, test = (house_prices.read(house_files / name) for name in (TRAIN_FILE, TEST_FILE))
    return d2l.KaggleHouse(batch_size=64, train=train, val=test)


def arrays(rows: house_prices.Prepared | None) -> tuple[np.ndarray[Any, Any], ...]:
    """Features and log prices."""
    assert rows is not None
    assert rows.log_prices is not None
    return rows.inputs.to_numpy(), rows.log_prices.to_numpy()


class FromMean(d2l.LinearRegression):
    """Linear regression that predicts `mean` for every house at first."""

    def __init__(self, lr: float, mean: float) -> None:
        super().__init__(lr)
        self.save_hyperparameters()
        bias = keras.initializers.Constant(mean)
        self.net = keras.layers.Dense(1, kernel_initializer="zeros", bias_initializer=bias)


def test_a_difference_of_logarithms_is_a_ratio_of_prices() -> None:
    # 10 % too much is as wrong for a cheap house as for an expensive one; ln 1.1 = 0.0953102.
    for price in (60_000.0, 600_000.0):
        assert math.log(1.1 * price) - math.log(price) == pytest.approx(0.0953102, abs=1e-7)
    # Twice and half as much are equally wrong.
    errors = np.log([200_000, 50_000]) - np.log(100_000)
    assert math.sqrt(np.mean(errors**2)) == pytest.approx(math.log(2))


def test_the_features_of_training_rows_are_standardized_and_those_of_test_rows_nearly(
    data: d2l.KaggleHouse,
) -> None:
    numbers = list(data.statistics.means)
    assert {"MSSubClass", "LotFrontage", "GrLivArea"} <= {*numbers}
    inputs = data.train.inputs[numbers]
    # Sums of 150 float64 numbers.
    np.testing.assert_allclose(inputs.mean(), 0, atol=1e-12)
    complete = [name for name in numbers if name != "LotFrontage"]
    np.testing.assert_allclose(inputs[complete].std(), 1, rtol=1e-12)
    # Imputed values don't vary: n - 1 counts all rows, but the squares are of the others alone.
    gaps = data.raw_train["LotFrontage"].isna().sum()
    expected = math.sqrt((150 - gaps - 1) / (150 - 1))
    assert inputs["LotFrontage"].std() == pytest.approx(expected, rel=1e-12)
    assert data.val is not None
    assert list(data.val.inputs) == list(data.train.inputs)
    # Another 50 draws, so the means are not exactly 0.
    assert (data.val.inputs[numbers].mean().abs() > 1e-6).all()


def test_each_category_has_a_column_and_so_has_its_absence(data: d2l.KaggleHouse) -> None:
    columns = [name for name in map(str, data.train.inputs) if name.startswith("GarageType")]
    assert columns == ["GarageType_Attchd", "GarageType_Detchd", "GarageType_nan"]
    np.testing.assert_array_equal(data.train.inputs[columns].sum(axis=1), np.ones(150))
    missing = data.raw_train["GarageType"].isna()
    np.testing.assert_array_equal(data.train.inputs["GarageType_nan"] == 1, missing)


def test_folds_of_linear_regression_are_those_of_gradient_descent_in_numpy(
    data: d2l.KaggleHouse,
) -> None:
    data.batch_size, lr, epochs = 150, 0.01, 3
    for fold in data.folds(3):
        # A fold is one batch, so the order of its rows has no influence.
        (X, y), (val_X, val_y) = arrays(fold.train), arrays(fold.val)
        assert (len(y), len(val_y)) == (100, 50)
        w, b, train_losses, val_losses = np.zeros(X.shape[1]), y.mean(), [], []
        for _ in range(epochs):
            error = X @ w + b - y
            train_losses.append(np.mean(error**2))
            w, b = w - lr * 2 * X.T @ error / 100, b - lr * 2 * error.mean()
            val_losses.append(np.mean((val_X @ w + b - val_y) ** 2))
        model = FromMean(lr, mean=float(y.mean()))
        history = d2l.Trainer(max_epochs=epochs).fit(model, fold)
        # Errors are differences of float32 logarithms near 11, known to 1e-6 each.
        assert history["train_loss"] == pytest.approx(train_losses, rel=1e-4)
        assert history["val_loss"] == pytest.approx(val_losses, rel=1e-4)


def test_predicting_the_mean_costs_the_variance_and_a_model_does_better(
    data: d2l.KaggleHouse,
) -> None:
    constant, found = [], []
    for fold in data.folds(5):
        mean, val_y = arrays(fold.train)[1].mean(), arrays(fold.val)[1]
        # Spread about its own mean, and that mean's distance from the other one.
        expected = val_y.var() + (val_y.mean() - mean) ** 2
        constant.append(np.mean((val_y - mean) ** 2))
        assert constant[-1] == pytest.approx(expected)
        history = d2l.Trainer(max_epochs=30).fit(FromMean(0.03, float(mean)), fold)
        found.append(history["val_loss"][-1])
    # The noise of the made-up prices has the variance 0.1^2, which no model can predict; the bounds
    # are half and twice that.
    assert np.mean(constant) > 0.1
    assert 0.005 < np.mean(found) < 0.02


def test_a_model_of_a_fold_answers_for_test_rows_by_the_folds_statistics(
    data: d2l.KaggleHouse,
) -> None:
    fold = next(data.folds(5))
    assert data.raw_val is not None
    X = house_prices.apply(data.raw_val, fold.statistics).inputs
    assert data.val is not None
    assert not np.array_equal(X, data.val.inputs)
    assert list(X) == list(fold.train.inputs)
    model = FromMean(0.01, mean=11.0)
    assert model(tf.constant(X, tf.float32)).shape == (50, 1)


def test_the_submission_is_a_table_of_ids_and_prices(data: d2l.KaggleHouse, tmp_path: Path) -> None:
    assert data.raw_val is not None
    # Two models' logarithms: their mean is the geometric mean of the prices, sqrt(1e5 * 4e5).
    answers = np.log([np.full(50, 1e5), np.full(50, 4e5)])
    prices = np.exp(answers.mean(axis=0)).round(2)
    submission = pd.DataFrame({"Id": data.raw_val["Id"], "SalePrice": prices})
    write_table(submission, tmp_path / "submission.csv")
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines[:2] == ["Id,SalePrice", "151,200000.0"]
    assert len(lines) == 51


def test_the_committed_notebook_shows_kaggles_own_files() -> None:
    cells = {cell.id: cell for cell in nbformat.read(NOTEBOOK, as_version=4).cells}
    [said] = cells["download-code"].outputs
    assert said.text.count("the known file") == 2
    assert "(1460, 81) with prices, (1459, 80) without" in said.text
