"""Hidden directories in which versions are written, each locked while its publisher lives.

The server ignores them, as their names are not numbers.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

__all__ = ["remove_left_overs", "staging"]

_PREFIX = ".staging-"
# What tempfile.TemporaryDirectory appends; a user's directory of another name stays.
_RANDOM = "[a-z0-9_]" * 8
# Where the file system has no locks, directories of this age are left over.
_LEFT_OVER_S = 24 * 60 * 60


@contextlib.contextmanager
def staging(base: Path) -> Iterator[Path]:
    """Create and lock a hidden directory below `base`; remove it afterwards."""
    with contextlib.ExitStack() as stack:
        # The lock of `base` keeps others from removing the directory before it is locked itself.
        with _lock(base):
            directory = Path(
                stack.enter_context(
                    tempfile.TemporaryDirectory(
                        prefix=_PREFIX, dir=base, ignore_cleanup_errors=True
                    )
                )
            )
            stack.enter_context(_lock(directory))
        yield directory


def remove_left_overs(base: Path) -> None:
    """Remove the hidden directories of processes that were killed."""
    with _lock(base):
        for path in base.glob(f"{_PREFIX}{_RANDOM}"):
            # Another publisher may be removing it too.
            with contextlib.suppress(OSError):
                if _is_left_over(path):
                    shutil.rmtree(path)


def _is_left_over(directory: Path) -> bool:
    """No living process has the directory's lock, or it is too old for one."""
    try:
        with _lock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB):
            return True
    except OSError:
        return time.time() - directory.stat().st_mtime > _LEFT_OVER_S


@contextlib.contextmanager
def _lock(directory: Path, how: int = fcntl.LOCK_EX) -> Iterator[None]:
    """Lock a directory; with LOCK_NB, raise OSError if another process has the lock.

    Where the file system has no locks, only a call with LOCK_NB fails.
    """
    handle = os.open(directory, os.O_RDONLY)
    try:
        with contextlib.nullcontext() if how & fcntl.LOCK_NB else contextlib.suppress(OSError):
            fcntl.flock(handle, how)
        yield
    finally:
        os.close(handle)
