"""Learns the statistics of training rows by which a table is prepared.

`fit` also reads a table of any size in chunks: columns stay text until it has seen all of them, and
its sums depend on the chunks by rounding alone.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Literal, get_args

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables.columns import Column
from pipelines.tables.errors import TableError, no_column, refuse_duplicates

__all__ = ["Missing", "Statistics", "as_numbers", "fit", "is_bools"]

Missing = Literal["impute", "drop_rows", "drop_columns"]
_PLAIN_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")


@dataclass(frozen=True)
class Statistics:
    """The statistics of the training rows by which `prepare` turns rows into numbers.

    Attributes:
        means: the mean of each numeric column, by its name; that of dates in days since 1970-01-01.
        categories: the sorted values of each categorical column, by its name.
        target: the column to predict, or None.
        missing: 'impute' fills numbers by the mean and gives 'no category' a column of its own;
            'drop_rows' and 'drop_columns' delete the rows or columns that have missing values.
        deviations: the standard deviation of each numeric column; its numbers are divided by it
            after the mean is subtracted. Empty if the numbers stay as they are.
        dates: the columns of `means` that hold dates.
    """

    means: dict[str, float]
    categories: dict[str, tuple[str, ...]]
    target: str | None
    missing: Missing
    deviations: dict[str, float] = field(default_factory=dict)
    dates: tuple[str, ...] = ()

    @property
    def columns(self) -> list[str]:
        """The names of the prepared columns: numbers first, then a 0/1 column for each category."""
        names = list(self.means)
        for name, values in self.categories.items():
            names += [f"{name}_{value}" for value in values]
            names += [f"{name}_nan"] if self.missing == "impute" else []
        return names

    @property
    def raw_columns(self) -> dict[str, Literal["float32", "string"]]:
        """The raw columns that become inputs, and the type in which a served model takes them.

        Numbers are float32, and so are categories that are numbers. Other categories are texts,
        `True` and `False` in any case too, and dates are texts such as 2020-01-31.
        """
        found = {name: _type(name not in self.dates) for name in self.means}
        return found | {
            name: _type(as_numbers(values) is not None) for name, values in self.categories.items()
        }

    def to_json(self) -> str:
        """The statistics as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Statistics:
        """The statistics that `to_json` wrote."""
        found = json.loads(text)
        categories = {name: tuple(values) for name, values in found["categories"].items()}
        return cls(**{**found, "categories": categories, "dates": tuple(found["dates"])})


def fit(
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    target: str | None = None,
    *,
    missing: Missing = "impute",
    categorical: Collection[str] = (),
    ignore: Collection[str] = (),
    standardize: bool = False,
) -> Statistics:
    """Learn the statistics of training rows.

    A column holds numbers if all of its values are numbers, dates if all are dates as 2020-01-31 or
    2020-01-31T12:30, and categories otherwise. Numbers with leading zeros, such as 01234, are
    codes: categories. So are True and False, and columns of pandas' type for categories.

    Args:
        frames: one frame, of texts or typed, or the chunks of one.
        target: the column to predict; it is not an input.
        missing: see `Statistics`. With 'drop_rows' the statistics are those of the rows that stay.
        categorical: columns that hold categories even if they look like numbers.
        ignore: columns that are no inputs.
        standardize: give numeric inputs mean 0 and standard deviation 1.

    Raises:
        TableError: a column mixes numbers, dates and other text, or has texts that are numbers to a
            person, such as 1,200; it has no value, too many categories, or numbers too far apart;
            no row is left; or two prepared columns would have one name.

    Example:
        >>> rows = pd.DataFrame({"Rooms": ["2", None, "4"], "Roof": ["Slate", "Tin", None]})
        >>> statistics = fit(rows)
        >>> statistics.means, statistics.categories
        ({'Rooms': 3.0}, {'Roof': ('Slate', 'Tin')})
        >>> statistics.columns
        ['Rooms', 'Roof_Slate', 'Roof_Tin', 'Roof_nan']
    """
    if missing not in get_args(Missing):
        raise ValueError(
            f"missing must be 'impute', 'drop_rows' or 'drop_columns'; got {shown(missing)}."
        )
    left_out = {*ignore} | ({target} if target is not None else set())
    seen: dict[str, Column] = {}
    names: list[str] = []
    num_rows = num_kept = 0
    for frame in [frames] if isinstance(frames, pd.DataFrame) else frames:
        names = list(frame.columns)
        refuse_duplicates("the table", names)
        inputs = frame.drop(columns=left_out, errors="ignore")
        kept = inputs.dropna() if missing == "drop_rows" else inputs
        num_rows, num_kept = num_rows + len(frame), num_kept + len(kept)
        for name in inputs.columns:
            is_category = name in categorical or isinstance(inputs[name].dtype, pd.CategoricalDtype)
            seen.setdefault(name, Column(name, is_category)).add(kept[name])
    if absent := [name for name in (*categorical, *left_out) if name not in names]:
        raise no_column("the table", absent[0], names)
    _check_kept(missing, num_rows, num_kept)
    columns = [c for c in seen.values() if missing != "drop_columns" or not c.has_missing]
    return _statistics(columns, target, missing, standardize)


def _check_kept(missing: Missing, num_rows: int, num_kept: int) -> None:
    if missing == "drop_rows" and num_rows and not num_kept:
        raise TableError(
            f"missing='drop_rows' leaves none of {num_rows} rows, for each lacks a value; use "
            "missing='impute'."
        )


def as_numbers(values: Collection[str]) -> tuple[float, ...] | None:
    """The numbers of categories that are numbers, and are different ones as float32; or None.

    Example:
        >>> as_numbers(["20", "60"]), as_numbers(["1", "01"]), as_numbers(["a"])
        ((20.0, 60.0), None, None)
    """
    if not values or not all(_PLAIN_NUMBER.fullmatch(value) for value in values):
        return None
    found = np.array([*values]).astype(np.float32)
    is_different = len({*found.tolist()}) == len(values) and np.isfinite(found).all()
    return tuple(found.tolist()) if is_different else None


def is_bools(values: Collection[str]) -> bool:
    """Tell the categories True and False from others; they are compared in any case."""
    return bool(values) and {*values} <= {"True", "False"}


def _statistics(
    columns: list[Column], target: str | None, missing: Missing, standardize: bool
) -> Statistics:
    kinds = {column.name: column.kind() for column in columns}
    measured = [column for column in columns if kinds[column.name] != "category"]
    statistics = Statistics(
        means={column.name: column.moments.mean for column in measured},
        categories={
            column.name: tuple(sorted(column.values))
            for column in columns
            if kinds[column.name] == "category"
        },
        target=target,
        missing=missing,
        deviations={c.name: c.moments.deviation for c in measured} if standardize else {},
        dates=tuple(name for name, kind in kinds.items() if kind == "date"),
    )
    # The column of a category may get the name that another column has already.
    refuse_duplicates("the prepared table", statistics.columns)
    return statistics


def _type(is_number: bool) -> Literal["float32", "string"]:
    return "float32" if is_number else "string"
