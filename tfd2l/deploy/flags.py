"""Flags for names and sizes, whose defaults are those of a dataclass of settings."""

from __future__ import annotations

import argparse
import re
from collections.abc import Callable
from dataclasses import fields
from typing import Any, TypeVar

from pipelines.basics.text import shown

__all__ = ["DNS_LABEL", "DNS_NAME", "IMAGE", "add_setting", "name_reader", "of_settings"]

DNS_LABEL = "[a-z0-9]([-a-z0-9]*[a-z0-9])?"
DNS_NAME = rf"{DNS_LABEL}(\.{DNS_LABEL})*"
# The name of a container image, with its registry and its tag or digest.
IMAGE = "[A-Za-z0-9][A-Za-z0-9._/:@-]*"
_Settings = TypeVar("_Settings")


def add_setting(
    defaults: object,
    group: argparse._ActionsContainer,
    name: str,
    text: str,
    read: Callable[[str], object],
) -> None:
    """Add a flag for the setting of its name."""
    default = getattr(defaults, name.replace("-", "_"))
    group.add_argument(f"--{name}", type=read, default=default, metavar=name.upper(), help=text)


def of_settings(kind: type[_Settings], flags: argparse.Namespace) -> _Settings:
    """Make the settings that the flags give."""
    names: Any = fields(kind)  # type: ignore[arg-type]  # a dataclass
    return kind(**{field.name: getattr(flags, field.name) for field in names})


def name_reader(pattern: str, kind: str, maximum: int = 255) -> Callable[[str], str]:
    """Make a reader of names that match the pattern and have at most `maximum` characters."""

    def read(text: str) -> str:
        if not re.fullmatch(pattern, text) or len(text) > maximum:
            raise argparse.ArgumentTypeError(
                f"must be {kind} of at most {maximum} characters like the default; got "
                f"{shown(text)}"
            )
        return text

    return read
