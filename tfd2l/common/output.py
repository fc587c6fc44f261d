"""Output to a terminal or pipe that lacks letters, is closed, or was never there."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["lasting", "lasting_output"]

_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class _Lasting:
    """A stream whose writes never fail.

    Characters that its encoding lacks are escaped; after another error it shows nothing more.
    """

    def __init__(self, stream: TextIO, full: list[OSError] | None = None) -> None:
        self._stream, self._full = stream, full

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        # A stream that the program itself has closed would raise ValueError.
        if self._stream.closed:
            return len(text)
        try:
            return self._stream.write(text)
        except UnicodeEncodeError as error:
            known = text.encode(error.encoding, "backslashreplace").decode(error.encoding)
            return self.write(known)
        except OSError as error:
            self._fall_silent(error)
            return len(text)

    def flush(self) -> None:
        try:
            if not self._stream.closed:
                self._stream.flush()
        except OSError as error:
            self._fall_silent(error)

    def _fall_silent(self, error: OSError) -> None:
        if self._full is not None and error.errno in _FULL:
            self._full.append(error)
        # Otherwise Python writes the stream's buffer again and again, also at exit. A stream
        # without a file descriptor raises io.UnsupportedOperation, a ValueError.
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            try:
                os.dup2(nowhere, self._stream.fileno())
            finally:
                os.close(nowhere)


def lasting(stream: TextIO) -> TextIO:
    """The same stream, but writing to it never raises: a run must not fail with its terminal."""
    return cast("TextIO", _Lasting(stream))


@contextlib.contextmanager
def lasting_output() -> Iterator[list[OSError]]:
    """Inside, writing to standard output and standard error never fails.

    Yields a list, to which the error of an output that goes to a full disk is added: unlike a
    reader that has gone, whoever keeps the output in a file wants all of it.
    """
    _open_closed_streams()
    before = sys.stdout, sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123  # it has no path
        # Either is None in a process that was started without it.
        full: list[OSError] = []
        streams = [_Lasting(nowhere if stream is None else stream, full) for stream in before]
        sys.stdout, sys.stderr = cast("list[TextIO]", streams)
        try:
            yield full
        finally:
            for stream in (sys.stdout, sys.stderr):
                stream.flush()
            sys.stdout, sys.stderr = before


def _open_closed_streams() -> None:
    """Open the null device for each standard stream that the process was started without.

    The next file would get its number otherwise, and with it all that libraries written in C++
    write to standard error.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The system gives the lowest number that is free: this one.
            os.open(os.devnull, os.O_RDWR)
