"""What an error says, in a line."""

from __future__ import annotations

import re


def first_line(error: Exception) -> str:
    """The error's type and what it says, without the trace that AutoGraph adds to it."""
    stated = re.findall(rf"^\s*{type(error).__name__}: (.+)", str(error), re.MULTILINE)
    lines = [*stated, *str(error).strip().splitlines(), "no reason given"]
    return f"{type(error).__name__}: {lines[0]}"
