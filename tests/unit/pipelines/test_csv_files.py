"""pipelines/csv_files.py: malformed files are refused with the row."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.csv_files import read_chunks, read_table
from pipelines.tables.errors import TableError


def written(tmp_path: Path, text: str | bytes) -> Path:
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", r"table\.csv is empty; its first row must name the columns"),
        ("a,b\n1,2\n1,2,3\n", r"row 3: 3 values for 2 columns"),
        ("a,b\n1\n", r"row 2: 1 values for 2 columns"),
        ("a,b,a\n1,2,3\n", r"names column 'a' more than once"),
        (b"a,b\n1,\xe9\n", r"byte 0xe9 is not UTF-8"),
        ('a,b\n1,"2\n', r"row 2: unexpected end of data"),
        ("a,b\n", r"table\.csv has no row below its header"),
        ("\ufeffa,a\n1,2\n", r"table\.csv names column 'a' more than once"),
    ],
    ids=[
        "empty",
        "long row",
        "short row",
        "same name",
        "encoding",
        "open quote",
        "no row",
        "mark",
    ],
)
def test_malformed_files_are_refused_by_row(
    tmp_path: Path, text: str | bytes, message: str
) -> None:
    with pytest.raises(TableError, match=message):
        read_table(written(tmp_path, text))


@given(data=st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(
    data: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("bytes") / "table.csv"
    path.write_bytes(data)
    try:
        for frame in read_chunks(path, 2):
            assert list(frame)
    except TableError as error:
        assert "table.csv" in str(error)


def test_a_byte_order_mark_does_not_become_part_of_a_quoted_name(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, '\ufeff"a, b",c\n1,2\n'))
    assert list(frame.columns) == ["a, b", "c"]
