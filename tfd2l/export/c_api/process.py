"""Runs the program `program.py` in a fresh process, with a time limit."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.basics.numbers import positive_number
from tfd2l.export.c_api import program
from tfd2l.export.errors import ExportError

__all__ = ["c_api_process"]


@contextlib.contextmanager
def c_api_process(timeout_s: float = 120.0) -> Iterator[Callable[[Any], Any]]:
    """Start the program, which loads its library while the caller writes the model.

    Yields:
        A function that sends one request and returns the answer, both as `program.py` describes
        them. It raises ExportError if the process ends without an answer, or takes longer than
        `timeout_s` seconds.

    Raises:
        ValueError: `timeout_s` is not a number above 0.
    """
    timeout_s = positive_number("timeout_s", timeout_s)
    process = subprocess.Popen(
        [sys.executable, "-I", program.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        # Without the GPU, whose memory this process may need for itself.
        env={**os.environ, "CUDA_VISIBLE_DEVICES": "-1"},
        text=True,
        errors="replace",
        # Ctrl-C reaches all processes of a terminal; this one is ended by its parent.
        start_new_session=True,
    )

    def ask(request: Any) -> Any:
        try:
            answer, log = process.communicate(program.dumps(request), timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"the load check must end within {timeout_s:g} s, and did not. On a busy machine "
                "allow more with timeout_s; else the model may be at fault."
            ) from error
        if process.returncode != 0:
            last = "\n".join(log.splitlines()[-20:])
            raise ExportError(
                "the load check must end with an answer; its process ended with status "
                f"{process.returncode} and the words:\n{last}"
            )
        return program.loads(answer)

    try:
        yield ask
    finally:
        process.kill()
        process.communicate()
