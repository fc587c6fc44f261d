"""What an error says, in a line."""

from __future__ import annotations

import re
import reprlib
from typing import Any

_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100


def first_line(error: Exception) -> str:
    """The error's type and what it says, without the trace that AutoGraph adds to it."""
    stated = re.findall(rf"^\s*{type(error).__name__}: (.+)", str(error), re.MULTILINE)
    lines = [*stated, *str(error).strip().splitlines(), "no reason given"]
    return f"{type(error).__name__}: {lines[0]}"


def one_line(text: str, limit: int = 600) -> str:
    """The text without control characters, which get their escapes, cut to so many characters."""
    line = "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii")
        for letter in text[: limit + 1]
    )
    return line if len(line) <= limit else f"{line[:limit]}..."


def shown(value: Any) -> str:
    """The value as Python writes it, shortened where it is long or deeply nested."""
    return _REPR.repr(value)
