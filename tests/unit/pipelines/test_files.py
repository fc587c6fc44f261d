"""pipelines/basics/files.py: files are written whole or not at all."""

from __future__ import annotations

import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.basics.files import (
    is_temporary,
    read_regular,
    remove_temporary_files,
    write_atomically,
)


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
    first, *later = events
    assert re.fullmatch(r"synced \.file\.[0-9a-f]{16}\.tfd2l", first)
    assert later == ["renamed to file", f"synced {tmp_path.name}"]


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file.json"
    write_atomically(path, "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(path, "new \ud800")

    def no_room(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [*tmp_path.iterdir()] == [path]


def test_an_open_file_keeps_its_old_content(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    with path.open("rb") as reader:
        write_atomically(path, b"new bytes")
        assert reader.read() == b"old"
    assert path.read_bytes() == b"new bytes"


def test_the_umask_decides_on_permissions_unless_a_mode_is_given(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        write_atomically(tmp_path / "default", b"")
        write_atomically(tmp_path / "given", b"", mode=0o644)
    finally:
        os.umask(before)
    assert (tmp_path / "default").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o644


def test_many_threads_can_write_one_file_at_once(tmp_path: Path) -> None:
    path, data = tmp_path / "file", bytes(300_000)
    with ThreadPoolExecutor(4) as pool:
        # The result of each raises what its thread raised.
        for writing in [pool.submit(write_atomically, path, data) for _ in range(40)]:
            writing.result()
    assert [*tmp_path.iterdir()] == [path]
    assert path.read_bytes() == data


def test_temporary_files_of_a_killed_process_are_removed_and_nothing_else(tmp_path: Path) -> None:
    mark = "0123456789abcdef.tfd2l"
    kept = {".lock", "config.json", ".hidden", "a.7", ".config.json.bak", ".notes.2024",
            f"a.{mark}", f".a.{mark}.mybest", ".a.0123.tfd2l"}  # fmt: skip
    for name in {f".config.json.{mark}", f".epoch-00001.step-0000000.{mark}", *kept}:
        (tmp_path / name).touch()
    (tmp_path / f".directory.{mark}").mkdir()
    remove_temporary_files(tmp_path, of="metrics.csv")
    assert (tmp_path / f".config.json.{mark}").exists()
    remove_temporary_files(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {f".directory.{mark}", *kept}
    remove_temporary_files(tmp_path / "absent")


def test_young_temporary_files_stay_where_others_may_be_writing(tmp_path: Path) -> None:
    old, young = (tmp_path / f".file.{digit * 16}.tfd2l" for digit in "0f")
    for path in (old, young):
        path.touch()
    os.utime(old, (0, time.time() - 7200))
    remove_temporary_files(tmp_path, older_than_s=3600)
    assert [*tmp_path.iterdir()] == [young]
    assert is_temporary(young, of="file")
    assert not is_temporary(young, of="other")


def test_an_error_names_the_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.mkdir()
    (path / "content").touch()
    with pytest.raises(OSError, match=re.escape(repr(str(path)))):
        write_atomically(path, "text")
    assert [*tmp_path.iterdir()] == [path]


def test_only_regular_files_of_a_bounded_size_are_read(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to("file")
    assert read_regular(tmp_path / "file") == read_regular(tmp_path / "link", 5) == b"12345"
    with pytest.raises(OSError, match="File has more than 4 bytes"):
        read_regular(tmp_path / "file", 4)
    with pytest.raises(IsADirectoryError):
        read_regular(tmp_path)
    with pytest.raises(FileNotFoundError):
        read_regular(tmp_path / "absent")
    # These would block, or never end.
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero").symlink_to("/dev/zero")
    for name in ("pipe", "zero"):
        with pytest.raises(OSError, match="Not a regular file"):
            read_regular(tmp_path / name)
