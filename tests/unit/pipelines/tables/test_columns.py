"""pipelines/tables/columns.py and look_alikes.py: the kind of a column; no number is a category."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from pipelines.tables.errors import TableError
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import Statistics, fit


def learned(*texts: str, categorical: bool = False) -> Statistics:
    frame = pd.DataFrame({"a": [*texts, None]}, dtype="str")
    return fit(frame, categorical=["a"] if categorical else [])


@pytest.mark.parametrize(
    ("texts", "option"),
    [
        (["1,200", "2,500"], r"thousands=',', or decimal=','"),
        (["1,200", "2,500", "300"], r"thousands=',', or decimal=','"),
        (["1,200.50", "3,400.00"], r"pass thousands=',', or categorical"),
        (["1.200,50", "3.400,00"], r"thousands='\.' and decimal=','"),
        (["1,5", "2,25"], r"pass decimal=','"),
        (["1 200", "3 400"], r"thousands=' '"),
        (["1\u00a0200", "3\u00a0400"], r"thousands=' '"),
        (["1'200", "2'000"], r"""thousands="'" """[:-1]),
        (["$1,200", "$900"], r"units=\['\$'\]"),
        (["12 %", "7%"], r"units=\['%'\]"),
        (["3.5kg", "4 kg"], r"units=\['kg'\]"),
        (["5 €", "7,50 €"], r"units=\['€'\]"),
        (["10k", "500"], r"Write it as a plain number"),
        (["(1,200)", "(500)"], r"write it as a plain number"),
        (["12:30", "13:45"], r"looks like a time of day.* write it as a number"),
        (["1/31/2020", "2/1/2020"], r"looks like a date.* date_format='%m/%d/%Y'"),
        (["2020/01/31", "2020/02/01"], r"date_format='%Y/%m/%d'"),
        (["03.04.2020", "05.06.2020"], r"date_format='%m\.%d\.%Y' or '%d\.%m\.%Y'"),
        (["Jan 5, 2020", "Feb 6, 2020"], r"date_format='%b %d, %Y'"),
        (["1", "?"], r"na_values=\['\?'\]"),
        (["1", "unknown"], r"na_values=\['unknown'\]"),
        (["2020-01-01", "?"], r"'\?' is no date, while row 0 has one\. Pass na_values"),
        (["2020-01-01", "5"], r"there is a date, while row 1 has a number"),
        (["1", "inf"], r"'inf' is no number"),
    ],
)  # fmt: skip
def test_text_that_is_a_number_to_a_person_is_an_error_that_names_the_option(
    texts: list[str], option: str
) -> None:
    with pytest.raises(TableError, match=rf"column 'a', row \d: .*{option}") as caught:
        learned(*texts)
    assert "categorical=['a']" in str(caught.value)
    assert learned(*texts, categorical=True).categories == {"a": tuple(sorted(texts))}


@pytest.mark.parametrize(
    "texts",
    [
        ["1Fam", "2fmCon", "Duplex", "TwnhsE"],
        ["1Story", "2Story", "1.5Fin", "SLvl", "SFoyer", "1.5Unf", "2.5Unf", "2.5Fin"],
        ["20-30", "30-40"],
        ["C85", "E46"],
        ["12A", "14B", "3C"],
        ["A", "B+"],
    ],
)
def test_texts_with_digits_may_be_categories(texts: list[str]) -> None:
    assert learned(*texts).categories == {"a": tuple(sorted(texts))}


def test_numbers_with_leading_zeros_are_codes() -> None:
    assert learned("01234", "80331").categories == {"a": ("01234", "80331")}
    # Before a decimal point a zero is no leading one.
    assert learned("0.5", "0", "1e1").means == {"a": 3.5}
    # The first chunk alone does not tell.
    chunks = [pd.DataFrame({"a": [text]}, dtype="str") for text in ("80331", "01234")]
    assert fit(chunks).categories == {"a": ("01234", "80331")}


@pytest.mark.parametrize("texts", [["true", "false"], ["TRUE", "FALSE"], ["False", "True"]])
def test_true_and_false_are_categories_in_any_case(texts: list[str]) -> None:
    statistics = learned(*texts)
    assert statistics.categories == {"a": ("False", "True")}
    later = pd.DataFrame({"a": ["TRUE", "false", "True"]}, dtype="str")
    np.testing.assert_array_equal(prepare(later, statistics)[0], [[0, 1, 0], [1, 0, 0], [0, 1, 0]])


def test_dates_are_days() -> None:
    statistics = learned("1970-01-02", "1970-01-03T12:00", "1970-01-04 18:00:00Z")
    # 1, 2.5 and 3.75 days.
    assert statistics.means == {"a": pytest.approx(7.25 / 3, rel=1e-15)}
    assert statistics.dates == ("a",)
    inputs, _ = prepare(pd.DataFrame({"a": ["1970-01-11", None]}, dtype="str"), statistics)
    np.testing.assert_allclose(inputs["a"], [10, 7.25 / 3], rtol=1e-15)
    wrong = pd.DataFrame({"a": ["2020-02-30"]}, dtype="str")
    with pytest.raises(TableError, match=r"'a', row 0: '2020-02-30' is no date such as 2020-01-31"):
        prepare(wrong, statistics)
    assert Statistics.from_json(statistics.to_json()) == statistics


def test_a_text_for_nearly_each_row_is_a_name_and_not_a_kind() -> None:
    names = [f"Mr {letter}." for letter in "ABCDEFGHIJKLMNOPQRSTU"]
    with pytest.raises(TableError, match=r"'a' has 21 categories; .* ignore=\['a'\]"):
        learned(*names)
    assert len(learned(*names, *names, *names).categories["a"]) == 21
    assert len(learned(*names, categorical=True).categories["a"]) == 21
    assert len(learned(*names[:20]).categories["a"]) == 20
    with pytest.raises(TableError, match="more than 1000 categories"):
        learned(*[f"x{n}" for n in range(1001)] * 3)
    with pytest.raises(TableError, match=r"\$.*units="):
        learned(*[f"${n}" for n in range(1001)] * 3)


def test_columns_to_ignore_are_no_inputs_and_need_no_kind() -> None:
    frame = pd.DataFrame({"a": ["1", "x"], "b": ["1", "2"]}, dtype="str")
    assert list(fit(frame, ignore=["a"]).means) == ["b"]
    with pytest.raises(TableError, match=r"no column 'A'; did you mean 'a'\? It has \['a', 'b'\]"):
        fit(frame, ignore=["A"])


def test_dropped_rows_have_no_part_in_the_statistics() -> None:
    frame = pd.DataFrame({"a": ["1", "3", "100"], "b": ["x", "y", None]}, dtype="str")
    statistics = fit(frame, missing="drop_rows", standardize=True)
    assert (statistics.means, statistics.categories) == ({"a": 2}, {"b": ("x", "y")})
    inputs, _ = prepare(frame, statistics)
    assert (inputs["a"].mean(), inputs["a"].std()) == pytest.approx((0, 1), abs=1e-15)
    assert fit([frame[:1], frame[1:]], missing="drop_rows", standardize=True) == statistics
    with pytest.raises(TableError, match=r"'drop_rows' leaves none of 2 rows"):
        fit(pd.DataFrame({"a": ["1", None], "b": [None, "x"]}, dtype="str"), missing="drop_rows")
