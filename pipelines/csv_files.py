"""Reads CSV files as frames of text, a chunk at a time, with errors that name column and row.

The standard library's `csv` reads the lines. pandas' `read_csv` would fill short rows, cut long
ones, rename columns that occur twice and lose the line of a row, all in silence.
"""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.files import write_atomically
from pipelines.basics.text import shown

__all__ = [
    "CHUNK_ROWS", "NO_VALUE", "TableError", "read_chunks", "read_table", "refuse_duplicates",
    "write_table",
]  # fmt: skip

# The texts that mean 'no value'; pandas treats them alike.
NO_VALUE = frozenset({"", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "<NA>"})
CHUNK_ROWS = 50_000


class TableError(Tfd2lError, ValueError):
    """A table can't be read or does not fit; the text names column and row."""


def read_chunks(path: Path | str, chunk_rows: int = CHUNK_ROWS) -> Iterator[pd.DataFrame]:
    """Read a CSV file with a header, chunk by chunk.

    Args:
        path: the file; its quotes are `"`, and its line ends any.
        chunk_rows: rows in a chunk; the last chunk may be smaller.

    Yields:
        Frames of pandas' string dtype, missing values as NA, indexed by the line in the file on
        which the row ends. Empty lines are skipped.

    Raises:
        TableError: the file is empty, ragged or not UTF-8, it names a column twice, or it can't be
            read to its end.
        OSError: the file can't be opened.
    """
    path = Path(path)
    # "-sig": some programs begin a file with a byte order mark.
    with path.open(newline="", encoding="utf-8-sig") as file:
        lines = csv.reader(file, strict=True)
        try:
            header = _header(path, next(lines, None))
            while rows := list(itertools.islice(_numbered(lines), chunk_rows)):
                yield _frame(path, header, rows)
        except UnicodeDecodeError as error:
            byte = error.object[error.start]
            raise TableError(
                f"{path}, after row {lines.line_num}: byte 0x{byte:02x} is not UTF-8; save the "
                "file in UTF-8."
            ) from error
        except OSError as error:
            raise TableError(
                f"{path}, after row {lines.line_num}: it can't be read: {error.strerror}. Get it "
                "again."
            ) from error
        except csv.Error as error:
            raise TableError(f"{path}, row {lines.line_num}: {error}.") from error


def read_table(path: Path | str) -> pd.DataFrame:
    """Read a whole CSV file as one frame; see `read_chunks`.

    Raises:
        TableError: as `read_chunks`, or there is no row below the header.
        OSError: the file can't be opened.
    """
    chunks = [*read_chunks(path)]
    if not chunks:
        raise TableError(f"{path} has no row below its header; it must have one at least.")
    return pd.concat(chunks)


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a CSV file atomically, missing values as NA; make its directory if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, frame.to_csv(index=False, na_rep="NA", lineterminator="\n"))


def _header(path: Path, header: list[str] | None) -> list[str]:
    if not header:
        raise TableError(f"{path} is empty; its first row must name the columns.")
    refuse_duplicates(str(path), header)
    return header


def refuse_duplicates(table: str, names: list[str]) -> None:
    """Raise TableError if two columns have the same name."""
    twice = sorted(name for name, count in Counter(names).items() if count > 1)
    if twice:
        raise TableError(
            f"{table} names column {shown(twice[0])} more than once; rename one of them."
        )


def _numbered(lines: Any) -> Iterator[tuple[int, list[str]]]:
    """Yield each row with the number of the line on which it ends; skip empty lines."""
    return ((lines.line_num, row) for row in lines if row)


def _frame(path: Path, header: list[str], rows: list[tuple[int, list[str]]]) -> pd.DataFrame:
    for line, row in rows:
        if len(row) != len(header):
            raise TableError(f"{path}, row {line}: {len(row)} values for {len(header)} columns.")
    values = [[None if value in NO_VALUE else value for value in row] for _, row in rows]
    index = pd.Index([line for line, _ in rows], name="row")
    return pd.DataFrame(values, index=index, columns=header, dtype="str")
