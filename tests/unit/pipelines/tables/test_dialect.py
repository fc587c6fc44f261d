"""pipelines/tables/dialect.py: numbers, dates and gaps as people write them."""

from __future__ import annotations

import io
import json
from typing import Any

import pandas as pd
import pytest

from pipelines.tables.dialect import NO_VALUE, Dialect
from pipelines.tables.errors import TableError


def cleaned(texts: list[str | None], **options: Any) -> list[str | None]:
    frame = pd.DataFrame({"a": pd.Series(texts, dtype="str")})
    return [None if pd.isna(cell) else cell for cell in Dialect(**options).clean(frame)["a"]]


def test_no_value_is_spelt_as_pandas_spells_it() -> None:
    read = pd.read_csv(io.StringIO("\n".join(["a", *sorted(NO_VALUE - {""}), '""', "?"])))
    assert [pd.isna(cell) for cell in read["a"]] == [True] * len(NO_VALUE) + [False]
    spellings: list[str | None] = [*NO_VALUE, " n/a ", "?", "-"]
    expected = [None] * (len(NO_VALUE) + 1)
    assert cleaned(spellings) == [*expected, "?", "-"]
    assert cleaned(spellings, na_values=["?", "-"]) == [*expected, None, None]
    assert cleaned(["?"], na_values="?") == [None]


@pytest.mark.parametrize(
    ("options", "text", "number"),
    [
        ({"thousands": ","}, "1,200", "1200"),
        ({"thousands": ","}, "-1,234,567.5", "-1234567.5"),
        ({"thousands": ","}, "12", "12"),
        ({"decimal": ","}, "1,5", "1.5"),
        ({"decimal": ","}, "-0,25e-3", "-0.25e-3"),
        ({"decimal": ",", "thousands": "."}, "1.234.567,8", "1234567.8"),
        ({"decimal": ",", "thousands": "."}, "1.500", "1500"),
        ({"thousands": " "}, "1 200", "1200"),
        ({"thousands": " "}, "1\u00a0200", "1200"),
        ({"thousands": "'"}, "1'200", "1200"),
        ({"units": "$"}, "$5.50", "5.50"),
        ({"units": ["$"], "thousands": ","}, "-$1,200", "-1200"),
        ({"units": ["$"], "thousands": ","}, "$ -1,200", "-1200"),
        ({"units": ["%"]}, "12 %", "12"),
        ({"units": ["kg", "%"]}, "3.5kg", "3.5"),
        ({"units": ["%"]}, "\N{MINUS SIGN}3 %", "-3"),
    ],
)
def test_numbers_are_written_in_one_way(options: dict[str, Any], text: str, number: str) -> None:
    assert cleaned([text, "Slate", None], **options) == [number, "Slate", None]


@pytest.mark.parametrize("columns", [1, 9])
def test_a_wide_table_is_cleaned_as_a_long_one_is(columns: int) -> None:
    frame = pd.DataFrame({str(n): [" 1,200 ", "n/a"] for n in range(columns)}, [3, 3], dtype="str")
    for dialect, number in ((Dialect(), "1,200"), (Dialect(thousands=","), "1200")):
        found = dialect.clean(frame)
        assert (list(found.columns), list(found.index)) == (list(frame.columns), [3, 3])
        assert found.fillna("-").to_numpy().tolist() == [[number] * columns, ["-"] * columns]


@pytest.mark.parametrize("text", ["1,20", "1,2000", "12,34,567", "1,200 m", "a1,200"])
def test_text_that_is_no_number_of_the_dialect_stays_as_it_is(text: str) -> None:
    assert cleaned([text], thousands=",") == [text]


def test_a_decimal_point_among_decimal_commas_is_refused() -> None:
    # It may separate thousands, and then be wrong by a factor of 1000.
    with pytest.raises(TableError, match=r"'a', row 1: '1\.500' is no number with decimal=','"):
        cleaned(["1,5", "1.500"], decimal=",")


@pytest.mark.parametrize(
    ("date_format", "text", "date"),
    [
        ("%d.%m.%Y", "31.01.2020", "2020-01-31"),
        ("%m/%d/%Y %H:%M", "1/31/2020 14:30", "2020-01-31T14:30:00"),
        ("%Y-%m-%dT%H:%M%z", "2020-01-31T00:30+02:00", "2020-01-30T22:30:00"),
    ],
)
def test_dates_of_a_format_are_written_as_iso_dates(date_format: str, text: str, date: str) -> None:
    assert cleaned([text, "Slate", None], date_format=date_format) == [date, "Slate", None]


def test_objects_of_several_types_are_cleaned_as_far_as_they_are_texts() -> None:
    frame = pd.DataFrame({"a": [1.5, " n/a", "x ", None, True]})
    found = Dialect().clean(frame)["a"]
    assert list(found.isna()) == [False, True, False, True, False]
    assert [found[0], found[2], found[4]] == [1.5, "x", True]


def test_typed_columns_stay_as_they_are_and_the_index_column_goes() -> None:
    frame = pd.DataFrame({"Id": [1, 2], " b ": [1.5, None], "c": pd.to_datetime(["2020", ""])})
    found = Dialect(index_column="Id").clean(frame)
    assert list(found) == ["b", "c"]
    assert list(found.dtypes) == list(frame.dtypes[1:])


def test_a_dialect_survives_json() -> None:
    dialect = Dialect(sep=";", decimal=",", units=("$",), na_values=("?",), index_column="Id")
    assert Dialect(**json.loads(json.dumps(dialect.to_json()))) == dialect


@pytest.mark.parametrize("options", [{"decimal": ","}, {"decimal": ""}, {"decimal": ".."}])
def test_a_decimal_point_that_separates_thousands_as_well_is_refused(
    options: dict[str, str],
) -> None:
    with pytest.raises(ValueError, match="decimal and thousands must be different characters"):
        Dialect(thousands=",", **options)  # type: ignore[arg-type]
