"""Writes and checks the SHA-256 of each file of a published version.

TensorFlow itself has checksums of the variables only: it would serve a graph in which a bit has
flipped, say in a label or in the divisor of the pixels. `sha256sum -c` reads the file too.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from pipelines.basics.files import open_regular, read_regular, write_atomically
from pipelines.basics.text import one_line
from tfd2l.export.errors import DamagedError

__all__ = ["CHECKSUMS_FILE", "DamagedError", "check_files", "unlisted_files", "write_checksums"]

# Below the version's directory; the server ignores other files there.
CHECKSUMS_FILE = Path("assets.extra") / "SHA256SUMS"
_REMEDY = "Publish the version again, or put an undamaged copy in its place."


def write_checksums(directory: Path) -> None:
    """Write the checksums of all files that exist below `directory` now."""
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    lines = [f"{_sha256(directory / name)}  {name}" for name in names]
    text = "\n".join([*lines, _end(len(lines)), ""])
    write_atomically(directory / CHECKSUMS_FILE, os.fsencode(text))


def check_files(directory: Path) -> None:
    """Compare the files with their checksums, if the version has any: other programs write none.

    Regular files that were added later do not belong to the version and are ignored.

    Raises:
        DamagedError: a file differs, is missing, can't be read, or is a pipe or a device, at which
            the runtime would block.
    """
    for special in directory.rglob("*"):
        if special.exists() and not (special.is_file() or special.is_dir()):
            raise DamagedError(one_line(f"{special} must be a regular file. {_REMEDY}"))
    path = directory / CHECKSUMS_FILE
    try:
        lines = os.fsdecode(read_regular(path)).split("\n")
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise DamagedError(f"{path} can't be read: {error.strerror}. {_REMEDY}") from error
    # Without the number, a list that was cut would pass.
    if lines[-2:] != [_end(len(lines) - 2), ""]:
        raise DamagedError(f"{path} must end with the number of its files. {_REMEDY}")
    for line in lines[:-2]:
        sha256, _, name = line.partition("  ")
        _check_file(directory / name, sha256)


def unlisted_files(directory: Path) -> list[str]:
    """List the files that the list of checksums lacks: the publisher did not write them.

    Raises:
        OSError: the directory or its list can't be read.
    """
    listed = {os.fspath(CHECKSUMS_FILE)}
    if (directory / CHECKSUMS_FILE).exists():
        lines = os.fsdecode(read_regular(directory / CHECKSUMS_FILE)).split("\n")
        listed |= {line.partition("  ")[2] for line in lines}
    files = (path for path in directory.rglob("*") if path.is_symlink() or not path.is_dir())
    return sorted({path.relative_to(directory).as_posix() for path in files} - listed)


def _check_file(path: Path, sha256: str) -> None:
    """Raise DamagedError unless the file has this checksum."""
    try:
        found = _sha256(path)
    except (OSError, ValueError) as error:
        # ValueError: no file can have this name, such as one with a NUL.
        reason = getattr(error, "strerror", None) or error
        raise DamagedError(one_line(f"{path} can't be read: {reason}. {_REMEDY}")) from error
    if found != sha256:
        raise DamagedError(one_line(f"{path} must have SHA-256 {sha256}; got {found}. {_REMEDY}"))


def _end(files: int) -> str:
    # sha256sum takes it for a comment.
    return f"# {files} files"


def _sha256(path: Path) -> str:
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
