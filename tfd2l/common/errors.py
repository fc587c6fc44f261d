"""The base of all errors, and the one line of TensorFlow's and Keras' errors that matters."""

from __future__ import annotations

import re
from pathlib import Path

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.text import one_line

__all__ = ["Tfd2lError", "first_line", "reason"]


_TRACEBACK = "Traceback (most recent call last):"
# Lines of an error that do not give the reason: heads, stacks and names of nodes.
_NO_REASON = (
    r"Graph execution error|Detected at node|File \"|Exception encountered|Arguments received|"
    r"Stack trace for op|Hint:|\d+ root error|\(\d+\)|tf2xla conversion failed|; NodeDef|\t?•"
)


def reason(error: Exception) -> str:
    """The line of an error of TensorFlow or Keras that gives the reason.

    If it is an error of a Python function that TensorFlow has called, its place is added.
    """
    text, _, traceback = str(error).partition(_TRACEBACK)
    places = re.findall(r'File "([^"]+)", line (\d+), in (\S+)', traceback)
    if not places:
        return _reason(str(error))
    text = re.sub(r"\{\{.*?\}\}|Error in user-defined function .*? with iterator: \S+: ", "", text)
    file, line, name = places[-1]
    return f"{one_line(text)} ({Path(file).name}, line {line}, in {name})"


def first_line(error: Exception) -> str:
    """The error's type and reason, without the trace that AutoGraph puts before them."""
    name = type(error).__name__
    # AutoGraph raises an error whose type it can't construct as a StagingError with its text.
    wanted = r"\w*(?:Error|Exception)" if name == "StagingError" else name
    found = re.search(rf"^\s*({wanted}): ", str(error), flags=re.MULTILINE)
    if found is None:
        return f"{name}: {_reason(str(error))}"
    return f"{found[1]}: {_reason(str(error)[found.end() :])}"


def _reason(text: str) -> str:
    # Keras writes out whole arrays, whose lines would come before the reason.
    text = re.sub(r"\[\[[\d\s.,eE+\-\[\]]*\]\]", "[...]", text)
    text = re.sub(r"\x1b\[[0-9;]*m|\{\{[^}]*\}\}|\[Op:[^\]]*\]( name: .*)?|\[\[.*?\]\]", "", text)
    lines = [" ".join(line.split()) for line in text.splitlines()]
    lines = [line for line in lines if line and not re.match(_NO_REASON, line)]
    return lines[0] if lines else "no reason given"
