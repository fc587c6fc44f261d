"""A run's record: read back, damaged, and changed by hand."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from tfd2l.train.records import RunError, read_record, write_record

RECORD: dict[str, Any] = {
    "settings": {"lr": 0.1, "resize": [28, 28]},
    "data": {"source": "naïve"},
}


def test_a_record_is_read_back(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    assert read_record(tmp_path) == RECORD


def test_a_directory_without_a_record_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        RunError, match=r"is not a run that can be resumed: config\.json can't be read \(No"
    ):
        read_record(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "\udcff", "[" * 100_000, "9" * 5000])
def test_text_that_is_not_a_record_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(RunError, match=r"config\.json' is damaged"):
        read_record(tmp_path)


@pytest.mark.parametrize("record", [{}, {"settings": {}}, {"settings": 3, "data": {}}])
def test_a_record_without_settings_and_data_is_refused(
    record: dict[str, Any], tmp_path: Path
) -> None:
    write_record(tmp_path, record)
    with pytest.raises(RunError, match=r"config\.json' must have settings and data, as a run"):
        read_record(tmp_path)
    # Other records of a run need neither.
    write_record(tmp_path, record, "export.json")
    assert read_record(tmp_path, "export.json") == record


def test_a_change_by_hand_is_detected(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / "config.json"
    path.write_text(path.read_text().replace("0.1", "0.2"))
    with pytest.raises(RunError, match="its checksum differs. Undo the change, or begin a new run"):
        read_record(tmp_path)


def test_a_pipe_in_place_of_a_record_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "config.json")
    with pytest.raises(RunError, match="can't be read .Not a regular file"):
        read_record(tmp_path)
