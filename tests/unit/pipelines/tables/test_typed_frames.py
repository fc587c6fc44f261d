"""Frames of typed columns give the numbers that texts give, at fit and at prediction."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipelines.tables.errors import TableError
from pipelines.tables.preparation import prepare
from pipelines.tables.rows import rows_for
from pipelines.tables.statistics import fit

TEXTS = pd.DataFrame(
    {
        "rooms": ["2", None, "10"],
        "size": ["60", "20", None],
        "share": ["0.5", "1.25", "7.0"],
        "new": ["True", None, "False"],
        "roof": ["Slate", "Tin", None],
        "sold": ["2020-01-31", None, "2020-02-01T12:30:00"],
    },
    dtype="str",
)
TIME = pd.Timestamp(2020, 2, 1, 12, 30).to_pydatetime()
TYPED: dict[str, Any] = {
    # pandas makes floats of integers where one is missing: 60.0.
    "floats": {"rooms": [2.0, np.nan, 10.0], "size": [60.0, 20.0, np.nan]},
    "nullable integers": {
        "rooms": pd.array([2, None, 10], "Int64"), "size": pd.array([60, 20, None], "Int64"),
    },
    "objects": {
        "rooms": np.array([2, None, 10.0], object), "size": np.array([60.0, 20, None], object),
    },
    "float32": {"share": np.array([0.5, 1.25, 7], np.float32)},
    "bools": {"new": np.array([True, None, False], object)},
    "nullable bools": {"new": pd.array([True, None, False], "boolean")},
    "categoricals": {"roof": pd.Categorical(["Slate", "Tin", None])},
    "object texts": {"roof": np.array(["Slate", " Tin", None], object)},
    "datetimes": {"sold": [pd.Timestamp(2020, 1, 31), None, pd.Timestamp(2020, 2, 1, 12, 30)]},
    "UTC": {
        "sold": [pd.Timestamp("2020-01-31T02+02:00"), None, pd.Timestamp("2020-02-01T14:30+02:00")]
    },
    "dates": {"sold": np.array([datetime.date(2020, 1, 31), None, TIME], object)},
}  # fmt: skip


@pytest.mark.parametrize("kind", TYPED)
def test_typed_columns_give_the_numbers_of_texts(kind: str) -> None:
    typed = TEXTS.assign(**TYPED[kind])
    options: dict[str, Any] = {"categorical": ["size"], "standardize": True}
    statistics = fit(TEXTS, **options)
    assert statistics.categories["size"] == ("20", "60")
    assert fit(typed, **options) == statistics
    expected = prepare(TEXTS, statistics)[0]
    pd.testing.assert_frame_equal(prepare(typed, statistics)[0], expected)
    raw, expected_raw = (rows_for(rows, statistics.raw_columns) for rows in (typed, TEXTS))
    for name in expected_raw:
        np.testing.assert_array_equal(raw[name], expected_raw[name])


def test_a_pandas_category_of_numbers_is_a_category() -> None:
    typed = pd.DataFrame({"size": pd.Categorical([60, 20, 60])})
    statistics = fit(typed)
    assert statistics.categories == {"size": ("20", "60")}
    np.testing.assert_array_equal(
        prepare(pd.DataFrame({"size": [20.0, np.nan]}), statistics)[0], [[1, 0, 0], [0, 0, 1]]
    )


def test_numbers_in_place_of_codes_are_refused() -> None:
    # As `read_csv` reads a column of 01234 by itself.
    statistics = fit(pd.DataFrame({"zip": ["01234", "80331"]}))
    later = pd.DataFrame({"zip": [1234, 4321]})
    for refused in (
        lambda: prepare(later, statistics),
        lambda: rows_for(later, statistics.raw_columns),
    ):
        with pytest.raises(TableError, match=r"'zip' has numbers here, such as '?1234.*dtype=str"):
            refused()


def test_bytes_are_refused() -> None:
    with pytest.raises(TableError, match=r"b'Slate' is no text; decode it"):
        fit(pd.DataFrame({"roof": [b"Slate", b"Tin"]}))
