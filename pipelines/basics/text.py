"""Puts any text or value into one short line, for errors and messages."""

from __future__ import annotations

import reprlib
from typing import Any

__all__ = ["one_line", "shown"]

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100


def one_line(text: str, limit: int = 600) -> str:
    """Return the text in one line of printable characters, cut after `limit` of them.

    Line breaks and runs of spaces become one space, other control characters their escapes.

    Example:
        >>> one_line("no  such   file")
        'no such file'
    """
    # Escapes only lengthen the text, so text far beyond the limit can't become part of the line.
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in " ".join(text[: 10 * limit].split())[: limit + 1]
    )
    return line if len(line) <= limit else f"{line[:limit]}..."


def shown(value: Any, limit: int = 100) -> str:
    """Return the value's `repr` in one short line, however large or nested the value is.

    Example:
        >>> shown([1, 2, 3, 4, 5, 6, 7, 8])
        '[1, 2, 3, 4, 5, 6, ...]'
    """
    try:
        text = _REPR.repr(value)
    except ValueError:
        # Python refuses to write an integer of more than 4300 digits.
        text = f"{type(value).__name__} of too many digits"
    return one_line(text, limit)
