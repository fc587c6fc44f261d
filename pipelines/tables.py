"""Tables of text, prepared for a model by statistics of their training rows.

`fit` also reads a table of any size in chunks: columns stay text until it has seen all of them, and
its sums depend on the chunks by rounding alone.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from pipelines.columns import Column
from pipelines.csv_files import CHUNK_ROWS, TableError, read_chunks, refuse_duplicates

__all__ = ["Statistics", "dataset", "fit", "prepare", "streamed", "to_tensors"]

Missing = Literal["impute", "drop_rows", "drop_columns"]


@dataclass(frozen=True)
class Statistics:
    """The statistics of the training rows by which `prepare` turns text into numbers.

    Attributes:
        means: the mean of each numeric column, by its name.
        categories: the sorted values of each categorical column, by its name.
        target: the column to predict, or None.
        missing: 'impute' fills numbers by the mean and gives 'no category' a column of its own;
            'drop_rows' and 'drop_columns' delete the rows or columns that have missing values.
        deviations: the standard deviation of each numeric column; its numbers are divided by it
            after the mean is subtracted. Empty if the numbers stay as they are.
    """

    means: dict[str, float]
    categories: dict[str, tuple[str, ...]]
    target: str | None
    missing: Missing
    deviations: dict[str, float] = field(default_factory=dict)

    @property
    def columns(self) -> list[str]:
        """The names of the prepared columns: numbers first, then a 0/1 column for each category."""
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
    """Learn the statistics of training rows.

    Args:
        frames: one frame of text, or the chunks of one.
        target: the numeric column to predict; it is not an input.
        missing: see `Statistics`.
        categorical: columns that hold categories even if they look like numbers.
        standardize: give numeric inputs mean 0 and standard deviation 1.

    Raises:
        TableError: a column mixes numbers and other text, has no value, too many categories or
            numbers too far apart; or two prepared columns would have one name.

    Example:
        >>> rows = pd.DataFrame({"Rooms": ["2", None, "4"], "Roof": ["Slate", "Tin", None]})
        >>> statistics = fit(rows)
        >>> statistics.means, statistics.categories
        ({'Rooms': 3.0}, {'Roof': ('Slate', 'Tin')})
        >>> inputs, target = prepare(rows, statistics)
        >>> inputs.to_numpy().tolist()
        [[2.0, 1.0, 0.0, 0.0], [3.0, 0.0, 1.0, 0.0], [4.0, 0.0, 0.0, 1.0]]
        >>> list(inputs)
        ['Rooms', 'Roof_Slate', 'Roof_Tin', 'Roof_nan']
    """
    seen: dict[str, Column] = {}
    for frame in [frames] if isinstance(frames, pd.DataFrame) else frames:
        refuse_duplicates("the table", list(frame.columns))
        for name in frame.columns:
            column = seen.setdefault(name, Column(name, name in categorical))
            column.add(frame[name])
    wanted = [*categorical, *([] if target is None else [target])]
    if absent := [name for name in wanted if name not in seen]:
        raise TableError(f"the table has no column {shown(absent[0])}; it has {shown(list(seen))}.")
    inputs = [column for name, column in seen.items() if name != target]
    if missing == "drop_columns":
        inputs = [column for column in inputs if not column.has_missing]
    numeric = [column for column in inputs if column.is_numeric()]
    statistics = Statistics(
        means={column.name: column.moments.mean for column in numeric},
        categories={c.name: tuple(sorted(c.values)) for c in inputs if not c.is_numeric()},
        target=target,
        missing=missing,
        deviations={c.name: c.moments.deviation for c in numeric} if standardize else {},
    )
    # The column of a category may get the name that another column has already.
    refuse_duplicates("the prepared table", statistics.columns)
    return statistics


def prepare(frame: pd.DataFrame, statistics: Statistics) -> tuple[pd.DataFrame, pd.Series | None]:
    """Turn rows of text into numbers, by the statistics of the training rows.

    A category that training did not have becomes 0 in all columns of its column's categories.
    Columns may come in any order; columns that training did not have are left out.

    Returns:
        The inputs, (n, d) float64, with the columns of `statistics.columns`; and the target, (n,)
        float64, or None if the statistics or the rows (as at prediction) have no target.

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
    """Convert prepared rows to tensors: (n, d) float64 and, with a target, (n,) float64."""
    import tensorflow as tf

    X = tf.constant(inputs.to_numpy(dtype=np.float64))
    return (X,) if target is None else (X, tf.constant(target.to_numpy(dtype=np.float64)))


def dataset(
    inputs: pd.DataFrame,
    target: pd.Series,
    batch_size: int,
    *,
    shuffle: bool,
    seed: int = 0,
    sequence: int = 0,
) -> Any:
    """Batch prepared rows as a `tf.data.Dataset` of (k, d) float32 and (k, 1) float32.

    Args:
        inputs: (n, d) float64, from `prepare`.
        target: (n,) float64, from `prepare`.
        batch_size: rows in a batch; the last batch may be smaller.
        shuffle: give every pass a fresh order of the rows; see `batched`.
        seed: an integer from which the orders derive.
        sequence: see `batched`.

    Raises:
        TableError: a number is too large for float32.
        ValueError: a bad batch size or seed.
    """
    from pipelines.batching import batched

    arrays = _arrays(inputs, target)
    return batched(arrays, batch_size, shuffle=shuffle, seed=seed, sequence=sequence)


def streamed(
    path: Path | str, statistics: Statistics, batch_size: int, chunk_rows: int = CHUNK_ROWS
) -> Any:
    """Batch the rows of a file of any size, with one chunk in memory at a time.

    Args:
        path: a CSV file with the target's column.
        statistics: those of the training rows.
        batch_size: rows in a batch; the last batch may be smaller.
        chunk_rows: rows in memory.

    Returns:
        A `tf.data.Dataset` of (k, d) float32 and (k, 1) float32, in the file's order. The errors of
        the file come during iteration: those of `read_chunks` and `prepare`, and a TableError if
        there is no target. A data set that `map`, `take` and the like derive from it raises
        TensorFlow's error in their place, whose text contains theirs.

    Raises:
        ValueError: a bad batch size or number of rows.
    """
    import tensorflow as tf

    from pipelines.generators import from_generator

    batch_size = whole_number("batch_size", batch_size)
    chunk_rows = whole_number("chunk_rows", chunk_rows)

    def chunks() -> Iterator[tuple[Any, Any]]:
        for frame in read_chunks(path, chunk_rows):
            inputs, target = prepare(frame, statistics)
            if target is None:
                raise TableError(
                    f"{path} has no column for the target, {shown(statistics.target)}; a streamed "
                    "table needs one."
                )
            yield _arrays(inputs, target)

    width = len(statistics.columns)
    signature = (tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    return from_generator(
        chunks,
        signature,
        lambda rows: rows.unbatch().batch(batch_size).prefetch(tf.data.AUTOTUNE),
    )


def _numbers(column: pd.Series) -> pd.Series:
    """Convert text to float64, missing values to NaN."""
    numbers = pd.to_numeric(column, errors="coerce").astype(np.float64)
    wrong = (numbers.isna() | ~np.isfinite(numbers)) & column.notna()
    if wrong.any():
        row = column.index[wrong][0]
        text = shown(column[wrong].iloc[0])
        raise TableError(f"column {shown(column.name)}, row {row}: {text} is no number.")
    return numbers


def _finite(column: pd.Series, dtype: str) -> pd.Series:
    """Return the column, if all of its calculated numbers fit into `dtype`."""
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
