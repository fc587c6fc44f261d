"""pipelines/tables/csv_files.py: files of many dialects; malformed ones are refused by row."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.tables.csv_files import read_cells, read_chunks, read_table, separator_of
from pipelines.tables.dialect import Dialect
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


def cells(frame: pd.DataFrame) -> list[list[str | None]]:
    return [[None if pd.isna(cell) else cell for cell in row] for row in frame.to_numpy()]


@pytest.mark.parametrize("sep", [",", ";", "\t", "|"])
def test_the_separator_is_found(tmp_path: Path, sep: str) -> None:
    text = sep.join(["a", "b", "c"]) + "\n" + sep.join(["1", "x y", "3"]) + "\n"
    frame = read_table(written(tmp_path, text))
    assert list(frame) == ["a", "b", "c"]
    assert cells(frame) == [["1", "x y", "3"]]


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a;b\n1,5;2,5\n3,5;4,5\n", ["a", "b"]),
        ("a,b\nx;y,2\n", ["a", "b"]),
        ('"a;b",c\n1,2\n', ["a;b", "c"]),
        ("a\n1;2\n", ["a"]),
    ],
    ids=["decimal commas", "semicolons in texts", "quoted", "one column"],
)
def test_other_separators_within_values_do_not_mislead(
    tmp_path: Path, text: str, names: list[str]
) -> None:
    assert list(read_table(written(tmp_path, text))) == names


def test_a_given_separator_quote_and_encoding_are_used(tmp_path: Path) -> None:
    path = written(tmp_path, "a:b\n'1:2':caf\xe9\n".encode("latin-1"))
    frame = read_table(path, Dialect(sep=":", quotechar="'", encoding="latin-1"))
    assert cells(frame) == [["1:2", "caf\xe9"]]
    frame = read_table(written(tmp_path, "a  b\n1 2\n"), Dialect(sep=r"\s+"))
    assert cells(frame) == [["1", "2"]]


@pytest.mark.parametrize(
    ("content", "hint"),
    [(b"a,b\n1,2\n3,\xe9\n", "'latin-1'"), ("a,b\n".encode("utf-16"), "'utf-16'")],
)
def test_another_encoding_is_refused_with_the_option(
    tmp_path: Path, content: bytes, hint: str
) -> None:
    row = 3 if hint == "'latin-1'" else 1
    with pytest.raises(TableError, match=rf"row {row}: byte .* is not UTF-8; .*encoding={hint}"):
        read_table(written(tmp_path, content))


def test_a_packed_file_is_refused_as_such(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="is no text, but packed or a spreadsheet; save it as"):
        read_table(written(tmp_path, gzip.compress(b"a,b\n1,2\n", mtime=0)))


def test_an_unknown_encoding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="unknown encoding: latin-99; 'utf-8' and"):
        read_table(written(tmp_path, "a\n1\n"), Dialect(encoding="latin-99"))


def test_rows_are_numbered_as_in_a_spreadsheet(tmp_path: Path) -> None:
    text = '\n# made by hand\na,b\n1,2\n\n3,"x\ny"\n  \n# more\n5,6 # six\n'
    frame = read_table(written(tmp_path, text.replace("x\ny", "xy")), Dialect(comment="#"))
    assert cells(frame) == [["1", "2"], ["3", "xy"], ["5", "6"]]
    assert list(frame.index) == [4, 6, 9]
    # A row that spans lines counts once.
    frame = read_table(written(tmp_path, 'a,b\n1,"x\ny"\n\n5,6\n'))
    assert list(frame.index) == [2, 4]


@settings(max_examples=25)
@given(
    rows=st.lists(st.sampled_from(["1,2", "", "#c", '"x, y",3', ",", "1,2 #c"]), max_size=12),
    chunk_rows=st.integers(1, 5),
)
def test_chunks_give_the_rows_of_the_whole(
    rows: list[str], chunk_rows: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = written(tmp_path_factory.mktemp("chunks"), "\n".join(["a,b", *rows, "8,9"]) + "\n")
    whole = read_table(path, Dialect(comment="#"))
    expected = [n for n, row in enumerate([*rows, "8,9"], 2) if row not in ("", "#c")]
    assert list(whole.index) == expected
    chunks = read_chunks(path, chunk_rows, Dialect(comment="#"))
    pd.testing.assert_frame_equal(pd.concat(chunks), whole)


def test_an_empty_last_value_is_a_gap_and_an_absent_one_an_error(tmp_path: Path) -> None:
    assert cells(read_table(written(tmp_path, "a,b\n1,\n,2\n,\n"))) == [
        ["1", None], [None, "2"], [None, None],
    ]  # fmt: skip
    with pytest.raises(TableError, match=r"row 3: 1 values for 2 columns"):
        read_table(written(tmp_path, "a,b\n1,\n2\n"))


def test_a_first_column_without_a_name_numbers_the_rows(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, ",a,b\n0,1,2\n1,3,4\n"))
    assert list(frame) == ["a", "b"]
    # Spreadsheets end the rows with separators of columns that have been emptied.
    frame = read_table(written(tmp_path, "a,b,,\n1,2,,\n"))
    assert cells(frame) == [["1", "2"]]
    with pytest.raises(TableError, match=r"row 3: '5' stands in column 3, which has no name"):
        read_table(written(tmp_path, "a,b,\n1,2,\n3,4,5\n"))


def test_spaces_around_names_and_values_are_dropped(tmp_path: Path) -> None:
    frame = read_table(written(tmp_path, 'a , b\n 1, "x, y"\n2 ,  \n'))
    assert list(frame) == ["a", "b"]
    assert cells(frame) == [["1", "x, y"], ["2", None]]


def test_cells_stay_as_the_file_spells_them(tmp_path: Path) -> None:
    path = tmp_path / "houses.csv"
    path.write_text("# made up\n\nId ;Price;Roof\n007;1.000,50;NA\n\n8;?; Tin\n")
    dialect = Dialect(
        decimal=",", thousands=".", comment="#", na_values=("?",), index_column="Id"
    )  # fmt: skip
    [cells] = read_cells(path, dialect=dialect)
    assert cells.to_dict("list") == {
        "Id": ["007", "8"], "Price": ["1.000,50", "?"], "Roof": ["NA", "Tin"],
    }  # fmt: skip
    assert cells.index.tolist() == [4, 6]
    [cleaned] = read_chunks(path, dialect=dialect)
    known = cleaned.fillna("-").to_dict("list")
    assert known == {"Price": ["1000.50", "-"], "Roof": ["-", "Tin"]}
    assert separator_of(path, dialect) == ";"
    assert separator_of(path, Dialect(sep="|", comment="#")) == "|"
