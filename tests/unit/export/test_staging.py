"""Hidden directories: locked while they are in use, removed when their process is gone."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.support.exports import names
from tfd2l.export.staging import make_directories, remove_left_overs, staging


def test_a_staging_exists_for_as_long_as_its_context(tmp_path: Path) -> None:
    with staging(tmp_path) as directory:
        assert directory.parent == tmp_path
        assert directory.name.startswith(".staging-")
        (directory / "file").write_text("content")
        remove_left_overs(tmp_path)
        assert (directory / "file").exists()
    assert names(tmp_path) == []


def test_left_overs_of_killed_processes_are_removed_and_those_in_use_stay(tmp_path: Path) -> None:
    for name in (".staging-dead", ".removed-dead", ".staging-alive", ".others"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_text("half")
    (tmp_path / ".staging-file").write_text("")
    handle = os.open(tmp_path / ".staging-alive", os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    remove_left_overs(tmp_path)
    os.close(handle)
    assert names(tmp_path) == [".others", ".staging-alive", ".staging-file"]
    remove_left_overs(tmp_path)
    assert names(tmp_path) == [".others", ".staging-file"]


@pytest.mark.parametrize("opened", [True, False], ids=["before its lock", "before it is opened"])
def test_a_staging_that_another_publisher_removes_is_created_again(
    opened: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, made = tempfile.mkdtemp, list[str]()

    def mkdtemp(*args: Any, **options: Any) -> str:
        path: str = make(*args, **options)
        made.append(path)
        if len(made) > 1:
            monkeypatch.undo()
        elif opened:
            monkeypatch.setattr(fcntl, "flock", lambda handle, kind: Path(path).rmdir())
        else:
            Path(path).rmdir()
        return path

    monkeypatch.setattr(tempfile, "mkdtemp", mkdtemp)
    with staging(tmp_path) as directory:
        assert len(made) == 2
        assert str(directory) == made[1]
    assert names(tmp_path) == []


def test_a_staging_needs_no_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_locks(handle: int, kind: int) -> None:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with staging(tmp_path) as directory:
        remove_left_overs(tmp_path)
        assert directory.is_dir()


def test_directories_are_readable_for_everybody(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        make_directories(tmp_path / "a/b")
    finally:
        os.umask(before)
    assert all((tmp_path / name).stat().st_mode & 0o777 == 0o755 for name in ("a", "a/b"))
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="file"):
        make_directories(tmp_path / "file")
