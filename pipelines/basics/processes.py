"""Run another program within a time limit. The standard library only."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pipelines.basics.errors import Tfd2lError


class ProgramError(Tfd2lError):
    """A program could not be started or did not end in time."""


@dataclass(frozen=True)
class Outcome:
    """How a program ended: its exit status, and what it wrote to both outputs together."""

    status: int
    output: str


def run(
    command: Sequence[str],
    *,
    timeout_s: float,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
) -> Outcome:
    """Run `command` without a terminal and without input.

    Args:
        command: the program and its arguments; no shell reads them.
        timeout_s: seconds until it is killed together with all that it started.
        cwd: where to run it.
        env: what to add to the environment.

    Raises:
        ProgramError: it could not be started, or the time was up.
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
            # A group of its own, so that killing it reaches the helpers that it started.
            start_new_session=True,
        )
    except OSError as error:
        raise ProgramError(f"{command[0]} can't be started: {error}") from error
    with process:
        try:
            output, _ = process.communicate(timeout=max(timeout_s, 0.0))
        except BaseException as error:
            # Also on Ctrl-C, which doesn't reach a group of its own.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise ProgramError(f"{command[0]} took longer than {timeout_s:.0f} s") from None
            raise
    return Outcome(process.returncode, output)
