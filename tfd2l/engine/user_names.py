"""What a reader's own code is, and which variables from outside of its functions it names.

A step may count in a global variable, append to a list of the notebook's, or take a weight from an
enclosing function. Those variables are found by the names in the code of the reader's methods.
"""

from __future__ import annotations

import dis
import inspect
import sys
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import CellType, CodeType, FunctionType
from typing import Any

# This project's own code keeps what it changes in the objects themselves.
_OWN_PACKAGES = {"tfd2l", "pipelines"}
_INSTALLED = ("site-packages", "dist-packages")


@lru_cache(maxsize=1024)
def is_readers(module: str) -> bool:
    """Whether a module is neither this project's, nor installed, nor Python's own."""
    package = module.partition(".")[0]
    if package in _OWN_PACKAGES or package in sys.stdlib_module_names:
        return False
    # A notebook's `__main__` has no file.
    file = getattr(sys.modules.get(package), "__file__", None) or ""
    return not any(folder in file for folder in _INSTALLED)


def functions_of(value: Any) -> Iterator[FunctionType]:
    """The functions that a reader wrote among the methods that run in the value's steps.

    Those added to a class of the library are found too. A class says by `TRACED_METHODS` which of
    its methods run in a step; without it all may.
    """
    chosen: Iterable[str] | None = getattr(type(value), "TRACED_METHODS", None)
    for cls in type(value).__mro__:
        if not is_readers(cls.__module__) and cls.__module__.partition(".")[0] != "tfd2l":
            continue
        for name, member in vars(cls).items():
            function = _function(member)
            if function is not None and (chosen is None or name in chosen):
                yield function


class OuterNames:
    """The variables outside of a function, global or of enclosing functions, that it names."""

    def __init__(self, function: FunctionType) -> None:
        """Look at the function's code, and at that of the functions within it."""
        self._globals = function.__globals__
        self._names = sorted(set(_names_in(function.__code__)))
        self._cells: dict[str, CellType] = dict(
            zip(function.__code__.co_freevars, function.__closure__ or (), strict=False)
        )

    def read(self) -> dict[str, Any]:
        """The variables that there are, by name."""
        found = {name: self._globals[name] for name in self._names if name in self._globals}
        for name, cell in self._cells.items():
            try:
                found[name] = cell.cell_contents
            except ValueError:  # not assigned yet
                continue
        return found

    def write(self, name: str, value: Any) -> None:
        """Give a variable a value."""
        if name in self._cells:
            self._cells[name].cell_contents = value
        else:
            self._globals[name] = value

    def remove(self, name: str) -> None:
        """Remove a variable."""
        if name in self._cells:
            del self._cells[name].cell_contents
        else:
            del self._globals[name]


def _function(member: Any) -> FunctionType | None:
    """The reader's function behind an entry of a class, if it is one."""
    if isinstance(member, staticmethod | classmethod):
        member = member.__func__
    elif isinstance(member, property):
        member = member.fget
    # A `tf.function` keeps the function that it was made of.
    member = inspect.unwrap(getattr(member, "python_function", member))
    if isinstance(member, FunctionType) and is_readers(member.__module__ or ""):
        return member
    return None


def _names_in(code: CodeType) -> Iterator[str]:
    """The global variables that a function's code, and that of those within it, reads or writes."""
    for instruction in dis.get_instructions(code):
        if instruction.opname.endswith("_GLOBAL"):
            yield instruction.argval
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield from _names_in(constant)
