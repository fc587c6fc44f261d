"""What an error says, in a line."""

from __future__ import annotations

import re
import reprlib
from typing import Any


class DivergedError(ArithmeticError):
    """A training loss, or a weight, is infinite or not a number."""


_REPR = reprlib.Repr()
_REPR.maxstring = _REPR.maxother = _REPR.maxlong = 100

# Lines around the reason: heads, stacks and the names of nodes.
_NO_REASON = (
    r"Graph execution error|Detected at node|File \"|Exception encountered|Arguments received|"
    r"Stack trace for op|Hint:|\d+ root error|\(\d+\)|tf2xla conversion failed|; NodeDef|\t?•"
)


def reason(error: Exception) -> str:
    """What went wrong, in a line, of an error of TensorFlow's or Keras' with a stack in it."""
    return _reason(str(error))


def first_line(error: Exception) -> str:
    """The error's type and what it says, without the trace that AutoGraph adds before it."""
    name = type(error).__name__
    # AutoGraph raises types that it can't make itself as a StagingError, with the text in it.
    wanted = r"\w*(?:Error|Exception)" if name == "StagingError" else name
    found = re.search(rf"^\s*({wanted}): ", str(error), flags=re.MULTILINE)
    if found is None:
        return f"{name}: {_reason(str(error))}"
    return f"{found[1]}: {_reason(str(error)[found.end() :])}"


def _reason(text: str) -> str:
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{[^}]*\}\}|\[Op:[^\]]*\]( name: .*)?|\[\[.*?\]\]", "", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line and not re.match(_NO_REASON, line)]
    return lines[0] if lines else "no reason given"


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
