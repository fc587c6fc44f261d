"""The base of all errors, and what TensorFlow's and Keras' own errors say, in a line."""

from __future__ import annotations

import re

from pipelines.basics.errors import Tfd2lError

__all__ = ["DivergedError", "Tfd2lError", "first_line", "reason"]


class DivergedError(Tfd2lError, ArithmeticError):
    """A training loss, or a weight, is infinite or not a number."""


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
