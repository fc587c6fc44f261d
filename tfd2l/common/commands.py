"""The common code of the four commands: exit statuses, parser, and the form of errors."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from typing import NoReturn

from tfd2l.common.errors import Tfd2lError
from tfd2l.common.output import lasting_output

__all__ = ["EXIT_INTERRUPTED", "EXIT_USAGE", "CommandParser", "UsageError", "complain",
           "run_command", "seconds", "whole_number_from"]  # fmt: skip

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


class UsageError(Tfd2lError):
    """A flag, or a combination of flags, can't be used."""


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags in full only, and reports a wrong one as a UsageError."""

    def __init__(self, prog: str, description: str, **settings: str) -> None:
        """Set up for the command `prog`; `settings` are ArgumentParser's."""
        super().__init__(prog=prog, description=description, allow_abbrev=False, **settings)  # type: ignore[arg-type]

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing argparse's block of usage."""
        raise UsageError(f"{message} (--help lists the flags)")


def run_command(command: Callable[[], int], *, interrupted: str = "interrupted") -> int:
    """Run a command's body; print an error of the user's in one line.

    Standard output and standard error may be closed meanwhile, as by `| head`.

    Args:
        command: the body; it returns its exit status.
        interrupted: printed after Ctrl-C.

    Returns:
        The body's exit status; 2 after a Tfd2lError or OSError, 130 after Ctrl-C.
    """
    with lasting_output():
        try:
            return command()
        except KeyboardInterrupt:
            print(interrupted, file=sys.stderr)
            return EXIT_INTERRUPTED
        except (Tfd2lError, OSError) as error:
            return complain(error)


def complain(error: Exception | str) -> int:
    """Print the error in the form of all commands; return the exit status for it."""
    print(f"error: {error}", file=sys.stderr)
    return EXIT_USAGE


def whole_number_from(minimum: int, maximum: int) -> Callable[[str], int]:
    """Make a reader of whole numbers in a range, for `add_argument(type=...)`."""

    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,19}", text) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {minimum} to {maximum}; got {text!r}"
            )
        return int(text)

    return read


def seconds(text: str) -> float:
    """Read a number of seconds from 0.01 to 3600, for `add_argument(type=...)`."""
    try:
        number = float(text)
    except ValueError:
        number = 0.0
    if not 0.01 <= number <= 3600:
        raise argparse.ArgumentTypeError(f"must be seconds from 0.01 to 3600; got {text!r}")
    return number
