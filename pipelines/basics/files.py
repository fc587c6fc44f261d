"""Writes files whole or not at all, also across a crash."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

_TEMPORARY = re.compile(r"\.(.+)\.[0-9]+")


def write_atomically(
    path: Path, content: str | bytes | Callable[[BinaryIO], object], *, mode: int | None = None
) -> None:
    """Write a temporary file beside `path`, sync it to disk and rename it into place.

    Args:
        path: the file; its directory exists.
        content: text, written as UTF-8 with its own line ends; bytes; or a function that writes to
            the open file.
        mode: permissions of the file, whatever the umask; by default as the umask has it.

    Raises:
        OSError: it can't be written, and names the file; what was there before stays.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
        _sync_directory(path.parent)
    except OSError as error:
        # Errors of writing itself name no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def is_temporary(path: Path, of: str | None = None) -> bool:
    """Whether this is an unfinished file of `write_atomically`, for the name `of` or for any."""
    name = _TEMPORARY.fullmatch(path.name)
    return name is not None and of in (None, name[1]) and path.is_file()


def remove_temporary_files(directory: Path, of: str | None = None) -> None:
    """Delete what a killed process has left unfinished; no other process may be writing there."""
    for path in directory.glob(".*"):
        if is_temporary(path, of):
            path.unlink()


def _sync_directory(directory: Path) -> None:
    """Sync the rename itself, so that nothing written later can survive a crash without it."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems can't sync a directory.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)
