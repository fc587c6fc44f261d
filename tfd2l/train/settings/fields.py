"""Declares settings: default, group in `--help`, text, and the rule that errors name."""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

from pydantic import Field

__all__ = ["choice", "file", "setting", "switch", "whole"]


def setting(
    default: Any, group: str, text: str, rule: str, metavar: str | None = None, **limits: Any
) -> Any:
    """Declare a setting.

    Args:
        default: its value where none is given.
        group: its heading in `--help`.
        text: its meaning, for `--help`.
        rule: what its value must be, for errors.
        metavar: stands for the value in `--help`; a flag without one takes no value.
        limits: pydantic's bounds and options.
    """
    extra: dict[str, Any] = {"group": group, "rule": rule, "metavar": metavar}
    return Field(default, description=text, json_schema_extra=extra, **limits)


def whole(
    default: int | None, group: str, text: str, minimum: int = 1, maximum: int | None = None
) -> Any:
    """Declare a whole number."""
    limits = f"of at least {minimum}" if maximum is None else f"from {minimum} to {maximum:,}"
    return setting(default, group, text, f"a whole number {limits}", "N", ge=minimum, le=maximum)


def choice(default: str, group: str, text: str, kind: Any) -> Any:
    """Declare one of several names."""
    names = ", ".join(get_args(kind))
    return setting(default, group, f"{names}; {text}", f"one of {names}", "NAME")


def file(default: Path | None, group: str, text: str, metavar: str = "DIR", **more: Any) -> Any:
    """Declare a path."""
    return setting(default, group, text, "a path", metavar, **more)


def switch(default: bool | None, group: str, text: str) -> Any:
    """Declare a flag without a value."""
    return setting(default, group, text, "true or false")
