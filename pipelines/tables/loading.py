"""Loads the rows of a table whose target is known, from a file or a frame, and identifies them."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from pipelines.basics.text import shown
from pipelines.tables.csv_files import read_table
from pipelines.tables.dialect import Dialect
from pipelines.tables.errors import TableError, no_column, refuse_duplicates
from pipelines.tables.statistics import Missing

__all__ = ["Source", "identity", "load_rows"]

Source = str | Path | pd.DataFrame


def load_rows(
    source: Source,
    target: str,
    dialect: Dialect,
    *,
    missing: Missing = "impute",
    ignore: Collection[str] = (),
    drop_missing_targets: bool = False,
) -> pd.DataFrame:
    """Load rows, and leave out those that lack a value, as far as that was asked for.

    Raises:
        TableError: the table is damaged, has no such target or no row that can be used, or a target
            is missing.
        OSError: a file can't be opened.
    """
    # A column that numbers the rows may be missing at prediction, but not here.
    read = dataclasses.replace(dialect, index_column=None)
    if isinstance(source, pd.DataFrame):
        refuse_duplicates("the table", source.columns)
        rows = read.clean(source)
        if rows.empty:
            raise TableError("the table has no row; it must have one at least.")
    else:
        rows = read_table(source, read)
    name = _name(source)
    for wanted in (target, *([] if dialect.index_column is None else [dialect.index_column])):
        if wanted not in rows.columns:
            raise no_column(name, wanted, list(rows.columns))
    if dialect.index_column is not None:
        rows = rows.drop(columns=dialect.index_column)
    lacking = rows[target].isna()
    if lacking.any() and not drop_missing_targets:
        raise TableError(
            f"column {shown(target)}, row {lacking.idxmax()}: the target has no value, as in "
            f"{lacking.sum()} of {len(rows)} rows. Fill it in, or pass drop_missing_targets=True."
        )
    rows = rows[~lacking]
    if missing == "drop_rows":
        rows = rows.dropna(subset=[name for name in rows.columns if name not in ignore])
    if rows.empty:
        raise TableError(f"{name} has no row without a missing value; use missing='impute'.")
    return rows


def identity(source: Source) -> dict[str, Any]:
    """The source and the SHA-256 of its content, as JSON values."""
    if isinstance(source, pd.DataFrame):
        found = hashlib.sha256(repr([*zip(source.columns, source.dtypes, strict=True)]).encode())
        # Objects of any type have a text; pandas' own hashes take texts and numbers alone.
        values = source.astype(dict.fromkeys(_objects(source), "str"))
        found.update(pd.util.hash_pandas_object(values, index=False).to_numpy().tobytes())
        return {"source": "a DataFrame", "fingerprint": found.hexdigest()}
    with Path(source).open("rb") as file:
        return {
            "source": str(source), "fingerprint": hashlib.file_digest(file, "sha256").hexdigest()
        }  # fmt: skip


def _objects(frame: pd.DataFrame) -> list[Any]:
    return [name for name, dtype in frame.dtypes.items() if dtype == np.dtype(object)]


def _name(source: Source) -> str:
    return "the table" if isinstance(source, pd.DataFrame) else str(source)
