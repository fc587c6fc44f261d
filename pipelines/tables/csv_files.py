"""Reads CSV files as frames of text, a chunk at a time, with errors that name column and row.

pandas' Python engine reads them: its C engine fills short rows with empty values, and then nothing
tells them from rows of the right length.
"""

from __future__ import annotations

import contextlib
import csv
import io
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

import pandas as pd

from pipelines.basics.files import write_atomically
from pipelines.basics.text import one_line, shown
from pipelines.tables.dialect import Dialect, start_of
from pipelines.tables.errors import TableError, refuse_duplicates

__all__ = ["CHUNK_ROWS", "read_cells", "read_chunks", "read_table", "separator_of", "write_table"]

CHUNK_ROWS = 50_000
_DEFAULT = Dialect()
# The first bytes of ZIP (and so of spreadsheets), gzip and Parquet.
_NO_TEXT = (b"PK", b"\x1f\x8b", b"PA")


def read_chunks(
    path: Path | str, chunk_rows: int = CHUNK_ROWS, dialect: Dialect = _DEFAULT
) -> Iterator[pd.DataFrame]:
    """Read a CSV file with a header, chunk by chunk.

    Args:
        path: the file.
        chunk_rows: rows in a chunk; the last chunk may be smaller.
        dialect: the spelling of the file.

    Yields:
        Frames of pandas' string dtype, as `Dialect.clean` spells them, indexed by the row in the
        file: the header has the number 1, and comments, empty rows and rows that span lines have
        one, too, as in a spreadsheet. Empty rows are left out, and so are columns without a name
        that are the first one or have no values.

    Raises:
        TableError: the file is empty, ragged or of another encoding, it names a column twice, or it
            can't be read to its end.
        OSError: the file can't be opened.
    """
    return map(dialect.clean, read_cells(path, chunk_rows, dialect))


def read_cells(
    path: Path | str, chunk_rows: int = CHUNK_ROWS, dialect: Dialect = _DEFAULT
) -> Iterator[pd.DataFrame]:
    """Read a CSV file as `read_chunks` does, with all values as the file spells them."""
    path = Path(path)
    with _named_errors(path, dialect), _opened(path, dialect) as file:
        start = start_of(file, dialect)
        refuse_duplicates(str(path), [name for name in start.names if name])
        file.seek(0)
        rows = pd.read_csv(
            _WithoutComments(file, dialect.comment) if dialect.comment else file,
            engine="python",
            sep=start.sep,
            header=None,
            skiprows=start.skipped,
            dtype="str",
            # Missing values are the dialect's matter; here they are values that a row lacks.
            na_filter=False,
            skip_blank_lines=False,
            skipinitialspace=True,
            quotechar=dialect.quotechar,
            comment=dialect.comment,
            iterator=True,
        )
        names = rows.get_chunk(1).iloc[0].str.strip().tolist()
        refuse_duplicates(str(path), [name for name in names if name])
        while True:
            try:
                frame = rows.get_chunk(chunk_rows)
            except StopIteration:
                return
            frame.index = pd.Index(frame.index + start.skipped + 1, name="row")
            yield _named(path, _checked(path, frame), names)


def read_table(path: Path | str, dialect: Dialect = _DEFAULT) -> pd.DataFrame:
    """Read a whole CSV file as one frame; see `read_chunks`.

    Raises:
        TableError: as `read_chunks`, or there is no row below the header.
        OSError: the file can't be opened.
    """
    chunks = [*read_chunks(path, dialect=dialect)]
    if not any(map(len, chunks)):
        raise TableError(f"{path} has no row below its header; it must have one at least.")
    return pd.concat(chunks)


def separator_of(path: Path | str, dialect: Dialect = _DEFAULT) -> str:
    """Return the separator of a file's values, which the dialect may leave open."""
    path = Path(path)
    with _named_errors(path, dialect), _opened(path, dialect) as file:
        return start_of(file, dialect).sep


