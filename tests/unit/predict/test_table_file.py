"""The command on CSV files: answers beside the rows as they are, in the file's own dialect."""

from __future__ import annotations

import io
import stat
from pathlib import Path
from unittest import mock

import numpy as np
import pandas as pd
import pytest

from tests.support.raw_models import save_prices, save_roofs
from tfd2l.predict.command import main


@pytest.fixture(scope="module")
def prices(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_prices(tmp_path_factory.mktemp("models") / "prices"))


@pytest.fixture(scope="module")
def roofs(tmp_path_factory: pytest.TempPathFactory) -> str:
    card = {"output": {"kind": "class", "labels": ["steep", "flat"]}}
    return str(save_roofs(tmp_path_factory.mktemp("models") / "roofs", **card))


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    path = tmp_path / "houses_new.csv"
    path.write_text('Id,roof,rooms\n007,Slate,2.50\n8,"a, b",NA\n9,,1\n')
    return path


def test_cells_stay_as_they_are_and_the_prediction_is_added(
    prices: str, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(rows), "--model", prices]) == 0
    said = capsys.readouterr()
    # 10 * 2.5 + 5; 3 rooms where there is no number.
    assert said.out == (
        'Id,roof,rooms,prediction\n007,Slate,2.50,30.0\n8,"a, b",NA,30.0\n9,,1,10.0\n'
    )
    assert said.err == ""


def test_output_is_a_file_that_is_written_whole(
    prices: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "answers.csv"
    assert main([str(rows), "--model", prices, "--output", str(output)]) == 0
    assert capsys.readouterr().out == ""
    assert pd.read_csv(output)["prediction"].tolist() == [30, 30, 10]
    output.write_text("before")
    rows.write_text("Id,roof,rooms\n1,Slate,two\n")
    assert main([str(rows), "--model", prices, "--output", str(output)]) == 2
    assert output.read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.csv", rows.name]


def test_a_classifier_adds_label_and_a_probability_for_each_class(
    roofs: str, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([str(rows), "--model", roofs]) == 0
    found = pd.read_csv(io.StringIO(capsys.readouterr().out))
    # In the order of the card's labels.
    assert [*found][3:] == ["label", "probability_steep", "probability_flat"]
    # The logits are 30 and 30, twice, then 30 and 10.
    assert found["label"].tolist() == ["flat", "flat", "flat"]
    shares = [0.5, 0.5, 1 / (1 + np.exp(20.0))]
    np.testing.assert_allclose(found["probability_steep"], shares, rtol=1e-5)
    np.testing.assert_allclose(found["probability_flat"], 1 - np.array(shares), rtol=1e-5)


def test_a_column_that_the_file_has_already_is_not_lost(
    roofs: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "test.csv"
    path.write_text("rooms,roof,label\n4,tin,steep\n")
    assert main([str(path), "--model", roofs]) == 0
    said = capsys.readouterr()
    [row] = pd.read_csv(io.StringIO(said.out)).to_dict("records")
    assert (row["label"], row["predicted_label"]) == ("steep", "steep")
    assert said.err == (
        f"note: {path} has a column 'label', so that of the answers is 'predicted_label'\n"
    )


def test_the_cards_dialect_reads_the_file_and_writes_the_answers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    dialect = {"sep": ";", "decimal": ",", "thousands": ".", "na_values": ["?"]}
    model = save_prices(tmp_path / "model", input={"kind": "table", "dialect": dialect})
    path = tmp_path / "houses.csv"
    path.write_text("rooms;roof\n1.000,25;Slate\n?;tin\n")
    assert main([str(path), "--model", str(model)]) == 0
    assert capsys.readouterr().out == (
        "rooms;roof;prediction\n1.000,25;Slate;10007,5\n?;tin;30,0\n"
    )


def test_rows_are_read_from_standard_input(
    prices: str, rows: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with mock.patch("sys.stdin") as stdin:
        stdin.buffer = io.BytesIO(rows.read_bytes())
        assert main(["-", "--model", prices]) == 0
        assert capsys.readouterr().out.count("\n") == 4
        stdin.buffer = io.BytesIO(b"rooms,roof\n1\n")
        assert main(["-", "--model", prices]) == 2
    assert capsys.readouterr().err.startswith("error: standard input, row 2: 1 values for 2 col")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"rooms,Roof\n1,a\n", "the table has no column 'roof'; did you mean 'Roof'?"),
        (b"rooms,roof\n1,a\ntwo,b\n", "column 'rooms', row 3: 'two' is no number."),
        (b"rooms,roof\n1,a,3\n", "rows.csv, row 2: 3 values for 2 columns. The file must be CSV"),
        (b"rooms,roof\n", "rows.csv must have a row below its header."),
        (b"", "rows.csv is empty; its first row must name the columns. The file must be CSV"),
        (b"rooms,roof\n1,\xff\n", "rows.csv, row 2: byte 0xff is not UTF-8; "),
        (b'rooms,roof\n1,"a\n', "rows.csv, row 2: "),
        (
            b"\x89PNG\r\n\x1a\n\0\0\xff",
            "must be CSV with the columns ['roof', 'rooms'], which the model in ",
        ),
    ],
)
def test_files_that_do_not_fit_are_reported_in_a_line(
    prices: str, tmp_path: Path, content: bytes, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rows.csv"
    path.write_bytes(content)
    assert main([str(path), "--model", prices]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: ")
    assert message in said.err
    assert (said.out, said.err.count("\n")) == ("", 1)


def test_flags_and_files_that_a_table_does_not_take_are_refused(
    prices: str, rows: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, words in (
        ([str(rows), str(rows)], "takes rows of a table, so one CSV file; got 2 files."),
        ([str(rows), "--json"], "--json is for images, but the model in "),
        ([str(rows), "--framing", "none"], "--framing is for images, but "),
        ([str(rows), "--picture", str(tmp_path / "a.png")], "--picture is for images, but "),
        ([str(rows), "--output", str(rows)], "--output must not overwrite the rows; got "),
        ([str(rows), "--output", str(tmp_path)], "--output must be a new or regular file in an"),
        ([str(rows), "--output", "/nodir/a.csv"], "--output must be a new or regular file in an"),
        ([str(tmp_path / "absent.csv")], "absent.csv can't be read: No such file"),
    ):
        assert main([*flags, "--model", prices]) == 2
        said = capsys.readouterr()
        assert words in said.err
        assert (said.out, said.err.count("\n")) == ("", 1)


def test_output_through_a_link_changes_the_file_behind_it(
    prices: str, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "real.csv").write_text("")
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert main([str(rows), "--model", prices, "--output", str(tmp_path / "link.csv")]) == 0
    assert stat.S_ISLNK((tmp_path / "link.csv").lstat().st_mode)
    assert (tmp_path / "real.csv").read_text().startswith("Id,roof,rooms,prediction\n")
