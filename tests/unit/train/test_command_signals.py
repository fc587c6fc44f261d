"""`python -m tfd2l.train` under signals, and with closed output."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest

from tests.support import ROOT, run_python
from tests.support.warm import WarmProcess, run_warm


@contextmanager
def started(cwd: Path, *flags: str) -> Iterator[subprocess.Popen[str]]:
    """Start the command as a process, which is killed at the end if it still runs."""
    command = [sys.executable, "-m", "tfd2l.train", *flags]
    with subprocess.Popen(
        command,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)]
)
def test_an_interrupted_run_can_be_resumed_from_its_checkpoint(
    number: signal.Signals, tmp_path: Path
) -> None:
    with started(tmp_path, "--epochs", "5", "--run-dir", "run") as process:
        deadline_s = time.monotonic() + 120
        while not (tmp_path / "run/metrics.csv").exists() and time.monotonic() < deadline_s:
            time.sleep(0.01)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert errors == f"interrupted by {number.name}; resume with --resume run\n"
    assert not [*tmp_path.glob("savedmodels/mlp/*")]
    ran = run_warm("-m", "tfd2l.train", "--resume", "run", cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert pd.read_csv(tmp_path / "run/metrics.csv")["epoch"].tolist() == [1, 2, 3, 4, 5]
    assert (tmp_path / "savedmodels/mlp/1/saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_while_publishing_ends_all_processes_with_one_line(tmp_path: Path) -> None:
    flags = ["--model", "linear-scratch", "--run-dir", "run"]
    process = WarmProcess(
        ["-m", "tfd2l.train", *flags],
        cwd=tmp_path,
        environment=os.environ,
        outputs=(os.devnull, tmp_path / "errors"),
    )
    try:
        base, deadline_s = tmp_path / "savedmodels/linear-scratch", time.monotonic() + 120
        # An earlier .staging- entry is that of the check before the first epoch, without curves.
        while (
            not ((tmp_path / "run/curves.png").exists() and [*base.glob(".staging-*")])
            and time.monotonic() < deadline_s
        ):
            time.sleep(0.001)
        # The signal goes to a process group, as Ctrl-C does in a terminal.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    finally:
        process.kill_group()
    errors = (tmp_path / "errors").read_text()
    assert errors == "interrupted by SIGINT; resume with --resume run\n"
    assert not [*base.iterdir()]


@pytest.mark.slow
def test_a_run_whose_output_is_closed_finishes(tmp_path: Path) -> None:
    with started(tmp_path, "--model", "linear-scratch") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        # As `| head -1` does.
        process.stdout.close()
        errors = process.stderr.read()
        process.wait(timeout=60)
    assert (process.returncode, errors) == (0, "")
    assert (tmp_path / "savedmodels/linear-scratch/1/saved_model.pb").exists()


@pytest.mark.parametrize("module", ["pydantic", "tensorflow"])
def test_ctrl_c_while_the_command_starts_prints_one_line(module: str, tmp_path: Path) -> None:
    program = (
        "import runpy, signal, sys\n"
        "signal.signal(signal.SIGINT, signal.default_int_handler)\n"
        "def watch(event, arguments):\n"
        f"    if event == 'import' and arguments[0] == {module!r}:\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "sys.addaudithook(watch)\n"
        "sys.argv = ['train', '--model', 'linear']\n"
        "runpy.run_module('tfd2l.train', run_name='__main__')\n"
    )
    ran = run_python("-c", program, cwd=tmp_path, timeout_s=60)
    assert (ran.returncode, ran.stderr) == (130, "interrupted before training began\n")
    assert not [*tmp_path.iterdir()]