def write_table(frame: pd.DataFrame, path: Path | str) -> None:
    """Write a CSV file atomically, missing values as NA; make its directory if need be."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, frame.to_csv(index=False, na_rep="NA", lineterminator="\n"))


def _opened(path: Path, dialect: Dialect) -> TextIO:
    # "-sig": some programs begin a file with a byte order mark.
    utf8 = dialect.encoding.lower().replace("_", "-") in ("utf-8", "utf8")
    return path.open(newline="", encoding="utf-8-sig" if utf8 else dialect.encoding)


class _WithoutComments(io.TextIOBase):
    """A file whose lines of comments are empty; pandas would not count all of them as rows."""

    def __init__(self, file: TextIO, comment: str) -> None:
        super().__init__()
        self._file, self._comment = file, comment

    def readline(self, size: int = -1, /) -> str:  # type: ignore[override]  # text, not bytes
        """Read a line, or its end if it is a comment."""
        line = self._file.readline(size)
        return "\n" if line.startswith(self._comment) else line


def _checked(path: Path, frame: pd.DataFrame) -> pd.DataFrame:
    """Leave out empty rows, and refuse short ones."""
    lacking = frame.isna()
    # An empty line lacks all values, and one of spaces all but the first.
    is_empty = lacking.iloc[:, 1:].all(axis=1) & (frame[0].fillna("").str.strip() == "")
    if len(frame.columns) == 1:
        is_empty = lacking[0]
    is_short = lacking.any(axis=1) & ~is_empty
    if is_short.any():
        found = int((~lacking[is_short].iloc[0]).sum())
        raise TableError(
            f"{path}, row {is_short.idxmax()}: {found} values for {len(frame.columns)} columns."
        )
    return frame[~is_empty]


def _named(path: Path, frame: pd.DataFrame, names: list[str]) -> pd.DataFrame:
    """Name the columns; leave out a first one without a name, and others that are empty as well."""
    kept = [at for at, name in enumerate(names) if name]
    for at in {*range(1, len(names))} - {*kept}:
        has_value = frame[at].str.strip() != ""
        if has_value.any():
            raise TableError(
                f"{path}, row {has_value.idxmax()}: {shown(frame[at][has_value].iloc[0])} stands "
                f"in column {at + 1}, which has no name. Name it in the first row."
            )
    return frame[kept].set_axis([names[at] for at in kept], axis=1)


@contextlib.contextmanager
def _named_errors(path: Path, dialect: Dialect) -> Iterator[None]:
    """Turn the errors of reading into lines that name the file and the row."""
    try:
        yield
    except TableError:
        raise
    except pd.errors.EmptyDataError as error:
        raise TableError(f"{path} is empty; its first row must name the columns.") from error
    except (pd.errors.ParserError, csv.Error) as error:
        wrong = re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", str(error))
        if wrong is None:
            raise TableError(f"{path}, {_malformed(path, dialect)}.") from error
        width, row, found = wrong.groups()
        raise TableError(f"{path}, row {row}: {found} values for {width} columns.") from error
    except UnicodeError as error:
        raise TableError(_undecoded(path, dialect, error)) from error
    except LookupError as error:
        raise TableError(f"{one_line(str(error))}; 'utf-8' and 'latin-1' are known.") from error
    except OSError as error:
        if error.filename is not None:
            raise
        raise TableError(
            f"{path} can't be read to its end: {error.strerror}. Get it again."
        ) from error


def _malformed(path: Path, dialect: Dialect) -> str:
    """Find the row at which pandas' reader, which is Python's own, has stopped."""
    with _opened(path, dialect) as file:
        sep = start_of(file, dialect).sep
        file.seek(0)
        lines = csv.reader(file, delimiter=sep, quotechar=dialect.quotechar, skipinitialspace=True,
                           strict=True)  # fmt: skip
        try:
            for _ in lines:
                pass
        except csv.Error as error:
            return f"row {lines.line_num}: {one_line(str(error))}"
    return "which is no table with this separator and quote"


def _undecoded(path: Path, dialect: Dialect, error: UnicodeError) -> str:
    def is_right(line: bytes) -> bool:
        with contextlib.suppress(UnicodeError):
            return bool(line.decode(dialect.encoding))
        return False

    with path.open("rb") as file:
        start = file.read(2)
        file.seek(0)
        row = 1 + sum(1 for _ in itertools.takewhile(is_right, file))
    if start in _NO_TEXT:
        return f"{path} is no text, but packed or a spreadsheet; save it as a CSV file."
    byte = error.object[error.start] if isinstance(error, UnicodeDecodeError) else 0
    other = "utf-16" if start in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    return (
        f"{path}, row {row}: byte 0x{byte:02x} is not {dialect.encoding.upper()}; pass its "
        f"encoding, such as encoding={other!r}, or save the file in UTF-8."
    )
