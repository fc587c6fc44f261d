"""tfd2l/book/kaggle_house.py and pipelines/house_prices.py: reading, preparing, folds."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import house_prices
from pipelines.tables.errors import TableError
from tfd2l.book import kaggle_house as module

CSV = "Id,Area,Garage,SalePrice\n1,1000,Attchd,100000\n2,NA,NA,200000\n3,3000,Detchd,400000\n"


@pytest.fixture
def rows(tmp_path: Path) -> pd.DataFrame:
    path = tmp_path / "houses.csv"
    path.write_text(CSV)
    return house_prices.read(path)


def frame(**columns: list[str | None]) -> pd.DataFrame:
    return pd.DataFrame(columns, dtype="str")


def test_rows_are_read_as_text_with_missing_values_marked(rows: pd.DataFrame) -> None:
    assert list(rows) == ["Id", "Area", "Garage", "SalePrice"]
    assert rows["Area"].iloc[0] == "1000"
    assert rows.isna().to_numpy().tolist() == [[False] * 4, [False, True, True, False], [False] * 4]


def test_a_table_of_something_else_is_refused_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "flowers.csv"
    path.write_text("Sepal,Petal,Kind,Colour\n1,2,a,b\n")
    with pytest.raises(TableError, match=r"flowers\.csv has no column 'Id'.*'Sepal', 'Petal'"):
        house_prices.read(path)


def test_numbers_are_standardized_categories_split_and_prices_logarithms(
    rows: pd.DataFrame,
) -> None:
    prepared = house_prices.apply(rows, house_prices.learn(rows))
    assert list(prepared.inputs) == ["Area", "Garage_Attchd", "Garage_Detchd", "Garage_nan"]
    # 1000 and 3000: mean 2000, deviation sqrt(2 * 1000^2 / 1) = 1414.2; the gap is at the mean.
    a = 1000 / math.sqrt(2e6)
    expected = np.array([[-a, 1, 0, 0], [0, 0, 0, 1], [a, 0, 1, 0]])
    np.testing.assert_allclose(prepared.inputs, expected, rtol=1e-12)
    assert prepared.log_prices is not None
    np.testing.assert_allclose(prepared.log_prices, np.log([1e5, 2e5, 4e5]), rtol=1e-12)


def test_other_rows_are_prepared_by_the_training_rows(rows: pd.DataFrame) -> None:
    statistics = house_prices.learn(rows)
    later = frame(Id=["9", "10"], Area=["5000", None], Garage=["Carport", None])
    prepared = house_prices.apply(later, statistics)
    # (5000 - 2000) / 1414.2; a new kind of garage has 0 in all columns.
    expected = np.array([[3000 / math.sqrt(2e6), 0, 0, 0], [0, 0, 0, 1]])
    np.testing.assert_allclose(prepared.inputs, expected, rtol=1e-12)
    assert prepared.log_prices is None
    # They have no influence on the statistics.
    assert house_prices.learn(rows) == statistics


def test_the_ids_of_rows_are_not_a_feature_and_may_be_missing(rows: pd.DataFrame) -> None:
    statistics = house_prices.learn(rows)
    assert "Id" not in statistics.means
    assert house_prices.learn(rows.drop(columns="Id")) == statistics


def test_frames_that_pandas_read_serve_as_well(house_files: Path) -> None:
    path = house_files / "kaggle_house_pred_train.csv"
    ours, theirs = house_prices.read(path), pd.read_csv(path)
    assert house_prices.learn(theirs) == house_prices.learn(ours)
    prepared = [house_prices.apply(rows, house_prices.learn(ours)) for rows in (ours, theirs)]
    np.testing.assert_array_equal(prepared[0].inputs, prepared[1].inputs)


@pytest.mark.parametrize("price", ["0", "-1"])
def test_a_price_that_has_no_logarithm_is_refused_with_its_row(price: str) -> None:
    rows = frame(Id=["1", "2"], Area=["1", "2"], SalePrice=["100", price])
    with pytest.raises(TableError, match=r"'SalePrice', row 1: a price must be above 0"):
        house_prices.apply(rows, house_prices.learn(rows))


def test_training_rows_without_prices_are_refused() -> None:
    with pytest.raises(TableError, match="no column 'SalePrice'"):
        house_prices.learn(frame(Id=["1"], Area=["1"]))


@pytest.mark.parametrize(("n", "k"), [(10, 5), (11, 3), (4, 4), (2, 2)])
def test_each_row_is_in_validation_once_and_else_in_training(n: int, k: int) -> None:
    rows = pd.DataFrame({"Id": np.arange(n)}, index=np.arange(n) + 2)
    parts = list(house_prices.folds(rows, k))
    assert len(parts) == k
    assert [i for _, val in parts for i in val["Id"]] == list(range(n))
    for train, val in parts:
        assert sorted([*train["Id"], *val["Id"]]) == list(range(n))
        assert len(val) in (n // k, n // k + 1)
        assert list(train["Id"] + 2) == list(train.index)


def test_rows_of_several_files_are_kept_apart_though_their_ids_repeat() -> None:
    half = pd.DataFrame({"Id": [0, 1, 2]}, index=[2, 3, 4])
    parts = list(house_prices.folds(pd.concat([half, half + 3]), 3))
    assert [sorted([*train["Id"], *val["Id"]]) for train, val in parts] == [list(range(6))] * 3


@pytest.mark.parametrize("k", [0, 1, 4])
def test_a_number_of_folds_out_of_range_is_refused(rows: pd.DataFrame, k: int) -> None:
    with pytest.raises(ValueError, match=rf"k must be a whole number from 2 to 3; got {k}"):
        next(house_prices.folds(rows, k))


def test_the_data_module_gives_batches_of_float32_features_and_log_prices(
    rows: pd.DataFrame,
) -> None:
    data = d2l.KaggleHouse(batch_size=2, train=rows)
    batches = list(data.train_dataloader())
    assert [(X.shape, y.shape) for X, y in batches] == [((2, 4), (2, 1)), ((1, 4), (1, 1))]
    assert {tensor.dtype for batch in batches for tensor in batch} == {tf.float32}
    prices = sorted(float(price) for _, y in batches for price in y[:, 0])
    # Seven digits of float32.
    assert prices == pytest.approx(np.log([1e5, 2e5, 4e5]), rel=1e-6)
    assert data.val_dataloader() is None


def test_rows_without_prices_are_prepared_but_have_no_loader(
    rows: pd.DataFrame, house_files: Path
) -> None:
    without = rows.drop(columns="SalePrice")
    data = d2l.KaggleHouse(batch_size=2, train=rows, val=without)
    assert data.val is not None
    np.testing.assert_array_equal(data.val.inputs, data.train.inputs)
    assert data.val.log_prices is None
    assert data.val_dataloader() is None
    history = d2l.Trainer(max_epochs=1).fit(d2l.LinearRegression(lr=0.01), data)
    assert {*history} == {"epoch", "train_loss", "seconds"}


def test_validation_uses_the_statistics_of_the_training_rows(rows: pd.DataFrame) -> None:
    data = d2l.KaggleHouse(batch_size=4, train=rows.iloc[[0, 2]], val=rows.iloc[[1]])
    assert data.statistics == house_prices.learn(rows.iloc[[0, 2]])
    [(X, y)] = data.val_dataloader()
    # No garage was missing among the training rows, but there is a column for it all the same.
    assert list(data.train.inputs) == ["Area", "Garage_Attchd", "Garage_Detchd", "Garage_nan"]
    np.testing.assert_array_equal(X, [[0, 0, 0, 1]])
    np.testing.assert_allclose(y, [[math.log(2e5)]], rtol=1e-6)


def test_raw_rows_are_prepared_in_the_graph_as_in_training(house_files: Path) -> None:
    train = house_prices.read(house_files / module.TRAIN_FILE)
    data = d2l.KaggleHouse(batch_size=32, train=train[:100], val=train[100:])
    raw, prices = data.raw_examples(7)
    raw_input = data.raw_input()
    assert {n: t.dtype for n, t in raw_input.specs.items()} == raw_input.columns
    assert "Id" not in raw_input.columns
    found = raw_input.prepare({name: tf.constant(column) for name, column in raw.items()})
    [(X, y)] = data.val_dataloader().unbatch().batch(50)
    np.testing.assert_allclose(found, X[:7], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(data.output().restore(y[:7, 0]), prices, rtol=1e-5)
    np.testing.assert_array_equal(prices, train["SalePrice"][100:107].astype(float))
    record = data.describe()
    assert json.loads(json.dumps(record)) == record
    # Rows without prices can't be compared with answers, so training rows are.
    data = d2l.KaggleHouse(batch_size=32, train=train[:9], val=train.drop(columns="SalePrice"))
    assert len(data.raw_examples()[1]) == 9


def test_each_fold_of_the_data_module_learns_from_its_own_training_rows(
    house_files: Path,
) -> None:
    train = house_prices.read(house_files / module.TRAIN_FILE)
    data = d2l.KaggleHouse(batch_size=32, train=train, seed=3)
    folds = list(data.folds(5))
    assert len(folds) == 5
    validated = []
    for fold in folds:
        assert (fold.batch_size, fold.seed) == (32, 3)
        assert fold.raw_val is not None
        validated += list(fold.raw_val["Id"])
        assert fold.statistics == house_prices.learn(train[~train["Id"].isin(fold.raw_val["Id"])])
        assert fold.statistics != data.statistics
    assert validated == list(train["Id"])


def test_without_rows_the_competition_s_files_are_downloaded(
    house_files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    downloads = []

    def download(url: str, folder: str, sha1_hash: str) -> str:
        downloads.append((url, sha1_hash))
        return str(Path(folder, url.rpartition("/")[2]))

    monkeypatch.setattr(module, "download", download)
    data = d2l.KaggleHouse(batch_size=32, root=house_files)
    assert (len(data.raw_train), data.raw_val is not None and len(data.raw_val)) == (150, 50)
    assert [url.removeprefix(d2l.DATA_URL) for url, _ in downloads] == [
        "kaggle_house_pred_train.csv",
        "kaggle_house_pred_test.csv",
    ]
    assert [len(sha1) for _, sha1 in downloads] == [40, 40]
