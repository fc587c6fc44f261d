"""Turns the values of a column, texts or typed ones, into texts, numbers and days."""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables.errors import TableError

__all__ = ["ISO_DATE", "dates_as_text", "days", "is_dates", "is_numbers", "numbers", "texts"]

# The form of dates, with or without a time of day; a Z says UTC, as JSON's clients write it.
ISO_DATE = r"\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d{1,6})?)?)?Z?"


def is_numbers(column: pd.Series) -> bool:
    """Tell a column of integers or floats from texts, bools and other types."""
    return pd.api.types.is_any_real_numeric_dtype(column.dtype)


def is_dates(column: pd.Series) -> bool:
    """Tell a column of pandas' dates."""
    return pd.api.types.is_datetime64_any_dtype(column.dtype)


def texts(column: pd.Series) -> pd.Series:
    """Convert values to texts as a CSV file has them; missing values and empty texts are NA.

    A float that is a whole number has no decimal point: pandas makes floats of integers where one
    is missing.
    """
    if isinstance(column.dtype, pd.StringDtype):
        found = column.str.strip()
    else:
        found = column.astype(object).map(_text, na_action="ignore").astype("str")
    return found.mask(found == "")


def numbers(column: pd.Series) -> pd.Series:
    """Convert values to float64; NaN for missing values and for texts that are no numbers."""
    if is_numbers(column):
        return column.astype(np.float64)
    # Spaces around a number do no harm.
    words = column if isinstance(column.dtype, pd.StringDtype) else texts(column)
    return pd.to_numeric(words, errors="coerce").astype(np.float64)


def days(column: pd.Series) -> pd.Series:
    """Convert dates to days since 1970-01-01, float64; NaN for values that are no dates."""
    if is_dates(column):
        moments = column if column.dt.tz is None else column.dt.tz_convert(None)
    else:
        written = texts(column)
        written = written.where(written.str.fullmatch(ISO_DATE, na=False)).str.removesuffix("Z")
        moments = pd.to_datetime(written, format="ISO8601", errors="coerce")
    # Nanoseconds would end in the year 2262.
    since = moments.dt.as_unit("us") - pd.Timestamp(0).as_unit("us")
    elapsed: pd.Series = since / pd.Timedelta(days=1).as_unit("us")
    return elapsed


def dates_as_text(column: pd.Series, date_format: str) -> pd.Series:
    """Write the texts that have this format as 2020-01-31 or 2020-01-31T12:30:00."""
    moments = pd.to_datetime(column, format=date_format, errors="coerce", utc=True)
    return column.where(moments.isna(), texts(moments))


def _text(value: Any) -> str:
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC).replace(tzinfo=None)
        return str(value.isoformat()).removesuffix("T00:00:00")
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    if isinstance(value, bytes):
        raise TableError(f"{shown(value)} is no text; decode it, as by value.decode().")
    return str(value).strip()
