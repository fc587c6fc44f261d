"""Runs another program within a time limit. Needs the standard library alone."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.basics.errors import Tfd2lError

__all__ = ["Outcome", "ProgramError", "run"]


class ProgramError(Tfd2lError):
    """A program can't be started or does not end in time."""


@dataclass(frozen=True)
class Outcome:
    """The exit status of a program, and the text of stdout and stderr together."""

    status: int
    output: str


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run a program without a terminal and without input.

    Args:
        command: the program and its arguments; no shell reads them.
        timeout_s: seconds after which it is killed, together with all processes that it started.
        cwd: the directory to run it in; None means the current one.
        env: variables to add to the environment.

    Raises:
        ProgramError: the program can't be started, or the time is up.

    Example:
        >>> run(["printf", "hello"], timeout_s=60)
        Outcome(status=0, output='hello')
    """
    try:
        process = subprocess.Popen(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            # A group of its own, so that a kill also reaches the processes that it started.
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} can't be started: {error}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=max(timeout_s, 0.0))
        except BaseException as error:
            # Also after Ctrl-C, which the terminal does not send to another group.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProgramError(f"{command[0]} took longer than {timeout_s:.0f} s") from None
            raise
    return Outcome(process.returncode, output)
