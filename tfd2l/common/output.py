"""Output to a terminal or pipe that may be closed before the program ends."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

__all__ = ["lasting", "lasting_output"]


class _Lasting:
    """A stream whose writes never fail; after the first error it shows nothing more."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        # A stream that the program itself has closed would raise ValueError.
        if self._stream.closed:
            return len(text)
        try:
            return self._stream.write(text)
        except OSError:
            self._fall_silent()
            return len(text)

    def flush(self) -> None:
        try:
            if not self._stream.closed:
                self._stream.flush()
        except OSError:
            self._fall_silent()

    def _fall_silent(self) -> None:
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
def lasting_output() -> Iterator[None]:
    """Inside, standard output and standard error may be closed without an error."""
    before = sys.stdout, sys.stderr
    # Either is None in a process that was started without it.
    sys.stdout, sys.stderr = (s if s is None else lasting(s) for s in before)
    try:
        yield
    finally:
        for stream in (sys.stdout, sys.stderr):
            if stream is not None:
                stream.flush()
        sys.stdout, sys.stderr = before
