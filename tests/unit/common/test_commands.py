"""common/commands.py: one form of error and one set of exit statuses for all commands."""

from __future__ import annotations

import pytest

from tfd2l.common.commands import (
    CommandParser,
    UsageError,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.common.errors import Tfd2lError


def test_the_bodys_status_is_the_commands(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda: 7) == 7
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("error", "status", "line"),
    [
        (Tfd2lError("too small; got 0. Take 1."), 2, "error: too small; got 0. Take 1.\n"),
        (UsageError("no such flag"), 2, "error: no such flag\n"),
        (FileNotFoundError(2, "No such file", "x"), 2, "error: [Errno 2] No such file: 'x'\n"),
        (KeyboardInterrupt(), 130, "stopped\n"),
    ],
)
def test_an_error_of_the_user_is_one_line_and_a_status(
    error: BaseException, status: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def body() -> int:
        raise error

    assert run_command(body, interrupted="stopped") == status
    assert capsys.readouterr() == ("", line)


def test_a_bug_is_not_taken_for_an_error_of_the_user() -> None:
    def body() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_command(body)


def test_flags_are_taken_in_full_only_and_numbers_within_their_range() -> None:
    parser = CommandParser("prog", "text")
    parser.add_argument("--threads", type=whole_number_from(1, 8))
    parser.add_argument("--wait", type=seconds)
    found = parser.parse_args(["--threads", "8", "--wait", "0.5"])
    assert (found.threads, found.wait) == (8, 0.5)
    for flags, message in (
        (["--thread", "1"], r"unrecognized arguments: --thread 1 \(--help lists"),
        (["--threads", "9"], "must be a whole number from 1 to 8; got '9'"),
        (["--threads", "1.5"], "must be a whole number from 1 to 8; got '1.5'"),
        (["--wait", "nan"], "must be seconds from 0.01 to 3600; got 'nan'"),
        (["--wait", "soon"], "must be seconds from 0.01 to 3600; got 'soon'"),
    ):
        with pytest.raises(UsageError, match=message):
            parser.parse_args(flags)
