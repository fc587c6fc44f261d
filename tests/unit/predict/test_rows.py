"""Rows of a table as frames, dicts and columns, and values that do not fit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tfd2l.export.signature_types import TensorSpec
from tfd2l.predict.answers import ServingError
from tfd2l.predict.forms import RowForm
from tfd2l.predict.rows import are_rows, check_rows

FORM = RowForm(
    {"rooms": TensorSpec("", "float32", (None,)), "roof": TensorSpec("", "string", (None,))}
)
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
        {"rooms": np.array([2, np.nan, 3.5]), "roof": np.array(["Slate", "", " Tün "])},
        {" rooms": ["2", "NA", "3.5"], "roof": ["Slate", "n/a", "Tün"]},
    ],
)
def test_all_forms_of_rows_give_the_same_inputs(rows: Any) -> None:
    assert are_rows(rows)
    found = check_rows(rows, FORM)
    assert [*found] == ["rooms", "roof"]
    np.testing.assert_array_equal(found["rooms"], np.array([2, np.nan, 3.5], np.float32))
    assert found["rooms"].dtype == np.float32
    assert found["roof"].dtype == np.object_
    assert found["roof"].tolist() == [b"Slate", b"", "Tün".encode()]


def test_texts_are_read_by_the_dialect_of_training() -> None:
    form = replace(FORM, dialect={"decimal": ",", "thousands": ".", "na_values": ["?"]})
    found = check_rows({"rooms": ["1.000,5", "?"], "roof": ["?", "a,b"]}, form)
    np.testing.assert_array_equal(found["rooms"], np.array([1000.5, np.nan], np.float32))
    assert found["roof"].tolist() == [b"", b"a,b"]
    # Another column need not keep to it.
    assert len(check_rows({"rooms": [1], "roof": ["a"], "price": ["1.5"]}, form)["rooms"]) == 1


def test_numbers_without_names_are_one_input() -> None:
    form = RowForm({"features": TensorSpec("", "float32", (None, 2))})
    found = check_rows({"features": [[1, 2], [3, 4]]}, form)["features"]
    np.testing.assert_array_equal(found, np.array([[1, 2], [3, 4]], np.float32), strict=True)
    for features, words in (
        ([[1, 2, 3]], r"\(n, 2\); got \(1, 3\)"),
        ([1, 2], r"\(n, 2\); got \(2,\)"),
        (np.zeros((0, 2)), r"\(n, 2\); got \(0, 2\)"),
        ([["a", "b"]], r"the model takes {'features': X} with numbers, \(n, d\); got "),
    ):
        with pytest.raises(ServingError, match=words):
            check_rows({"features": features}, form)
    for rows in ([{"features": [1, 2]}], {"other": [[1, 2]]}):
        with pytest.raises(ServingError, match="the model takes {'features': X}"):
            check_rows(rows, form)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ({"rooms": [1]}, "the table has no column 'roof'; .* It has"),
        (pd.DataFrame({"Roof": ["a"], "rooms": [1]}), "no column 'roof'; did you mean 'Roof'"),
        ([{"rooms": 1, "roof": "a"}, {"rooms": 1}], "row 1 has no column 'roof'; "),
        ({"rooms": ["three"], "roof": ["a"]}, "column 'rooms', row 0: 'three' is no number"),
        ({"rooms": [1, 1e39], "roof": ["a", "b"]}, "'rooms' has a number .* too big for float32"),
        ({"rooms": [[1]], "roof": ["a"]}, r"column 'rooms', row 0: .* is no number"),
        # 10 may have been '10', '10.0' or '010' in training.
        (
            {"rooms": [1], "roof": [10]},
            "column 'roof' has numbers here, such as 10, where training",
        ),
        ({"rooms": [1], "roof": [b"a"]}, "b'a' is no text; decode it"),
        ({"rooms": [1], "roof": ["\ud800"]}, "surrogates not allowed"),
        ({"rooms": [1, 2], "roof": ["a"]}, "arrays must be of the same length"),
        ({"rooms": [], "roof": []}, "must be at least one"),
    ],
)
def test_rows_that_do_not_fit_are_refused_by_column_and_row(rows: Any, message: str) -> None:
    with pytest.raises(ServingError, match=message) as caught:
        check_rows(rows, FORM)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("other", [np.zeros((2, 3)), [[1, 2]], [], "ab", None, 3])
def test_arrays_and_other_values_are_no_rows(other: Any) -> None:
    assert not are_rows(other)
