"""Files that are there whole or not at all, also after a crash."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

_DRAFT = re.compile(r"\.(.+)\.[0-9]+")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file aside and rename it into place, on disk; text is written as UTF-8.

    Raises:
        OSError: it can't be written, and names the file; what was there before stays.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        # What writing itself says names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def is_draft(path: Path, of: str | None = None) -> bool:
    """Whether this is what `write_whole` had begun, of the file called `of` or of any."""
    name = _DRAFT.fullmatch(path.name)
    return name is not None and of in (None, name[1]) and path.is_file()


def remove_drafts(directory: Path, of: str | None = None) -> None:
    """Delete what a process that was killed had begun to write; none may be at work there."""
    for path in directory.glob(".*"):
        if is_draft(path, of):
            path.unlink()


def _sync_directory(directory: Path) -> None:
    """Have the rename on disk, too, before anything that comes after it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # File systems without it say so, and have nothing better.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)
