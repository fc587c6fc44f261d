"""The error of tables, and checks of the names of columns."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable
from typing import Any

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.text import shown

__all__ = ["TableError", "no_column", "refuse_duplicates"]


class TableError(Tfd2lError, ValueError):
    """A table can't be read or does not fit; the text names column and row."""


def refuse_duplicates(table: str, names: Iterable[Any]) -> None:
    """Raise TableError if two columns have the same name."""
    twice = sorted(str(name) for name, count in Counter(names).items() if count > 1)
    if twice:
        raise TableError(
            f"{table} names column {shown(twice[0])} more than once; rename one of them."
        )


def no_column(table: str, name: str, names: Iterable[str]) -> TableError:
    """Return the error of a column that is not there; it suggests the name most like it."""
    by_key = {str(one)[:100].lower(): one for one in names}
    near = difflib.get_close_matches(str(name)[:100].lower(), by_key, n=1)
    hint = f"did you mean {shown(by_key[near[0]])}? It" if near else "it"
    return TableError(f"{table} has no column {shown(name)}; {hint} has {shown(list(names))}.")
