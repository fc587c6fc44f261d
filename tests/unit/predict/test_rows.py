"""Rows of a table as frames, dicts and columns, and values that do not fit."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfd2l.export.signature_types import TensorSpec
from tfd2l.predict.answers import ServingError
from tfd2l.predict.rows import are_rows, check_rows

SPECS = {"rooms": TensorSpec("", "float32", (None,)), "roof": TensorSpec("", "string", (None,))}
COLUMNS: dict[str, Any] = {"rooms": [2, None, 3.5], "roof": ["Slate", None, "Tün"]}


@pytest.mark.parametrize(
    "rows",
    [
        COLUMNS,
        COLUMNS | {"another": [1, 2, 3]},
        [dict(zip(COLUMNS, row, strict=True)) for row in zip(*COLUMNS.values(), strict=True)],
        pd.DataFrame(COLUMNS),
        pd.DataFrame(COLUMNS)[["roof", "rooms"]].astype(object),
        pd.DataFrame(COLUMNS).convert_dtypes(),
        pd.DataFrame(COLUMNS).set_index(pd.Index([7, 7, 9])),
        {"rooms": np.array([2, np.nan, 3.5]), "roof": np.array([b"Slate", b"", "Tün".encode()])},
    ],
)
def test_all_forms_of_rows_give_the_same_inputs(rows: Any) -> None:
    assert are_rows(rows)
    found = check_rows(rows, SPECS)
    assert [*found] == ["rooms", "roof"]
    np.testing.assert_array_equal(found["rooms"], np.array([2, np.nan, 3.5], np.float32))
    assert found["rooms"].dtype == np.float32
    assert found["roof"].dtype == np.object_
    assert found["roof"].tolist() == [b"Slate", b"", "Tün".encode()]


def test_a_number_in_a_column_of_text_is_its_text_with_or_without_a_gap() -> None:
    whole = {"rooms": [0, 0], "roof": [10, -3]}
    gap = pd.DataFrame({"rooms": [0, 0, 0], "roof": [10, -3, None]})
    assert str(gap["roof"].dtype) == "float64"
    assert check_rows(whole, SPECS)["roof"].tolist() == [b"10", b"-3"]
    assert check_rows(gap, SPECS)["roof"].tolist() == [b"10", b"-3", b""]
    others = {"rooms": [0, 0], "roof": [0.5, True]}
    assert check_rows(others, SPECS)["roof"].tolist() == [b"0.5", b"True"]


def test_numbers_without_names_are_one_input() -> None:
    specs = {"features": TensorSpec("", "float32", (None, 2))}
    found = check_rows({"features": [[1, 2], [3, 4]]}, specs)["features"]
    np.testing.assert_array_equal(found, np.array([[1, 2], [3, 4]], np.float32), strict=True)
    for features, words in (
        ([[1, 2, 3]], r"\(n, 2\); got \(1, 3\)"),
        ([1, 2], r"\(n, 2\); got \(2,\)"),
        ([["a", "b"]], "must have numbers"),
    ):
        with pytest.raises(ServingError, match=words):
            check_rows({"features": features}, specs)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"rooms": [1]}, "takes the columns .*; the table has no 'roof', but .*missing is None"),
        (pd.DataFrame({"roof": ["a"]}), "the table has no 'rooms', but "),
        ([{"rooms": 1, "roof": "a"}, {"rooms": 1}], "row 1 has no 'roof', but "),
        ({"rooms": ["three"], "roof": ["a"]}, "'rooms' takes numbers .*; row 0 has 'three'"),
        ({"rooms": ["nan"], "roof": ["a"]}, "'rooms' takes numbers .*; row 0 has 'nan'"),
        ({"rooms": [1, 1e39], "roof": ["a", "b"]}, r"numbers of float32.*; row 1 has 1e\+39"),
        ({"rooms": [[1]], "roof": ["a"]}, r"'rooms' takes numbers .*; row 0 has \[1\]"),
        ({"rooms": [1], "roof": [["a"]]}, r"'roof' takes texts, .*; row 0 has \['a'\]"),
        ({"rooms": [1], "roof": ["\ud800"]}, "column 'roof', row 0: "),
        ({"rooms": [1, 2], "roof": ["a"]}, "a value in each column, .* {'roof': 1, 'rooms': 2}"),
        ({"rooms": [], "roof": []}, "and be at least one"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_column_and_row(rows: Any, message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        check_rows(rows, SPECS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", [np.zeros((2, 3)), [[1, 2]], [], "ab", None, 3])
def test_arrays_and_other_values_are_no_rows(other: Any) -> None:
    assert not are_rows(other)
