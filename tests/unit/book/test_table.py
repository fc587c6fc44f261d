"""tfd2l/book/data_modules/table.py: a reader's own table, from the file to the served answer."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.outputs import ClassOutput, NumberOutput
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError


def houses(n: int = 40) -> pd.DataFrame:
    random = np.random.default_rng(0)
    rooms, roof = random.integers(1, 8, n).astype(float), random.choice(["Slate", "Tin"], n)
    return pd.DataFrame(
        {
            "Rooms": np.where(np.arange(n) % 9 == 4, np.nan, rooms),
            "Roof": [None if at % 7 == 3 else one for at, one in enumerate(roof)],
            "Price": 100_000 + 20_000 * rooms + 5_000 * (roof == "Slate"),
        }
    )


def all_of(loader: Any) -> tuple[Any, Any]:
    X, y = zip(*loader, strict=True)
    return np.concatenate(X), np.concatenate(y)


def test_a_file_and_a_frame_give_the_same_batches(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    houses().to_csv(path, index=False)
    tables = [d2l.Table(source, "Price", 16) for source in (path, str(path), houses())]
    for data in tables:
        assert (data.task, data.labels, data.num_inputs) == ("regression", None, 4)
        assert (data.num_train, data.num_val) == (32, 8)
        shapes = [(X.shape, y.shape, X.dtype, y.dtype) for X, y in data.train_dataloader()]
        assert shapes == [((16, 4), (16, 1), tf.float32, tf.float32)] * 2
        for train in (True, False):
            for found, expected in zip(
                all_of(data.get_dataloader(train)), all_of(tables[0].get_dataloader(train)),
                strict=True,
            ):  # fmt: skip
                np.testing.assert_array_equal(np.sort(found, 0), np.sort(expected, 0))


def test_a_single_name_is_that_of_one_column() -> None:
    data = d2l.Table(houses().assign(R=1), "Price", ignore="Roof", categorical="Rooms")
    assert {*data.statistics.categories} == {"Rooms"}
    # Its letter is the name of another column, and is none of its own.
    assert {*data.statistics.means} == {"R"}


def test_inputs_and_target_are_standardized_by_the_training_rows() -> None:
    data = d2l.Table(houses(), "Price")
    X, y = all_of(data.train_dataloader())
    train = data.raw_train
    # A mean of float32 numbers of about 1.
    np.testing.assert_allclose([X[:, 0].mean(), y.mean()], 0, atol=1e-6)
    assert y.std(ddof=1) == pytest.approx(1, rel=1e-6)
    _, (X_val, y_val) = data.statistics, all_of(data.val_dataloader())
    expected = (data.raw_val["Price"] - train["Price"].mean()) / train["Price"].std()
    np.testing.assert_allclose(y_val[:, 0], expected, rtol=1e-5)
    rooms = data.raw_val["Rooms"].fillna(train["Rooms"].mean())
    expected = (rooms - train["Rooms"].mean()) / train["Rooms"].std()
    np.testing.assert_allclose(X_val[:, 0], expected, rtol=1e-5, atol=1e-6)


def test_classes_are_int32_and_each_has_its_share_of_the_validation() -> None:
    frame = houses(50).assign(Kind=["dear", "cheap", "cheap", "fair", "fair"] * 10)
    data = d2l.Table(frame, "Kind", ignore=["Price"])
    assert (data.task, data.labels) == ("classification", ("cheap", "dear", "fair"))
    _, y = all_of(data.val_dataloader())
    assert y.dtype == np.int32
    assert np.bincount(y).tolist() == [4, 2, 4]
    assert data.output() == ClassOutput(("cheap", "dear", "fair"))
    assert "Price" not in data.raw_input().columns
    _, ids = data.raw_examples(3)
    np.testing.assert_array_equal(ids, y[:3])


def test_columns_and_target_are_categories_on_request() -> None:
    frame = houses().assign(Grade=[1, 2, 10, 2] * 10, Size=[20, 60] * 20)
    data = d2l.Table(frame, "Grade", categorical=["Grade", "Size"])
    assert (data.labels, data.statistics.categories["Size"]) == (("1", "2", "10"), ("20", "60"))
    assert data.describe()["task_rule"] == "classification, as 'Grade' has 3 classes"
    assert d2l.Table(frame, "Price", categorical="Size").statistics.categories["Size"]
    assert d2l.Table(frame, "Grade").task == "regression"


def test_the_graph_and_the_outputs_give_what_training_had() -> None:
    data = d2l.Table(houses(), "Price")
    raw, prices = data.raw_examples()
    X, y = all_of(data.val_dataloader())
    found = data.raw_input().prepare({name: tf.constant(column) for name, column in raw.items()})
    np.testing.assert_allclose(found, X, rtol=1e-6, atol=1e-6)
    output = data.output()
    assert isinstance(output, NumberOutput)
    # Seven digits of float32.
    np.testing.assert_allclose(output.restore(tf.constant(y[:, 0])), prices, rtol=1e-6)
    np.testing.assert_array_equal(prices, data.raw_val["Price"])


def test_validation_rows_may_be_given_or_not_wanted() -> None:
    data = d2l.Table(houses(), "Price", val=houses(10))
    assert (data.num_train, data.num_val) == (40, 10)
    assert data.describe()["split"] == {"train": 40, "val": 10, "val_share": None}
    data = d2l.Table(houses(), "Price", val_share=0)
    assert (data.num_train, data.num_val, data.val_dataloader()) == (40, 0, None)
    assert len(data.raw_examples()[1]) == 40
    kinds = houses().assign(Price=["a", "b"] * 20)
    with pytest.raises(TableError, match=r"'Price', row 0: training has no class 'c'"):
        d2l.Table(kinds, "Price", val=kinds.assign(Price="c"))


def test_the_seed_decides_the_split() -> None:
    first, again, other = (d2l.Table(houses(), "Price", seed=seed) for seed in (1, 1, 2))
    assert list(first.raw_val.index) == list(again.raw_val.index) != list(other.raw_val.index)


def test_the_record_is_json_and_its_dialect_reads_the_file(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    path.write_text("Rooms;Sold;Price\n1,5;01.02.2020;$1.200\n?;31.12.2020;$3.400\n4;;$2.000\n")
    options: dict[str, Any] = {
        "decimal": ",", "thousands": ".", "units": "$", "na_values": "?", "date_format": "%d.%m.%Y",
    }  # fmt: skip
    data = d2l.Table(path, "Price", val_share=0, **options)
    record = json.loads(json.dumps(data.describe()))
    assert record["columns"] == {"Rooms": "number", "Sold": "date"}
    assert record["task_rule"] == "regression, as 'Price' has 3 different numbers"
    assert (record["source"], record["rows"]) == (str(path), 3)
    assert Dialect(**record["dialect"]) == data.dialect
    raw, prices = data.raw_examples()
    np.testing.assert_array_equal(prices, [1200, 3400, 2000])
    np.testing.assert_array_equal(raw["Rooms"], [1.5, np.nan, 4])
    assert raw["Sold"].tolist() == ["2020-02-01", "2020-12-31", ""]


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    houses().to_csv(path, index=False)
    frame = houses()
    changed = frame.assign(Price=frame["Price"].where(frame.index != 3, 1.0))
    prints = [
        d2l.Table(source, "Price").describe()["fingerprint"]
        for source in (path, frame, houses(), changed, frame.rename(columns={"Rooms": "rooms"}))
    ]
    assert prints[1] == prints[2]
    assert len({*prints}) == 4
    assert all(len(one) == 64 for one in prints)


def test_rows_and_targets_that_are_missing_are_dropped_on_request() -> None:
    frame = houses()
    frame.loc[[2, 5], "Price"] = None
    with pytest.raises(TableError, match=r"'Price', row 2: the target has no value, as in 2 of 40"):
        d2l.Table(frame, "Price")
    data = d2l.Table(frame, "Price", drop_missing_targets=True)
    assert data.num_train + data.num_val == 38
    data = d2l.Table(houses(), "Price", missing="drop_rows")
    assert data.num_train + data.num_val == len(houses().dropna())
    X, _ = all_of(data.train_dataloader())
    np.testing.assert_allclose([X[:, 0].mean(), X[:, 0].std(ddof=1)], [0, 1], atol=1e-6)
    data = d2l.Table(houses().assign(Area=range(0, 400, 10)), "Price", missing="drop_columns")
    assert list(data.raw_input().columns) == ["Area"]


BAD: dict[str, tuple[dict[str, list[Any]], dict[str, Any], str]] = {
    "no target": ({"Price": [1, 2]}, {"target": "price"}, "column 'price'; did you mean 'Price'"),
    "no index": ({"a": [1], "y": [2]}, {"index_column": "Id"}, "the table has no column 'Id'"),
    "no rows": ({"a": [], "y": []}, {}, "the table has no row"),
    "one class": ({"a": [1, 2], "y": ["b", "b"]}, {}, "'y' is 'b' in every row"),
    "constant": ({"a": [1, 2], "y": [3, 3]}, {}, "'y' is '3' in every row"),
    "empty target": ({"a": [1, 2], "y": [None, None]}, {}, "as in 2 of 2 rows"),
    "dropped": (
        {"a": [1, 2], "y": [None, None]}, {"drop_missing_targets": True}, "no row without a miss",
    ),
    "empty column": ({"a": [None] * 3, "y": [1, 2, 4]}, {"val_share": 0}, "'a' has no value"),
    "no gap-free row": ({"a": [None] * 2, "y": [1, 2]}, {"missing": "drop_rows"}, "without a miss"),
    "only a target": ({"y": [1, 2, 3]}, {}, "no column is left from which 'y' could be predicted"),
    "no column left": (
        {"a": [1, None, 2], "y": [1, 2, 3]}, {"missing": "drop_columns", "val_share": 0}, "is left",
    ),
    "number as text": ({"a": ["$1", "$2"], "y": [1, 2]}, {"val_share": 0}, r"units=\['\$'\]"),
    "twice": ({"a": [1, 2], " a": [1, 2], "y": [1, 2]}, {}, "'a' more than once"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_table_that_cannot_be_learned_from_is_refused_in_a_line(kind: str) -> None:
    columns, options, message = BAD[kind]
    with pytest.raises(TableError, match=message) as caught:
        d2l.Table(pd.DataFrame(columns), **{"target": "y", **options})
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"val_share": 1}, "val_share must be a finite number from 0 to 0.9; got 1"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"seed": -1}, "seed must be a whole number"),
        ({"task": "ranking"}, "task must be 'classification' or 'regression'; got 'ranking'"),
        (
            {"missing": "drop"},
            "missing must be 'impute', 'drop_rows' or 'drop_columns'; got 'drop'",
        ),
        ({"decimal": ",", "thousands": ","}, "decimal and thousands must be different"),
    ],
)
def test_options_out_of_range_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        d2l.Table(houses(), "Price", **options)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(TypeError, match="separator"):
        d2l.Table(houses(), "Price", separator=";")


def test_a_column_that_numbers_the_rows_is_pointed_out() -> None:
    frame = houses().rename_axis("Id").reset_index()
    with pytest.warns(UserWarning, match=r"'Id' counts the rows; .* index_column='Id'"):
        d2l.Table(frame, "Price")
    assert "Id" not in d2l.Table(frame, "Price", index_column="Id").raw_input().columns


def test_numbers_that_float32_cannot_tell_apart_are_pointed_out() -> None:
    frame = houses().assign(Time=1.7e9 + np.arange(40) ** 2)
    with pytest.warns(UserWarning, match=r"'Time' has numbers around 1.7e\+09 .* float32"):
        d2l.Table(frame, "Price")


@pytest.mark.slow
def test_a_model_learns_a_table_and_is_published(tmp_path: Path) -> None:
    data = d2l.Table(houses(200), "Price")
    model = d2l.MLPRegression(num_hiddens=8, lr=0.05)
    history = d2l.Trainer(max_epochs=20).fit(model, data)
    # Always the mean would have 1; the gaps of rooms and roofs can't be known.
    assert history["val_loss"][-1] < 0.4
    version = d2l.publish(model, data, tmp_path / "houses")
    served = tf.saved_model.load(str(version)).signatures["serving_default"]
    raw, prices = data.raw_examples(5)
    answers = served(**{name: tf.constant(column) for name, column in raw.items()})
    output = data.output()
    assert isinstance(output, NumberOutput)
    X, _ = all_of(data.val_dataloader())
    expected = output.restore(model(X[:5])[:, 0])
    np.testing.assert_allclose(answers["prediction"], expected, rtol=1e-5)
    assert np.abs(answers["prediction"] - prices).mean() < 30_000
