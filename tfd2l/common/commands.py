"""The common code of the commands: exit statuses, parser and help, and the form of errors."""

from __future__ import annotations

import argparse
import contextlib
import re
import shlex
import shutil
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import tfd2l
from pipelines.basics.text import one_line, shown
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.output import lasting_output
from tfd2l.common.suggestions import did_you_mean

__all__ = ["EXIT_INTERRUPTED", "EXIT_USAGE", "CommandParser", "UsageError", "complain",
           "run_command", "seconds", "shell_line", "whole_number_from"]  # fmt: skip

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
MAX_FLAGS = 1000


class UsageError(Tfd2lError):
    """A flag, or a combination of flags, can't be used."""


class CommandParser(argparse.ArgumentParser):
    """A parser that takes flags in full only, and reports a wrong one as a UsageError.

    Its help ends with examples, and names the default of each flag that has one.
    """

    # Comes before a command's name in usage lines and examples; the console script sets "tfd2l ".
    launcher = "python -m tfd2l."

    def __init__(self, name: str, usage: str, description: str, examples: Sequence[str]) -> None:
        """Set up for a command.

        Args:
            name: the command, such as `serve`; "" stands for the list of commands.
            usage: its arguments, in short.
            description: a paragraph.
            examples: arguments that do something useful, one line each.
        """
        prog = f"{self.launcher}{name}".rstrip(". ")
        super().__init__(
            prog=prog,
            usage=f"%(prog)s {usage}",
            description=" ".join(description.split()),
            epilog="\n  ".join(["examples:", *(f"{prog} {example}" for example in examples)]),
            formatter_class=_HelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--version", action="version", version=f"tfd2l {tfd2l.__version__}")

    def parse_args(  # type: ignore[override]  # one form of argparse's two
        self, args: Sequence[str] | None = None, namespace: argparse.Namespace | None = None
    ) -> argparse.Namespace:
        """Parse the arguments; UsageError for an unknown one, with the one that may be meant."""
        given = sys.argv[1:] if args is None else args
        # argparse's time grows with the square of the number of flags.
        if sum(argument.startswith("-") for argument in given) > MAX_FLAGS:
            self.error(f"expected at most {MAX_FLAGS} flags")
        # argparse takes the value -- for a separator, and an empty list for the value.
        if empty := [argument for argument in given if re.fullmatch("-.*=--", argument)]:
            self.error(f"{empty[0][:-3]}: expected a value; got '--'")
        found, unknown = self.parse_known_args(given, namespace)
        if unknown:
            # What follows an unknown flag may be its value.
            wrong = next((one for one in unknown if one.startswith("-")), unknown[0])
            name, _, _ = wrong.partition("=")
            if not name.startswith("-"):
                self.error(f"unexpected argument: {name}")
            self.error(f"no such flag: {name}{did_you_mean(name, self._option_string_actions)}")
        return found

    def error(self, message: str) -> NoReturn:
        """Raise UsageError instead of printing argparse's block of usage."""
        # argparse writes "argument --port: must be ...".
        message = re.sub(r"^(\S+): must", r"\1 must", message.removeprefix("argument "))
        raise UsageError(f"{one_line(message)} (--help lists the flags)")


class _HelpFormatter(argparse.HelpFormatter):
    """Names the defaults that are values, and leaves the lines of the examples as they are."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=30)

    def _get_help_string(self, action: argparse.Action) -> str | None:
        has_default = action.default not in (None, argparse.SUPPRESS, []) and action.nargs != 0
        return f"{action.help} (default: %(default)s)" if has_default else action.help

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if text.startswith("examples:") else super()._fill_text(text, width, indent)


def run_command(command: Callable[[], int], *, interrupted: str = "interrupted") -> int:
    """Run a command's body; print an error of the user's in one line.

    Standard output and standard error may be closed, at the start or later, as by `| head`, and may
    lack letters.

    Args:
        command: the body; it returns its exit status.
        interrupted: printed after Ctrl-C.

    Returns:
        The body's exit status; 2 after a Tfd2lError or OSError, or if the disk of the output is
        full; 130 after Ctrl-C.
    """
    with lasting_output() as full, _plain_warnings():
        try:
            status = command()
            sys.stdout.flush()
            if full and status == 0:
                return complain(f"the output is not complete: {full[0].strerror}.")
            return status
        except KeyboardInterrupt:
            print(interrupted, file=sys.stderr)
            return EXIT_INTERRUPTED
        except (Tfd2lError, OSError) as error:
            return complain(error)


@contextlib.contextmanager
def _plain_warnings() -> Iterator[None]:
    """Print warnings in a line, without the place in the code that raised them."""
    before = warnings.showwarning

    def show(message: Warning | str, *_place: Any, **_more: Any) -> None:
        print(f"warning: {one_line(str(message), 2000)}", file=sys.stderr)

    # Not catch_warnings: the filters are the user's, who may change them meanwhile.
    warnings.showwarning = show
    try:
        yield
    finally:
        warnings.showwarning = before


def complain(error: Exception | str) -> int:
    """Print the error in the form of all commands; return the exit status for it."""
    # A name in it may have line breaks, or be endless.
    print(f"error: {one_line(str(error), 2000)}", file=sys.stderr)
    return EXIT_USAGE


def shell_line(module: str, *arguments: str | Path) -> str:
    """A line for the user's shell that runs a module with this Python, whatever its PATH is."""
    python = Path(sys.executable)
    if shutil.which("python") == sys.executable:
        python = Path("python")
    elif python.is_relative_to(Path.cwd()):
        python = python.relative_to(Path.cwd())
    return shlex.join([str(python), "-m", module, *map(str, arguments)])


def whole_number_from(minimum: int, maximum: int) -> Callable[[str], int]:
    """Make a reader of whole numbers in a range, for `add_argument(type=...)`."""

    def read(text: str) -> int:
        if not re.fullmatch("-?[0-9]{1,19}", text) or not minimum <= int(text) <= maximum:
            raise argparse.ArgumentTypeError(
                f"must be a whole number from {minimum} to {maximum}; got {shown(text)}"
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
        raise argparse.ArgumentTypeError(f"must be seconds from 0.01 to 3600; got {shown(text)}")
    return number
