"""Checksums of a version: the damage that they find, and the files that they ignore."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tfd2l.export.checksums import CHECKSUMS_FILE, DamagedError, check_files, write_checksums


@pytest.fixture
def version(tmp_path: Path) -> Path:
    """A directory with files, one of them with a name beyond ASCII."""
    (tmp_path / "1/variables").mkdir(parents=True)
    (tmp_path / "1/assets.extra").mkdir()
    (tmp_path / "1/saved_model.pb").write_bytes(b"graph")
    (tmp_path / "1/variables/w\u00f6rter").write_bytes(b"")
    write_checksums(tmp_path / "1")
    return tmp_path / "1"


def test_the_list_has_each_file_once_and_their_number(version: Path) -> None:
    hashes = [hashlib.sha256(content).hexdigest() for content in (b"graph", b"")]
    assert (version / CHECKSUMS_FILE).read_text(encoding="utf-8") == (
        f"{hashes[0]}  saved_model.pb\n{hashes[1]}  variables/w\u00f6rter\n# 2 files\n"
    )
    check_files(version)


def test_files_that_were_added_later_and_versions_without_a_list_are_ignored(version: Path) -> None:
    (version / "assets.extra/notes").write_text("of the user")
    check_files(version)
    (version / CHECKSUMS_FILE).unlink()
    (version / "saved_model.pb").write_bytes(b"other")
    check_files(version)
    check_files(version / "saved_model.pb")


def test_a_pipe_or_a_device_is_refused_without_a_list_too(version: Path) -> None:
    # The runtime would wait for it, or read it for ever.
    for make in (lambda path: os.mkfifo(path), lambda path: path.symlink_to("/dev/zero")):
        path = version / "variables" / "special"
        make(path)
        with pytest.raises(DamagedError, match="special must be a regular file"):
            check_files(version)
        (version / CHECKSUMS_FILE).rename(version / "list")
        with pytest.raises(DamagedError, match="special must be a regular file"):
            check_files(version)
        (version / "list").rename(version / CHECKSUMS_FILE)
        path.unlink()
    (version / CHECKSUMS_FILE).unlink()
    os.mkfifo(version / CHECKSUMS_FILE)
    with pytest.raises(DamagedError):
        check_files(version)


def cut(version: Path) -> None:
    path = version / CHECKSUMS_FILE
    path.write_text(path.read_text(encoding="utf-8").partition("\n")[2], encoding="utf-8")


def spoil(version: Path) -> None:
    path = version / CHECKSUMS_FILE
    path.write_bytes(b"x" + path.read_bytes()[1:])


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (
            lambda v: (v / "saved_model.pb").write_bytes(b"Graph"),
            r"1/saved_model\.pb must have SHA",
        ),
        (lambda v: (v / "saved_model.pb").unlink(), r"1/saved_model\.pb can't be read: No such"),
        (lambda v: (v / CHECKSUMS_FILE).write_bytes(b""), "SHA256SUMS must end with the number"),
        (cut, "SHA256SUMS must end with the number"),
        (spoil, r"1/saved_model\.pb must have SHA-256 x"),
    ],
    ids=["changed", "missing", "empty list", "cut list", "spoilt list"],
)
def test_damage_is_refused_by_the_files_name(
    version: Path, damage: Callable[[Path], object], words: str
) -> None:
    damage(version)
    with pytest.raises(DamagedError, match=f"{words}.* Publish the version again"):
        check_files(version)
