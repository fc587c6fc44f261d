"""Hidden directories in which versions are written and from which they are removed.

Their names are not integers, so the server ignores them. Each is locked by the process that writes
to it. The system frees the lock when the process ends, however it ends: a directory without a lock
is a left-over.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["hidden_directory", "make_directories", "remove_left_overs", "staging"]

_STAGING, _REMOVED = ".staging-", ".removed-"


@contextlib.contextmanager
def staging(base: Path) -> Iterator[Path]:
    """Create a locked directory below `base` for a version; remove it afterwards.

    Raises:
        OSError: it can't be created.
    """
    directory, handle = _locked_directory(base)
    try:
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)
        os.close(handle)


def hidden_directory(base: Path) -> Path:
    """Create an empty directory below `base`, to rename a version to that is being removed."""
    return Path(tempfile.mkdtemp(prefix=_REMOVED, dir=base))


def remove_left_overs(base: Path) -> None:
    """Remove the hidden directories of processes that were killed."""
    for entry in base.iterdir():
        if not entry.name.startswith((_STAGING, _REMOVED)):
            continue
        # Its own process may be using it, or another one removing it.
        with contextlib.suppress(OSError):
            handle = os.open(entry, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(entry, ignore_errors=True)
            finally:
                os.close(handle)


def make_directories(base: Path) -> None:
    """Create the directory and its parents, readable for the server's user whatever the umask.

    Raises:
        OSError: one can't be created, or is a file.
    """
    if base.is_dir():
        return
    make_directories(base.parent)
    with contextlib.suppress(FileExistsError):
        base.mkdir()
        base.chmod(base.stat().st_mode | 0o555)
    if not base.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(base))


def _locked_directory(base: Path) -> tuple[Path, int]:
    """Create a directory; return it with the handle that keeps it locked."""
    while True:
        directory = Path(tempfile.mkdtemp(prefix=_STAGING, dir=base))
        try:
            handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
        except FileNotFoundError:  # see below
            continue
        # Some network file systems have no locks; then left-overs are not removed either.
        with contextlib.suppress(OSError):
            fcntl.flock(handle, fcntl.LOCK_EX)
        # Between creation and lock, another publisher may have removed it as a left-over.
        if directory.exists():
            return directory, handle
        os.close(handle)
