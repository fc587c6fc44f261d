"""Starts Python programs as forks of a process that has imported TensorFlow already.

The import takes three seconds of a processor. A fork is a process of its own all the same: with its
own directory, environment, output, signals and TensorFlow runtime, which starts at first use.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import runpy
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support import ROOT

__all__ = ["WarmProcess", "run_warm"]

_CONTEXT = multiprocessing.get_context("forkserver")
# Installed packages only: each program imports this project anew.
_CONTEXT.set_forkserver_preload(
    [
        *("numpy", "pandas", "tensorflow", "keras", "rich.progress", "ipykernel", "pydantic"),
        *("matplotlib.backends.backend_agg", "matplotlib.backends.backend_svg"),
        *("tensorboard.plugins.hparams.summary_v2", "tensorflow_serving.apis.prediction_log_pb2"),
    ]
)


class WarmProcess:
    """A running program, with the methods of `subprocess.Popen` that the tests use.

    Attributes:
        pid: of the process, which leads a group of its own.
    """

    stdin = stdout = stderr = None

    def __init__(
        self,
        arguments: list[str],
        *,
        cwd: Path | str,
        environment: Mapping[str, str],
        outputs: tuple[Path | str, Path | str] = (os.devnull, os.devnull),
    ) -> None:
        """Start the program.

        Args:
            arguments: `-m module ...` or `-c program ...`, as those of `python`.
            cwd: its working directory.
            environment: all of its environment variables.
            outputs: the files that its standard output and standard error are written to.
        """
        given = (arguments, str(cwd), dict(environment), tuple(map(str, outputs)))
        self._process = _CONTEXT.Process(target=_run, args=given)
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, or minus the number of the signal that ended it; None before the end."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; return the exit status."""
        self._process.join(timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("the warm process", timeout or 0)
        return status

    def send_signal(self, number: int) -> None:
        """Send a signal to the program, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask the program to end, unless it has."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Kill the program, unless it has ended."""
        self.send_signal(signal.SIGKILL)

    def kill_group(self) -> None:
        """Kill the program and the processes that it started."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            # It has just started and leads no group yet, or all have ended.
            self.send_signal(signal.SIGKILL)


def run_warm(
    *arguments: str | Path,
    cwd: Path = ROOT,
    timeout_s: float = 300,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Do what `run_python` does, sooner."""
    with tempfile.TemporaryDirectory() as folder:
        outputs = Path(folder, "stdout"), Path(folder, "stderr")
        process = WarmProcess(
            [*map(str, arguments)],
            cwd=cwd,
            environment={**os.environ, **(environment or {})},
            outputs=outputs,
        )
        try:
            status = process.wait(timeout_s)
        finally:
            process.send_signal(signal.SIGKILL)
        return subprocess.CompletedProcess(arguments, status, *map(Path.read_text, outputs))


def _run(
    arguments: list[str], cwd: str, environment: dict[str, str], outputs: tuple[str, str]
) -> None:
    """Be the program, in the process that was forked for it."""
    os.setpgid(0, 0)
    # A collection would go through the million objects of the imports, and copy their memory.
    gc.freeze()
    for number, path in enumerate(outputs, 1):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        os.dup2(file, number)
        os.close(file)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if "MPLBACKEND" in environment:
        # Matplotlib reads it while it is imported, which Keras has done.
        import matplotlib as mpl

        mpl.rcParams["backend"] = environment["MPLBACKEND"]
    sys.path[:] = [cwd, str(ROOT), *(path for path in sys.path if path not in {cwd, str(ROOT)})]
    kind, program, *rest = arguments
    if kind == "-m":
        sys.argv = [program, *rest]
        runpy.run_module(program, run_name="__main__", alter_sys=True)
    else:
        sys.argv = [kind, *rest]
        exec(compile(program, "<string>", "exec"), {"__name__": "__main__"})
