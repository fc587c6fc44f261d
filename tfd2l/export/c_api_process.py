"""Runs the program `c_api_program.py` in a fresh process, with a time limit."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfd2l.export import c_api_program
from tfd2l.export.saved_model import ExportError

__all__ = ["CApiProcess"]

Array = np.ndarray[Any, Any]


class CApiProcess:
    """A process of `c_api_program.py`, a context manager: fresh, without Keras and this project.

    The process starts with the context, and loads its library while the caller writes the model.
    """

    def __init__(self, timeout_s: float = 120.0, directory: Path | None = None) -> None:
        """Set up; the process does not run yet.

        Args:
            timeout_s: seconds that a `run` may take; then the process is killed.
            directory: where its files are while it runs; by default where temporary ones are.
        """
        self._timeout_s = timeout_s
        self._directory = directory

    def __enter__(self) -> CApiProcess:
        self._folder = tempfile.TemporaryDirectory(prefix="tfd2l-load-check-", dir=self._directory)
        self._log = Path(self._folder.name) / "log"
        # Without the GPU, whose memory this process may need for itself.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", c_api_program.__file__],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C reaches all processes of a terminal; this one is ended by its parent.
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def run(self, message: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Any, Any]:
        """Send one request and return the answer, with which the process ends.

        `c_api_program.py` describes both.

        Raises:
            ExportError: the process took too long, or ended without an answer.
        """
        request = Path(self._folder.name) / "request"
        answer = Path(self._folder.name) / "answer"
        c_api_program.pack(request, message, arrays)
        paths = b"%s\n%s\n" % (os.fsencode(request), os.fsencode(answer))
        try:
            self._process.communicate(paths, self._timeout_s)
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"the load check must end within {self._timeout_s} s, and did not. On a busy "
                "machine allow more with timeout_s; else the model may be at fault."
            ) from error
        if self._process.returncode != 0:
            last = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise ExportError(
                "the load check must end with an answer; its process ended with status "
                f"{self._process.returncode} and the words:\n{last}"
            )
        return c_api_program.unpack(answer)
