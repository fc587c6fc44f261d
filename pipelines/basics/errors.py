"""The base of all errors that the project raises on purpose."""

from __future__ import annotations


class Tfd2lError(Exception):
    """An error that the user can correct; its text names the rule, the value and the remedy.

    Every exception class of the project derives from it, beside the built-in one that callers
    expect (`ValueError`, `OSError`, ...). The commands print it in one line and exit with status 2.
    """
