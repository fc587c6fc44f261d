"""Runs the program of the load check as forks of a process that has loaded its library already.

The library takes more than half a second of a processor. The process imports what the program does,
and no more: neither TensorFlow's Python package nor Keras.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any

from tfd2l.export.c_api import program
from tfd2l.export.c_api.process import c_api_process

__all__ = ["warm_c_api"]

# A request and its answer are a line each. `main` leaves the answer's line open.
_PROGRAM = """
import io, os, runpy, sys
program = runpy.run_path(sys.argv[1])
program["_import_session"]().load_library()
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        sys.stdin = io.StringIO(line)
        program["main"]()
    os.waitpid(child, 0)
    os.write(1, b"\\n")
"""
Process = Callable[..., contextlib.AbstractContextManager[Callable[[Any], Any]]]


@contextlib.contextmanager
def warm_c_api() -> Iterator[Process]:
    """Yield a function to call in the place of `c_api_process`."""
    command = [sys.executable, "-I", "-c", _PROGRAM, program.__file__]
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:

        def ask(request: Any) -> Any:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(program.dumps(request) + "\n")
            process.stdin.flush()
            return program.loads(process.stdout.readline())

        def forked(
            timeout_s: float = 120.0,
        ) -> contextlib.AbstractContextManager[Callable[[Any], Any]]:
            # A test that gives a limit is about the real process.
            return contextlib.nullcontext(ask) if timeout_s == 120.0 else c_api_process(timeout_s)

        yield forked
