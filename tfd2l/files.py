"""Files that are there whole or not at all, also after a crash."""

from __future__ import annotations

import os
import re
from pathlib import Path

_DRAFT = re.compile(r"\..+\.[0-9]+")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file aside and rename it into place; text is written as UTF-8.

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
    except OSError as error:
        # What writing itself says names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        draft.unlink(missing_ok=True)


def remove_drafts(directory: Path) -> None:
    """Delete what a process that was killed had begun to write; none may be at work there."""
    for path in directory.glob(".*"):
        if _DRAFT.fullmatch(path.name) and path.is_file():
            path.unlink()
