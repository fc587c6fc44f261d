"""Starts TensorFlow without its messages and without needless garbage collection."""

from __future__ import annotations

import contextlib
import gc
import os
import sys
import tempfile
from collections.abc import Iterator

__all__ = ["collector_paused", "quiet_start"]


@contextlib.contextmanager
def quiet_start() -> Iterator[None]:
    """Keep TensorFlow's start-up messages off the terminal, unless the block raises.

    TensorFlow's C++ part writes to the process's standard error before its log level is read.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.stderr.flush()
    terminal = os.dup(2)
    with tempfile.TemporaryFile() as chatter:
        os.dup2(chatter.fileno(), 2)
        try:
            yield
        except Exception:
            chatter.seek(0)
            os.write(terminal, chatter.read())
            raise
        finally:
            os.dup2(terminal, 2)
            os.close(terminal)


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the garbage collector, and afterwards exempt the objects that exist by then.

    Importing TensorFlow creates about a million objects that stay. The collector would walk them
    again and again meanwhile, and once more when the process exits: a second in all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
