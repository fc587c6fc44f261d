"""Prepares raw rows by TensorFlow's operations, as `preparation` does on pandas' frames.

An export puts this into its graph. There are no lookup tables, which a graph would have to save and
initialise: texts are compared with a constant.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.text import one_line
from pipelines.raw_inputs import Raw, TableInput
from pipelines.tables.cells import ISO_DATE
from pipelines.tables.statistics import Statistics, as_numbers, is_bools

__all__ = ["table_input"]


def table_input(statistics: Statistics) -> TableInput:
    """Describe the raw columns of a table, and their preparation in a graph.

    The prepared numbers are those of `prepare`, rounded to float32. A served model takes numbers as
    float32, of seven digits. It refuses a text that is no date in a column of dates, and a missing
    value if `missing='drop_rows'` left out such rows.

    Example:
        >>> from pipelines.tables.statistics import fit
        >>> import pandas as pd
        >>> rows = pd.DataFrame({"Rooms": ["2", None, "4"], "Roof": ["Slate", "Tin", None]})
        >>> found = table_input(fit(rows))
        >>> raw = {"Rooms": tf.constant([float("nan")]), "Roof": tf.constant(["Tin"])}
        >>> found.prepare(raw).numpy().tolist()
        [[3.0, 0.0, 1.0, 0.0]]
    """
    columns = {name: tf.as_dtype(dtype) for name, dtype in statistics.raw_columns.items()}
    return TableInput(
        columns,
        lambda raw: _prepared(raw, statistics),
        _sample(statistics),
        choices=statistics.categories,
        takes_missing=statistics.missing != "drop_rows",
    )


def _sample(statistics: Statistics) -> Raw:
    """Two rows of each column, which differ if the training rows do."""
    rows: dict[str, Any] = {
        name: np.array([mean, mean + statistics.deviations.get(name, 1)], np.float32)
        for name, mean in statistics.means.items()
    }
    rows |= {name: np.array(["2000-01-01", "2020-12-31"], object) for name in statistics.dates}
    for name, values in statistics.categories.items():
        numbers = as_numbers(values)
        rows[name] = (
            np.array([values[0], values[-1]], object)
            if numbers is None
            else np.array([numbers[0], numbers[-1]], np.float32)
        )
    return rows


@do_not_convert
def _prepared(raw: Raw, statistics: Statistics) -> tf.Tensor:
    """Columns of (n,) float32 or string -> (n, d) float32."""
    blocks = []
    for name, mean in statistics.means.items():
        numbers = (
            tf.cast(raw[name], tf.float64)
            if name not in statistics.dates
            else _days(name, raw[name])
        )
        is_missing = tf.math.is_nan(numbers)
        _refuse_missing(name, is_missing, statistics)
        # In float64, as large numbers close together lose their difference in float32.
        numbers = tf.where(is_missing, tf.constant(mean, tf.float64), numbers)
        if name in statistics.deviations:
            numbers = (numbers - mean) / statistics.deviations[name]
        blocks.append(tf.cast(numbers, tf.float32)[:, tf.newaxis])
    for name, values in statistics.categories.items():
        is_value, is_missing = _matches(raw[name], values)
        _refuse_missing(name, is_missing, statistics)
        blocks.append(tf.cast(is_value, tf.float32))
        if statistics.missing == "impute":
            blocks.append(tf.cast(is_missing, tf.float32)[:, tf.newaxis])
    return tf.concat(blocks, axis=1)


def _matches(column: tf.Tensor, values: tuple[str, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    """Compare (n,) values with the categories: (n, k) bool, and (n,) bool for missing ones."""
    if (numbers := as_numbers(values)) is not None:
        return column[:, tf.newaxis] == tf.constant(numbers, tf.float32), tf.math.is_nan(column)
    words = tf.strings.strip(column)
    is_missing = words == ""
    if is_bools(values):
        words, values = tf.strings.lower(words), tuple(value.lower() for value in values)
    # Without the shape a column without categories would be float32.
    constant = tf.constant(values, tf.string, shape=(len(values),))
    return words[:, tf.newaxis] == constant, is_missing


def _days(name: str, column: tf.Tensor) -> tf.Tensor:
    """Dates, (n,) string -> days since 1970-01-01, (n,) float64; NaN for an empty text."""
    words = tf.strings.strip(column)
    is_missing = words == ""
    words = tf.where(is_missing, "1970-01-01", words)
    is_date = tf.strings.regex_full_match(words, ISO_DATE)
    message = f"a text in column {one_line(name, 100)} is no date such as 2020-01-31"
    with tf.control_dependencies([tf.debugging.Assert(tf.reduce_all(is_date), [message])]):
        words = tf.strings.regex_replace(words, "Z$", "")
    # All texts get the same length, 2020-01-31T12:30:00, and perhaps parts of a second behind it.
    words = tf.strings.regex_replace(words, r"^(.{10})$", r"\1T00:00")
    words = tf.strings.regex_replace(words, r"^(.{16})$", r"\1:00")

    def part(start: int, length: int) -> tf.Tensor:
        return tf.strings.to_number(tf.strings.substr(words, start, length), tf.float64)

    days = _days_of(part(0, 4), part(5, 2), part(8, 2))
    seconds = 3600 * part(11, 2) + 60 * part(14, 2) + part(17, 9)
    missing = tf.constant(float("nan"), tf.float64)
    return tf.where(is_missing, missing, days + seconds / 86400)


def _days_of(year: tf.Tensor, month: tf.Tensor, day: tf.Tensor) -> tf.Tensor:
    """Days since 1970-01-01 in the Gregorian calendar, (n,) float64.

    Years begin in March here, so that a leap day is the last of its year. Source: H. Hinnant,
    "chrono-Compatible Low-Level Date Algorithms", `days_from_civil`.
    """
    year = tf.where(month <= 2, year - 1, year)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return 365 * year + year // 4 - year // 100 + year // 400 + day_of_year - 719468


def _refuse_missing(name: str, is_missing: tf.Tensor, statistics: Statistics) -> None:
    if statistics.missing == "drop_rows":
        message = f"a value is missing in column {one_line(name, 100)}; training had no gaps"
        tf.debugging.Assert(~tf.reduce_any(is_missing), [message])
