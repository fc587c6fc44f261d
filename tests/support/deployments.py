"""The smallest directories of models, and `python -m tfd2l.deploy` on them."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.support import ROOT
from tfd2l.deploy.command import main

CONFIGURATION = ("models.config", "batching_parameters.txt", "monitoring.config")
FILES = (*CONFIGURATION, "compose.yaml", "kubernetes.yaml")


def add_models(directory: Path, models: Mapping[str, Sequence[int]]) -> Path:
    """Make directories that look like versions; nothing loads them."""
    for name, versions in models.items():
        for version in versions:
            (directory / name / str(version)).mkdir(parents=True)
            (directory / name / str(version) / "saved_model.pb").write_bytes(b"")
    return directory


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m tfd2l.deploy` in this process, since the tests call it often."""
    out, err = io.StringIO(), io.StringIO()
    argv = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def run_process(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m tfd2l.deploy` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tfd2l.deploy", *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def deploy(directory: Path, *flags: str) -> dict[str, str]:
    """Run the command, which must succeed; return the texts of its files by name."""
    ran = run(directory, *flags)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    return {name: (directory / name).read_bytes().decode() for name in FILES}
