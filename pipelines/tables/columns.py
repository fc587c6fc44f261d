"""Learns the kind and the statistics of one column, chunk by chunk."""

from __future__ import annotations

import math
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables import cells
from pipelines.tables.errors import TableError
from pipelines.tables.look_alikes import look_alike, remedy
from pipelines.tables.moments import Moments

__all__ = ["MAX_CATEGORIES", "Column", "Kind"]

# A column with more different texts than this names the rows and doesn't sort them into kinds.
MAX_CATEGORIES = 1000
# So does a column with more than this, if more than half of its texts are different.
_FEW_CATEGORIES = 20

Kind = Literal["number", "date", "category"]
_BOOLS = {"true": "True", "false": "False"}


class Column:
    """Everything that `fit` learns about one column, chunk by chunk.

    Attributes:
        name: the column's name.
        has_missing: a value is missing in a row.
        moments: of the numbers or, in a column of dates, of the days since 1970-01-01.
        values: the different texts, each with the first row that has it.
    """

    def __init__(self, name: str, as_categories: bool) -> None:
        self.name = name
        self.as_categories = as_categories
        self.has_missing = False
        self.moments, self._days = Moments(), Moments()
        self.values: dict[str, Any] = {}
        # Numbers as they are written, for columns of codes such as 01234.
        self._spellings: dict[str, Any] = {}
        self._has_codes = False
        self._num_texts = 0
        # The rows of the first number and date, for errors.
        self._number_at: Any = None
        self._date_at: Any = None

    def add(self, column: pd.Series) -> None:
        """Learn from the rows of one chunk."""
        known = column.dropna()
        if cells.is_numbers(known) and not self.as_categories:
            found = cells.numbers(known)
            self._add_numbers(found[np.isfinite(found)])
            others = cells.texts(known[~np.isfinite(found)])
        else:
            words = cells.texts(known).dropna()
            others = words if self.as_categories else self._without_numbers(words)
            known = words
        self.has_missing |= len(known) < len(column)
        self._add_texts(others)

    def _without_numbers(self, words: pd.Series) -> pd.Series:
        """Add the numbers and dates among texts; return the others."""
        found = cells.numbers(words)
        is_number = np.isfinite(found)
        self._add_numbers(found[is_number])
        if len(self._spellings) <= MAX_CATEGORIES:
            _add_new(self._spellings, words[is_number])
        is_small = words.str.startswith(("0", "+0", "-0"))
        self._has_codes |= bool(words[is_number & is_small].str.match(r"[+-]?0\d").any())
        others: pd.Series = words[~is_number]
        if others.empty:
            return others
        found = cells.days(others)
        self._days.add(found[found.notna()].to_numpy())
        if self._date_at is None and found.notna().any():
            self._date_at = found.first_valid_index()
        unknown: pd.Series = others[found.isna()]
        return unknown

    def _add_numbers(self, numbers: pd.Series) -> None:
        self.moments.add(numbers.to_numpy())
        if self._number_at is None and len(numbers):
            self._number_at = numbers.index[0]

    def _add_texts(self, others: pd.Series) -> None:
        _add_new(self.values, others)
        self._num_texts += len(others)
        if len(self.values) > MAX_CATEGORIES and self._number_at is None:
            raise self._refusal() or self._too_many()

    def kind(self) -> Kind:
        """Decide between numbers, dates and categories, once all chunks have been seen.

        Raises:
            TableError: the column mixes them, has no value, or has texts that are numbers, dates
                or names to a person.
        """
        counts = (self.moments.count, self._days.count, len(self.values))
        if not any(counts):
            raise TableError(
                f"column {shown(self.name)} has no value in any row; use missing='drop_columns'."
            )
        if sum(map(bool, counts)) > 1:
            raise self._mixed()
        if self._has_codes:
            self.values, self.moments = self._spellings, Moments()
            if len(self.values) > MAX_CATEGORIES:
                raise self._too_many()
        elif self._days.count:
            self.moments = self._days
        if not self.values:
            if not math.isfinite(self.moments.mean + self.moments.spread):
                raise TableError(
                    f"column {shown(self.name)}: the distances between its numbers, and their "
                    "standard deviation, must fit into float64, which ends at 1.8e308. Scale them."
                )
            return "date" if self._days.count else "number"
        if self.as_categories or self._has_codes:
            return "category"
        if {value.lower() for value in self.values} <= {*_BOOLS}:
            self.values = {_BOOLS[value.lower()]: row for value, row in self.values.items()}
        elif error := self._refusal():
            raise error
        elif _FEW_CATEGORIES < len(self.values) > self._num_texts / 2:
            raise self._too_many()
        return "category"

    def _mixed(self) -> TableError:
        if not self.values:
            return TableError(
                f"column {shown(self.name)}, row {self._date_at}: there is a date, while row "
                f"{self._number_at} has a number. Correct it, or pass "
                f"categorical=[{shown(self.name)}]."
            )
        text, row = next(iter(self.values.items()))
        other, kind = (self._number_at, "number") if self.moments.count else (self._date_at, "date")
        advice = remedy(text) or "Correct it"
        return TableError(
            f"column {shown(self.name)}, row {row}: {shown(text)} is no {kind}, while row "
            f"{other} has one. {advice[0].upper()}{advice[1:]}, or pass "
            f"categorical=[{shown(self.name)}]."
        )

    def _refusal(self) -> TableError | None:
        """The error of a column whose texts look like numbers or dates, if they do."""
        found = look_alike(self.values)
        if found is None:
            return None
        text, kind, advice = found
        return TableError(
            f"column {shown(self.name)}, row {self.values[text]}: {shown(text)} looks like a "
            f"{kind}, but is none as it is written; {advice}, or categorical=[{shown(self.name)}]."
        )

    def _too_many(self) -> TableError:
        many = len(self.values)
        count = f"more than {MAX_CATEGORIES}" if many > MAX_CATEGORIES else str(many)
        return TableError(
            f"column {shown(self.name)} has {count} categories; it names rows rather than kinds "
            f"of them. Leave it out, by ignore=[{shown(self.name)}]"
            + ("." if many > MAX_CATEGORIES else f", or pass categorical=[{shown(self.name)}].")
        )


def _add_new(values: dict[str, Any], words: pd.Series) -> None:
    """Add the texts that are new, with their rows, as far as their number matters."""
    for row, text in words.drop_duplicates().head(MAX_CATEGORIES + 1).items():
        values.setdefault(text, row)
