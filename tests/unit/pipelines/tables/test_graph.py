"""pipelines/tables/graph.py: TensorFlow's operations give the numbers of `prepare`."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tables.graph import table_input
from pipelines.tables.preparation import as_float32, prepare
from pipelines.tables.rows import rows_for
from pipelines.tables.statistics import Missing, Statistics, fit


def in_graph(frame: pd.DataFrame, statistics: Statistics) -> Any:
    """The rows as a served model prepares them: (n, d) float32."""
    raw_input = table_input(statistics)
    raw = {name: tf.constant(c) for name, c in rows_for(frame, raw_input.columns).items()}
    assert {n: t.dtype for n, t in raw.items()} == {n: s.dtype for n, s in raw_input.specs.items()}
    return raw_input.prepare(raw).numpy()


NUMBER = st.one_of(st.none(), st.floats(-1e6, 1e6, width=32).map(repr), st.integers(-9, 9).map(str))
KIND = st.one_of(st.none(), st.sampled_from(["Slate", "Tin", " Tin ", "a, b", "Dach\u00e9", "tin"]))
SIZE = st.one_of(st.none(), st.sampled_from(["20", "60", "60.0", "0.1"]))
FLAG = st.one_of(st.none(), st.sampled_from(["True", "false", "TRUE"]))
DATE = st.one_of(st.none(), st.datetimes().map(lambda time: time.isoformat()),
                 st.dates().map(str), st.sampled_from(["2020-02-29 23:59Z"]))  # fmt: skip
ROWS = st.lists(st.tuples(NUMBER, KIND, SIZE, FLAG, DATE), min_size=1, max_size=8)
FIRST = ("1", "Slate", "20", "True", "2020-01-31")
NAMES = ["number", "kind", "size", "flag", "date"]


@settings(max_examples=15)
@given(train=ROWS, later=ROWS, missing=st.sampled_from(["impute", "drop_columns"]))
def test_the_graph_prepares_rows_as_pandas_does(
    train: list[Any], later: list[Any], missing: Missing
) -> None:
    frames = [pd.DataFrame(rows, columns=NAMES, dtype="str") for rows in ([FIRST, *train], later)]
    statistics = fit(frames[0], missing=missing, categorical=["kind", "size"], standardize=True)
    if not statistics.columns:
        return
    for frame in frames:
        expected = as_float32(prepare(frame, statistics)[0])
        found = in_graph(frame, statistics)
        assert found.dtype == np.float32
        # A number is rounded to float32 on its way into the model, and once more at the end.
        spread = statistics.deviations.get("number", 1)
        size = np.where([name == "number" for name in statistics.columns], 1 + 1e6 / spread, 1)
        np.testing.assert_array_less(np.abs(found - expected), 1e-7 * (size + np.abs(expected)))


def test_gaps_unseen_categories_and_another_order_by_hand() -> None:
    train = pd.DataFrame(
        {"Rooms": [2.0, 4.0], "Roof": ["Slate", "Tin"], "Sold": ["1970-01-02", "1970-01-04"]}
    )
    statistics = fit(train, standardize=True)
    later = pd.DataFrame(
        {
            "Other": [1, 2],
            "Sold": [None, "1970-01-03T12:00:00"],
            "Roof": ["Straw", None],
            "Rooms": [None, 5],
        }
    )
    # Means 3 and day 2; deviations sqrt(2). Numbers, dates, Slate, Tin, no roof.
    half = 1 / np.sqrt(2)
    expected = [[0, 0, 0, 0, 0], [2 * half, 0.5 * half, 0, 0, 1]]
    np.testing.assert_allclose(in_graph(later, statistics), expected, rtol=1e-7)


def test_a_client_may_write_spaces_and_bools_in_any_case() -> None:
    train = pd.DataFrame({"Roof": ["Slate", "Tin"], "New": ["True", "False"]})
    raw = {"Roof": tf.constant([" Tin", " "]), "New": tf.constant(["TRUE", "false "])}
    # Slate, Tin, no roof; False, True, unknown.
    expected = [[0, 1, 0, 0, 1, 0], [0, 0, 1, 1, 0, 0]]
    np.testing.assert_array_equal(table_input(fit(train)).prepare(raw), expected)


def test_large_numbers_close_together_are_standardized_in_float64() -> None:
    # Float32 holds these integers, but not their mean, 16777212.5.
    train = pd.DataFrame({"a": [16777212.0, 16777213.0]})
    statistics = fit(train, standardize=True)
    half = 1 / np.sqrt(2)
    np.testing.assert_allclose(in_graph(train, statistics), [[-half], [half]], rtol=1e-6)


def test_a_text_that_is_no_date_is_refused() -> None:
    raw_input = table_input(fit(pd.DataFrame({"Sold": ["2020-01-31", "2020-02-01"]})))
    prepare_ = tf.function(raw_input.prepare)
    for text in ("31.01.2020", "2020-1-1", "1"):
        with pytest.raises(tf.errors.InvalidArgumentError, match="column Sold is no date such"):
            prepare_({"Sold": tf.constant(["2020-01-31", text])})


def test_a_gap_is_refused_where_training_left_out_such_rows() -> None:
    train = pd.DataFrame({"Rooms": [2.0, 3.0, None], "Roof": ["Slate", "Tin", None]})
    raw_input = table_input(fit(train, missing="drop_rows"))
    prepare_ = tf.function(raw_input.prepare)
    full = {"Rooms": tf.constant([2.0]), "Roof": tf.constant(["Tin"])}
    np.testing.assert_array_equal(prepare_(full), [[2, 0, 1]])
    for name, gap in (("Rooms", float("nan")), ("Roof", "")):
        with pytest.raises(tf.errors.InvalidArgumentError, match=f"missing in column {name}"):
            prepare_({**full, name: tf.constant([gap])})


def test_the_sample_rows_can_be_prepared_and_differ() -> None:
    train = pd.DataFrame({
        "a": [1.0, 2.0], "b": ["x", "y"], "c": ["2020-01-31", "2020-02-01"], "d": ["1", "2"],
    })  # fmt: skip
    for missing in ("impute", "drop_rows"):
        statistics = fit(train, missing=missing, categorical=["d"])
        raw_input = table_input(statistics)
        assert raw_input.sample is not None
        assert {*raw_input.sample} == {*raw_input.specs}
        first, second = raw_input.prepare({n: tf.constant(v) for n, v in raw_input.sample.items()})
        assert (first.numpy()[:2] != second.numpy()[:2]).all()
