"""The dialect of a table: how its values are separated and spelt, given or found."""

from __future__ import annotations

import contextlib
import csv
import itertools
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, TextIO

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables.cells import dates_as_text
from pipelines.tables.errors import TableError

__all__ = ["NO_VALUE", "Dialect", "Start", "start_of"]

# The texts that mean 'no value', those of pandas' `read_csv`.
NO_VALUE = frozenset(
    ["", "#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND", "1.#QNAN",
     "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"]
)  # fmt: skip
SEPARATORS = (",", ";", "\t", "|")
# Rows that decide about the separator.
_SAMPLE_ROWS = 20


@dataclass(frozen=True)
class Dialect:
    """The spelling of a table; the names are those of pandas' `read_csv` where it has them.

    Attributes:
        sep: the separator of values; None finds `,`, `;`, a tab or `|` from the first rows.
        decimal: the decimal point.
        thousands: the separator of thousands, such as `,`, `.`, `'` or a space.
        units: texts before or after a number that are no part of it, such as `$`, `%` or `kg`.
        quotechar: the quote around values that contain the separator or line breaks.
        encoding: the file's encoding. A byte order mark is no part of the first name.
        comment: the character from which on the rest of a line is no part of the table.
        na_values: texts that mean 'no value', beside those of pandas (`NA`, `n/a`, `null`, ...).
        date_format: the format of dates that are not written as 2020-01-31, such as `%d.%m.%Y`.
        index_column: a column that numbers or names the rows, which is no input. A first column
            without a name is one, too.
    """

    sep: str | None = None
    decimal: str = "."
    thousands: str | None = None
    units: tuple[str, ...] = ()
    quotechar: str = '"'
    encoding: str = "utf-8"
    comment: str | None = None
    na_values: tuple[str, ...] = ()
    date_format: str | None = None
    index_column: str | None = None

    def __post_init__(self) -> None:
        """Check the options; a single text is no list of texts, as a list of JSON is."""
        for name in ("units", "na_values"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))
        if len(self.decimal) != 1 or self.decimal == self.thousands:
            raise ValueError(
                f"decimal and thousands must be different characters; got {shown(self.decimal)} "
                f"and {shown(self.thousands)}."
            )

    def to_json(self) -> dict[str, Any]:
        """The options as JSON values; `Dialect(**values)` makes the same dialect."""
        values = asdict(self)
        return values | {name: list(values[name]) for name in ("units", "na_values")}

    def clean(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Spell the texts of a frame in one way; columns of other types stay as they are.

        Spaces around texts are removed, missing values are NA, numbers are written as 1234.5 and
        dates as 2020-01-31. The index column is left out.

        Raises:
            TableError: a number contradicts the dialect.
        """
        frame = frame.rename(columns=lambda name: str(name).strip())
        if self.index_column is not None:
            frame = frame.drop(columns=self.index_column, errors="ignore")
        if len(frame.columns) > len(frame) and all(map(_is_text, frame.dtypes)):
            # A call for each of thousands of columns would take seconds.
            flat = self._known(pd.Series(frame.to_numpy().ravel(), dtype="str")).to_numpy()
            values = flat.reshape(frame.shape)
            frame = pd.DataFrame(values, frame.index, frame.columns, dtype="str")
            if not self._has_spellings:
                return frame
        return frame.apply(self._cleaned) if len(frame.columns) else frame

    @property
    def _has_spellings(self) -> bool:
        """Numbers or dates have to be written in another way."""
        return bool(self.decimal != "." or self.thousands or self.units or self.date_format)

    def _cleaned(self, column: pd.Series) -> pd.Series:
        if _is_text(column.dtype):
            return self._spelt(self._known(column))
        if column.dtype != np.dtype(object):
            return column
        # Objects may be texts, and other things, which `cells.texts` spells.
        is_text = column.map(lambda value: isinstance(value, str))
        cleaned = self._spelt(self._known(column.where(is_text).astype("str")))
        return cleaned if (is_text | column.isna()).all() else column.where(~is_text, cleaned)

    def _known(self, column: pd.Series) -> pd.Series:
        """Remove spaces, and texts that mean 'no value'."""
        column = column.str.strip()
        return column.mask(column.isin(NO_VALUE | {*self.na_values}))

    def _spelt(self, column: pd.Series) -> pd.Series:
        if self.decimal != "." or self.thousands or self.units:
            column = self._with_plain_numbers(column)
        if self.date_format:
            column = dates_as_text(column, self.date_format)
        return column

    def _with_plain_numbers(self, column: pd.Series) -> pd.Series:
        number, comma = self._number(), re.escape(self.decimal)
        is_number = column.str.fullmatch(number, na=False)
        wrong = column.str.fullmatch(r"[+-]?\d+\.\d+", na=False) & ~is_number
        if self.decimal != "." and wrong.any():
            raise TableError(
                f"column {shown(column.name)}, row {column.index[wrong][0]}: "
                f"{shown(column[wrong].iloc[0])} is no number with decimal={self.decimal!r}; pass "
                "thousands='.' if the point separates thousands."
            )
        plain = column[is_number].str.replace(number, r"\g<sign>\g<whole>\g<rest>", regex=True)
        if self.thousands:
            plain = plain.str.replace(r"\s" if self.thousands.isspace() else self.thousands, "",
                                      regex=self.thousands.isspace())  # fmt: skip
        plain = plain.str.replace("\N{MINUS SIGN}", "-").str.replace(comma, ".", regex=True)
        found = column.copy()
        found[is_number] = plain.to_numpy()
        return found

    def _number(self) -> str:
        """A regular expression of a number in this dialect."""
        unit = "|".join(map(re.escape, self.units))
        around = rf"(?:{unit})?" if unit else ""
        # A space may be one that does not break.
        group = r"\s" if (self.thousands or "").isspace() else re.escape(self.thousands or "")
        whole = rf"\d{{1,3}}(?:{group}\d{{3}})+|\d+" if group else r"\d+"
        rest = rf"(?:{re.escape(self.decimal)}\d*)?(?:[eE][+-]?\d+)?"
        sign = "[+\\-\N{MINUS SIGN}]?"
        start = rf"{around}\s*(?P<sign>{sign})\s*{around}\s*"
        return rf"{start}(?P<whole>{whole})(?P<rest>{rest})\s*{around}"


def _is_text(dtype: Any) -> bool:
    return isinstance(dtype, pd.StringDtype)


@dataclass(frozen=True)
class Start:
    """The start of a file.

    Attributes:
        skipped: the number of lines before the header, empty or comments.
        sep: the separator.
        names: the header, as far as Python's reader can tell.
    """

    skipped: int
    sep: str
    names: list[str]


def start_of(file: TextIO, dialect: Dialect) -> Start:
    """Find the header, and the separator if it is not given."""
    lines = list(itertools.islice(file, 200))
    skipped = 0
    for line in lines:
        if line.strip() and not (dialect.comment and line.startswith(dialect.comment)):
            break
        skipped += 1
    given = None if dialect.sep is None else dialect.sep
    separators = SEPARATORS if given is None else (given,) if len(given) == 1 else ()
    rows = {sep: _first_rows(lines[skipped:], sep, dialect.quotechar) for sep in separators}
    # The separator of the most columns, among those by which all rows are of one length if any is.
    sep = given or max(SEPARATORS, key=lambda sep: (_agree(rows[sep]), *map(len, rows[sep][:1])))
    return Start(skipped, sep, [name.strip() for row in rows.get(sep, [])[:1] for name in row])


def _agree(rows: list[list[str]]) -> bool:
    return len({len(row) for row in rows}) == 1 and len(rows[0]) > 1


def _first_rows(lines: Iterable[str], sep: str, quotechar: str) -> list[list[str]]:
    """Read rows by Python's reader, up to an error."""
    rows: list[list[str]] = []
    with contextlib.suppress(csv.Error):
        reader = csv.reader(lines, delimiter=sep, quotechar=quotechar, skipinitialspace=True)
        rows.extend(row for row in itertools.islice(reader, _SAMPLE_ROWS) if row)
    return rows
