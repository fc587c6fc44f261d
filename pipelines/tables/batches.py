"""Batches the prepared rows of a table for a model, also of a file larger than memory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from pipelines.basics.numbers import whole_number
from pipelines.basics.text import shown
from pipelines.batching import batched
from pipelines.generators import from_generator
from pipelines.tables.csv_files import CHUNK_ROWS, read_chunks
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError
from pipelines.tables.preparation import as_float32, prepare
from pipelines.tables.statistics import Statistics

__all__ = ["as_arrays", "dataset", "streamed", "to_tensors"]

_DEFAULT = Dialect()


def to_tensors(inputs: pd.DataFrame, target: pd.Series | None) -> tuple[Any, ...]:
    """Convert prepared rows to tensors: (n, d) float64 and, with a target, (n,) float64."""
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
    return batched(
        as_arrays(inputs, target), batch_size, shuffle=shuffle, seed=seed, sequence=sequence
    )


def streamed(
    path: Path | str,
    statistics: Statistics,
    batch_size: int,
    chunk_rows: int = CHUNK_ROWS,
    dialect: Dialect = _DEFAULT,
) -> Any:
    """Batch the rows of a file of any size, with one chunk in memory at a time.

    Args:
        path: a CSV file with the target's column.
        statistics: those of the training rows.
        batch_size: rows in a batch; the last batch may be smaller.
        chunk_rows: rows in memory.
        dialect: the spelling of the file.

    Returns:
        A `tf.data.Dataset` of (k, d) float32 and (k, 1) float32, in the file's order. The errors of
        the file come during iteration: those of `read_chunks` and `prepare`, and a TableError if
        there is no target. A data set that `map`, `take` and the like derive from it raises
        TensorFlow's error in their place, whose text contains theirs.

    Raises:
        ValueError: a bad batch size or number of rows.
    """
    batch_size = whole_number("batch_size", batch_size)
    chunk_rows = whole_number("chunk_rows", chunk_rows)

    def chunks() -> Iterator[tuple[Any, Any]]:
        for frame in read_chunks(path, chunk_rows, dialect):
            inputs, target = prepare(frame, statistics)
            if target is None:
                raise TableError(
                    f"{path} has no column for the target, {shown(statistics.target)}; a streamed "
                    "table needs one."
                )
            yield as_arrays(inputs, target)

    width = len(statistics.columns)
    signature = (tf.TensorSpec((None, width), tf.float32), tf.TensorSpec((None, 1), tf.float32))
    return from_generator(
        chunks,
        signature,
        lambda rows: rows.unbatch().batch(batch_size).prefetch(tf.data.AUTOTUNE),
    )


def as_arrays(inputs: pd.DataFrame, target: pd.Series) -> tuple[Any, Any]:
    """Convert prepared rows to arrays, (n, d) float32 and (n, 1) float32.

    Raises:
        TableError: a number is too large for float32.
    """
    return as_float32(inputs), as_float32(target.to_frame())
