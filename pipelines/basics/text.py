"""Foreign text and values in one short line, for errors and messages."""

from __future__ import annotations

import reprlib
from typing import Any

__all__ = ["one_line", "shown"]

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100


def one_line(text: str, limit: int = 600) -> str:
    """The text in one line of printable characters, cut after `limit` of them.

    Line breaks and runs of spaces become one space, other control characters their escapes.

    Example:
        >>> one_line("no  such   file")
        'no such file'
    """
    # Escapes only lengthen the text, so what lies far behind the limit need not be looked at.
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in " ".join(text[: 10 * limit].split())[: limit + 1]
    )
    return line if len(line) <= limit else f"{line[:limit]}..."


def shown(value: Any, limit: int = 100) -> str:
    """The value as Python writes it, in one line and short, however large or nested it is.

    Example:
        >>> shown([1, 2, 3, 4, 5, 6, 7, 8])
        '[1, 2, 3, 4, 5, 6, ...]'
    """
    try:
        text = _REPR.repr(value)
    except ValueError:
        # Python writes no integer of more than 4300 digits.
        text = f"{type(value).__name__} of too many digits"
    return one_line(text, limit)
