"""Files whole or not at all."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from pipelines.basics.files import remove_temporary_files, write_atomically


def test_text_and_bytes_are_written_as_they_are(tmp_path: Path) -> None:
    write_atomically(tmp_path / "text", "naïve\n")
    write_atomically(tmp_path / "bytes", b"\x00\xff")
    assert (tmp_path / "text").read_bytes() == b"na\xc3\xafve\n"
    assert (tmp_path / "bytes").read_bytes() == b"\x00\xff"
    assert {path.name for path in tmp_path.iterdir()} == {"text", "bytes"}


def test_a_file_is_on_disk_before_its_name_and_the_name_before_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        # The name of what the handle is open on, as Linux gives it.
        events.append(f"synced {Path(f'/proc/self/fd/{handle}').resolve().name}")
        fsync(handle)

    def replaced(self: Path, target: Path) -> Path:
        events.append(f"renamed to {target.name}")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", replaced)
    write_atomically(tmp_path / "file", "text")
    draft = f".file.{os.getpid()}"
    assert events == [f"synced {draft}", "renamed to file", f"synced {tmp_path.name}"]


def test_what_cannot_be_written_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_drafts_of_a_killed_process_are_removed_and_nothing_else(tmp_path: Path) -> None:
    kept = {".lock", "config.json", ".hidden", "a.7", ".config.json.bak"}
    for name in {".config.json.123", ".epoch-00001.step-0000000.weights.7", *kept}:
        (tmp_path / name).touch()
    (tmp_path / ".directory.5").mkdir()
    remove_temporary_files(tmp_path, of="metrics.csv")
    assert (tmp_path / ".config.json.123").exists()
    remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {".directory.5", *kept}
    remove_temporary_files(tmp_path / "absent")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "content").touch()
    with pytest.raises(OSError, match=re.escape(repr(str(path)))):
        write_atomically(path, "text")
    assert [*tmp_path.iterdir()] == [path]
