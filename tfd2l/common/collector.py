"""Python's garbage collector, kept off what stays until the process ends."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator

__all__ = ["collector_paused"]


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Pause the collector, and have it leave alone for good what there is at the end.

    Importing TensorFlow makes some million objects that stay. The collector would walk them again
    and again meanwhile, and once more when the process exits: a second in all.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if enabled:
            gc.enable()
