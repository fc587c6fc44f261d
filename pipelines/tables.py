"""Tables of text, prepared for a model by statistics of their training rows.

A table of any size goes through in pieces, with the same result as in one: columns are text until
`fit` has seen all of them, and sums are exact, so nothing depends on where the pieces are cut.
"""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pandas as pd

from pipelines.basics.text import shown
from pipelines.csv_files import CHUNK_ROWS, TableError, read_chunks, refuse_duplicates

Missing = Literal["impute", "drop_rows", "drop_columns"]
Floats = npt.NDArray[np.float64]
# More different texts than this are names of the rows, not kinds of them.
MOST_CATEGORIES = 1000


@dataclass(frozen=True)
class Statistics:
    """What preparing a table has to know of its training rows.

    Attributes:
        means: of each numeric column, by its name.
        categories: of each categorical column the values, sorted.
        target: the column to predict, or None.
        missing: 'impute' fills numbers by the mean and gives 'no category' a column of its own;
            'drop_rows' and 'drop_columns' delete what has missing values.
        deviations: of each numeric column the standard deviation to divide by, after its mean is
            subtracted; empty where the numbers stay as they are.
    """

    means: dict[str, float]
    categories: dict[str, tuple[str, ...]]
    target: str | None
    missing: Missing
    deviations: dict[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """Names of the prepared columns, in order: numbers first, then a 0/1 column a category."""
        names = list(self.means)
        for name, values in self.categories.items():
            names += [f"{name}_{value}" for value in values]
            names += [f"{name}_nan"] if self.missing == "impute" else []
        return names

    def to_json(self) -> str:
        """The statistics as JSON text."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Statistics:
        """The statistics that `to_json` wrote."""
        found = json.loads(text)
        categories = {name: tuple(values) for name, values in found["categories"].items()}
        return cls(**{**found, "categories": categories})


def fit(
    frames: pd.DataFrame | Iterable[pd.DataFrame],
    target: str | None = None,
    *,
    missing: Missing = "impute",
    categorical: Collection[str] = (),
    standardize: bool = False,
) -> Statistics:
    """Learn from training rows what `prepare` has to know.

    Args:
        frames: one frame of text, or the chunks of one.
        target: the numeric column to predict; it is no input.
        missing: see `Statistics`.
        categorical: columns that are kinds even if they look like numbers.
        standardize: give numeric inputs mean 0 and standard deviation 1.

    Raises:
        TableError: a column mixes numbers and other text, has no value or too many categories;
            two prepared columns would have one name.
    """
    seen: dict[str, _Column] = {}
    for frame in [frames] if isinstance(frames, pd.DataFrame) else frames:
        refuse_duplicates("the table", list(frame.columns))
        for name in frame.columns:
            column = seen.setdefault(name, _Column(name, name in categorical))
            column.take_in(frame[name])
    wanted = [*categorical, *([] if target is None else [target])]
    if absent := [name for name in wanted if name not in seen]:
        raise TableError(f"the table has no column {shown(absent[0])}; it has {shown(list(seen))}.")
    inputs = [column for name, column in seen.items() if name != target]
    if missing == "drop_columns":
        inputs = [column for column in inputs if not column.has_missing]
    numeric = [column for column in inputs if column.is_numeric()]
    statistics = Statistics(
        means={column.name: column.mean() for column in numeric},
        categories={c.name: tuple(sorted(c.values)) for c in inputs if not c.is_numeric()},
        target=target,
        missing=missing,
        deviations={c.name: c.deviation() for c in numeric} if standardize else {},
    )
    # A category's column may be called what another column is.
    refuse_duplicates("the prepared table", statistics.columns)
    return statistics


def prepare(frame: pd.DataFrame, statistics: Statistics) -> tuple[pd.DataFrame, pd.Series | None]:
    """Turn rows of text into numbers, by the statistics of the training rows.

    A category that training did not have is 0 in all columns of its own. Columns may stand in any
    order; those that training did not have are left out.

    Returns:
        Inputs, float64, with the columns of `statistics.columns`; and the target, float64, or None
        where the statistics have none or the rows (as at prediction) don't.

    Raises:
        TableError: a column is missing, there is text where a number belongs, or a number is too
            far from those of the training rows to be standardized.
    """
    refuse_duplicates("the table", list(frame.columns))
    used = [*statistics.means, *statistics.categories]
    if absent := [name for name in used if name not in frame.columns]:
        raise TableError(
            f"column {shown(absent[0])} is missing; training had {shown(used)}, here are "
            f"{shown(list(frame.columns))}."
        )
    if statistics.missing == "drop_rows":
        frame = frame.dropna(subset=used)
    prepared = {n: _numbers(frame[n]).fillna(mean) for n, mean in statistics.means.items()}
    for name, deviation in statistics.deviations.items():
        prepared[name] = _finite((prepared[name] - statistics.means[name]) / deviation, "float64")
    for name, values in statistics.categories.items():
        texts = frame[name].astype("str")
        for value in values:
            prepared[f"{name}_{value}"] = (texts == value).astype(np.float64)
        if statistics.missing == "impute":
            prepared[f"{name}_nan"] = texts.isna().astype(np.float64)
    inputs = pd.DataFrame(prepared, index=frame.index, columns=statistics.columns, dtype=np.float64)
    if statistics.target is None or statistics.target not in frame.columns:
        return inputs, None
    target = _numbers(frame[statistics.target])
    if target.isna().any():
        row = target.index[target.isna()][0]
        raise TableError(f"column {shown(statistics.target)}, row {row}: the target has no value.")
    return inputs, target


def to_tensors(inputs: pd.DataFrame, target: pd.Series | None) -> tuple[Any, ...]:
    """Prepared rows as tensors: (n, d) float64 and, with a target, (n,) float64."""
    import tensorflow as tf

    X = tf.constant(inputs.to_numpy(dtype=np.float64))
    return (X,) if target is None else (X, tf.constant(target.to_numpy(dtype=np.float64)))


def dataset(
    inputs: pd.DataFrame, target: pd.Series, batch_size: int, *, shuffle: bool, seed: int = 0
) -> Any:
    """Prepared rows as a `tf.data.Dataset` of (k, d) float32 and (k, 1) float32."""
    from pipelines.batching import batched

    return batched(_arrays(inputs, target), batch_size, shuffle=shuffle, seed=seed)


def streamed(
    path: Path | str, statistics: Statistics, batch_size: int, chunk_rows: int = CHUNK_ROWS
) -> Any:
    """The same from a file of any size, a chunk in memory at a time, in the file's order.

    Raises:
        TableError: when it is iterated: as `read_chunks` and `prepare`, or a target is missing.
    """
    import tensorflow as tf

    def chunks() -> Iterator[tuple[Any, Any]]:
        for frame in read_chunks(path, chunk_rows):
            inputs, target = prepare(frame, statistics)
            if target is None:
                raise TableError(f"{path} has no column for the target {shown(statistics.target)}.")
            yield _arrays(inputs, target)

    width = len(statistics.columns)
    signature = (tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    rows = tf.data.Dataset.from_generator(chunks, output_signature=signature).unbatch()
    return rows.batch(batch_size).prefetch(tf.data.AUTOTUNE)


@dataclass
class _Column:
    """What `fit` gathers of a column; the sum is exact, so chunks add up to the whole."""

    name: str
    as_categories: bool
    has_missing: bool = False
    count: int = 0
    total: Fraction = field(default_factory=Fraction)
    squares: Fraction = field(default_factory=Fraction)
    values: set[str] = field(default_factory=set)
    text_at: Any = None
    number_at: Any = None

    def take_in(self, column: pd.Series) -> None:
        texts = column.dropna().astype("str")
        self.has_missing |= len(texts) < len(column)
        numbers = pd.to_numeric(texts, errors="coerce").to_numpy(np.float64)
        is_number = np.isfinite(numbers) & (not self.as_categories)
        self.count += int(is_number.sum())
        for number in numbers[is_number]:
            self.total += Fraction(float(number))
            self.squares += Fraction(float(number)) ** 2
        others = texts[~is_number]
        if self.number_at is None and is_number.any():
            self.number_at = texts.index[is_number][0]
        if self.text_at is None and len(others):
            self.text_at = (others.index[0], others.iloc[0])
        self.values.update(others.unique())
        if len(self.values) > MOST_CATEGORIES and self.number_at is None:
            raise TableError(
                f"column {shown(self.name)} has more than {MOST_CATEGORIES} categories; it names "
                "rows rather than kinds of them. Drop it."
            )

    def is_numeric(self) -> bool:
        if self.count == 0 and not self.values:
            raise TableError(
                f"column {shown(self.name)} has no value in any row; use missing='drop_columns'."
            )
        if self.count and self.values:
            row, text = self.text_at
            raise TableError(
                f"column {shown(self.name)}, row {row}: {shown(text)} is no number, while row "
                f"{self.number_at} has one. Correct it, or pass categorical=[{shown(self.name)}]."
            )
        return not self.values

    def mean(self) -> float:
        return float(self.total / self.count)

    def deviation(self) -> float:
        """The standard deviation over n - 1; 1 where all values are equal, which leaves zeros."""
        squares = self.squares - self.total**2 / self.count
        if not squares:
            return 1.0
        variance = squares / (self.count - 1)
        # Without its power of 4: the variance of small numbers has no place among floats.
        half = (variance.numerator.bit_length() - variance.denominator.bit_length()) // 2
        try:
            return math.ldexp(math.sqrt(variance / Fraction(4) ** half), half) or 1.0
        except OverflowError:
            raise TableError(
                f"column {shown(self.name)}: the standard deviation of its numbers must fit into "
                "float64, which ends at 1.8e308. Scale them, or don't standardize."
            ) from None


def _numbers(column: pd.Series) -> pd.Series:
    """Text as float64, missing as NaN."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = (numbers.isna() | ~np.isfinite(numbers)) & column.notna()
    if wrong.any():
        row = column.index[wrong][0]
        text = shown(column[wrong].iloc[0])
        raise TableError(f"column {shown(column.name)}, row {row}: {text} is no number.")
    return numbers


def _finite(column: pd.Series, dtype: str) -> pd.Series:
    """The column, if what was calculated has a place in `dtype`."""
    wrong = ~np.isfinite(column)
    if wrong.any():
        raise TableError(
            f"column {shown(column.name)}, row {column.index[wrong][0]}: the number is too large "
            f"for {dtype} once it is prepared. Correct or scale it."
        )
    return column


def _arrays(inputs: pd.DataFrame, target: pd.Series) -> tuple[Any, Any]:
    with np.errstate(over="ignore"):
        X, y = inputs.astype(np.float32), target.astype(np.float32)
    if not np.isfinite(X.to_numpy()).all():
        for name in X.columns:
            _finite(X[name], "float32")
    return X.to_numpy(), _finite(y, "float32").to_numpy()[:, np.newaxis]
