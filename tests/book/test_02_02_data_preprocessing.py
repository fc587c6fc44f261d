"""Section 2.2: the tiny table from the file to the tensors, by hand and by the library."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

from pipelines import house_tiny
from pipelines.tables.batches import dataset
from pipelines.tables.csv_files import read_table
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import fit

X_PRINTED = [[3, 0, 1], [2, 0, 1], [4, 1, 0], [3, 0, 1]]
Y_PRINTED = [127500, 106000, 178100, 140000]


@pytest.fixture
def data_file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "house_tiny.csv"
    house_tiny.write(path)
    return path


def test_pandas_reads_na_as_missing(data_file: Path) -> None:
    data = pd.read_csv(data_file)
    assert list(data.columns) == ["NumRooms", "RoofType", "Price"]
    np.testing.assert_array_equal(data["NumRooms"], [np.nan, 2, 4, np.nan])
    assert list(data["RoofType"].isna()) == [True, True, False, True]


def test_by_hand_the_tensors_are_the_printed_ones(data_file: Path) -> None:
    data = pd.read_csv(data_file)
    inputs, targets = data.iloc[:, 0:2], data.iloc[:, 2]
    inputs = pd.get_dummies(inputs, dummy_na=True)
    assert list(inputs) == ["NumRooms", "RoofType_Slate", "RoofType_nan"]
    inputs = inputs.fillna(inputs.mean())
    X = tf.constant(inputs.to_numpy(dtype=float))
    y = tf.constant(targets.to_numpy(dtype=float))
    np.testing.assert_array_equal(X, X_PRINTED)
    np.testing.assert_array_equal(y, Y_PRINTED)
    assert X.dtype == y.dtype == tf.float64


def test_the_library_gives_the_same_columns_and_numbers(data_file: Path) -> None:
    frame = read_table(data_file)
    inputs, _ = prepare(frame, fit(frame, target="Price"))
    assert list(inputs) == ["NumRooms", "RoofType_Slate", "RoofType_nan"]
    X, y = house_tiny.load(data_file)
    np.testing.assert_array_equal(X, X_PRINTED)
    np.testing.assert_array_equal(y, Y_PRINTED)
    assert X.dtype == y.dtype == tf.float64


def test_deletion_leaves_one_row_or_the_target_alone(data_file: Path) -> None:
    data = pd.read_csv(data_file)
    assert data.dropna().to_numpy().tolist() == [[4.0, "Slate", 178100]]
    assert list(data.dropna(axis=1)) == ["Price"]
    X, y = house_tiny.load(data_file, missing="drop_rows")
    assert (X.numpy().tolist(), y.numpy().tolist()) == ([[4, 1]], [178100])


def test_the_batches_are_float32_for_a_model(data_file: Path) -> None:
    frame = read_table(data_file)
    inputs, target = prepare(frame, fit(frame, target="Price"))
    assert target is not None
    (X, y), (last, _) = dataset(inputs, target, batch_size=3, shuffle=False)
    np.testing.assert_array_equal(X, X_PRINTED[:3])
    np.testing.assert_array_equal(y[:, 0], Y_PRINTED[:3])
    assert X.dtype == y.dtype == tf.float32
    assert last.shape == (1, 3)
