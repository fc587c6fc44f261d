"""SHA-256 of each file of a published version, so that damage is noticed wherever it is.

TensorFlow has checksums of the variables alone: a bit that flips in the graph, in a label or in
the divisor of the pixels, would be served. `sha256sum -c` reads the file too.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path

from tfd2l.errors import one_line
from tfd2l.files import write_whole

__all__ = ["CHECKSUMS_FILE", "DamagedError", "check_files", "write_checksums"]

# Below the version's directory, where the server leaves files of others alone.
CHECKSUMS_FILE = Path("assets.extra") / "SHA256SUMS"
_REMEDY = "Publish the version again, or put an undamaged copy in its place."


class DamagedError(Exception):
    """A file of a version is not as it was published."""


def write_checksums(directory: Path) -> None:
    """Write the checksums of all files that are below `directory` now.

    Raises:
        OSError: a file can't be read, or the new one not written.
    """
    names = sorted(
        path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()
    )
    lines = [f"{_sha256(directory / name)}  {name}" for name in names]
    text = "\n".join([*lines, _end(len(lines)), ""])
    write_whole(directory / CHECKSUMS_FILE, os.fsencode(text))


def check_files(directory: Path) -> None:
    """Hold the files against their checksums, if there are any: other programs write none.

    Files that came later are none of the version's.

    Raises:
        DamagedError: a file differs, is missing or can't be read.
    """
    path = directory / CHECKSUMS_FILE
    try:
        lines = os.fsdecode(path.read_bytes()).split("\n")
        # Of a list that was cut, the rest would be right.
        if lines[-2:] != [_end(len(lines) - 2), ""]:
            raise DamagedError(f"{path} must end with the number of its files. {_REMEDY}")
        for line in lines[:-2]:
            _check_line(directory, line)
    except FileNotFoundError as error:
        if path.exists():
            raise DamagedError(f"a file of the version is gone: {error}. {_REMEDY}") from error
    except (OSError, ValueError) as error:
        problem = one_line(str(error))
        raise DamagedError(f"{directory} can't be checked: {problem}. {_REMEDY}") from error


def _check_line(directory: Path, line: str) -> None:
    """Raise DamagedError unless the file that the line names has the checksum in it."""
    parts = re.fullmatch("([0-9a-f]{64})  (.+)", line)
    if parts is None:
        raise DamagedError(f"{directory / CHECKSUMS_FILE} has a line that is none. {_REMEDY}")
    path = directory / parts[2]
    if _sha256(path) != parts[1]:
        raise DamagedError(one_line(f"{path} must have SHA-256 {parts[1]}, and has not. {_REMEDY}"))


def _end(files: int) -> str:
    # A comment for sha256sum.
    return f"# {files} files"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
