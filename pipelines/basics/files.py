"""Writes files whole or not at all, also across a crash."""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
import time
from collections.abc import Callable
from contextlib import suppress
from io import BufferedReader
from pathlib import Path
from typing import BinaryIO

__all__ = ["is_temporary", "open_regular", "read_regular", "remove_temporary_files", "sync",
           "write_atomically"]  # fmt: skip

# Of `.<name>.<random>.tfd2l`; a user's hidden file has no such name.
_TEMPORARY = re.compile(r"\.(.+)\.[0-9a-f]{16}\.tfd2l")


def write_atomically(
    path: Path, content: str | bytes | Callable[[BinaryIO], object], *, mode: int | None = None
) -> None:
    """Write a temporary file beside `path`, sync it to disk and rename it into place.

    Threads and processes may write the same file at once; the last one's content stays.

    Args:
        path: the file; its directory exists.
        content: text, written as UTF-8 with its line ends unchanged; bytes; or a function that
            writes to the open file.
        mode: permissions of the file, whatever the umask; by default the umask decides.

    Raises:
        OSError: the file can't be written; the error names it, and its old content stays.
    """
    # Not the process id: containers that share a directory may have the same one.
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tfd2l")
    try:
        with temporary.open("xb") as file:
            if callable(content):
                content(file)
            else:
                file.write(content.encode("utf-8") if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        temporary.replace(path)
        sync(path.parent)
    except OSError as error:
        # An error of `write` names no file.
        raise OSError(error.errno, error.strerror, str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file to read it; a link to one counts.

    A pipe would block until somebody writes to it, and a device such as /dev/zero has no end.

    Raises:
        OSError: the file can't be opened, or is a directory, a pipe, a device or a socket.
    """
    # Without O_NONBLOCK, opening a pipe blocks already.
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    mode = os.fstat(handle).st_mode
    if stat.S_ISREG(mode):
        return os.fdopen(handle, "rb")
    os.close(handle)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    raise OSError(errno.EINVAL, "Not a regular file", str(path))


def read_regular(path: Path, max_bytes: int = 2**24) -> bytes:
    """Read a regular file of at most `max_bytes`, by default 16 MiB.

    Raises:
        OSError: as `open_regular`, or the file is longer.
    """
    with open_regular(path) as file:
        # One byte more shows that the file is too long, without reading all of it.
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"File has more than {max_bytes:,} bytes", str(path))
    return content


def is_temporary(path: Path, of: str | None = None) -> bool:
    """Return True for an unfinished file of `write_atomically`, for the name `of` or for any."""
    name = _TEMPORARY.fullmatch(path.name)
    return name is not None and of in (None, name[1]) and path.is_file()


def remove_temporary_files(
    directory: Path, of: str | None = None, *, older_than_s: float = 0.0
) -> None:
    """Delete the unfinished files of killed processes.

    Args:
        directory: may be missing.
        of: the name of the file that was being written; None means any.
        older_than_s: seconds since the last write; 0 only where no other process is writing.
    """
    for path in directory.glob(".*"):
        # Another process may be deleting the same file.
        with suppress(FileNotFoundError):
            if is_temporary(path, of) and time.time() - path.stat().st_mtime >= older_than_s:
                path.unlink()


def sync(path: Path) -> None:
    """Write a file, or the entries of a directory, to disk.

    After a crash, nothing that is written later can be there without it.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems can't sync a directory.
        if error.errno != errno.EINVAL:
            raise
    finally:
        os.close(handle)
