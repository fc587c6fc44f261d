"""pipelines/basics/processes.py with real programs."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from pipelines.basics.processes import ProgramError, run
from tests.support import ROOT

# Starts a helper that outlives it, and writes the helper's process id to a file.
STARTS_A_HELPER = "sleep 300 & echo $! >helper; {rest}"


def is_alive(pid: int) -> bool:
    """Return whether a process runs; a zombie that is not reaped yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(") ", 1)[1][0] != "Z"
    except FileNotFoundError:
        return False


def is_gone(pid: int) -> bool:
    for _ in range(200):
        if not is_alive(pid):
            return True
        time.sleep(0.05)
    return False


def test_it_gives_the_status_and_both_outputs() -> None:
    outcome = run(["sh", "-c", "echo out; echo err >&2; exit 3"], timeout_s=60)
    assert (outcome.status, outcome.output) == (3, "out\nerr\n")


def test_it_runs_in_the_directory_with_the_added_environment_and_no_input(tmp_path: Path) -> None:
    command = ["sh", "-c", 'cat; echo "$PWD $ADDED ${PATH:+path}"']
    outcome = run(command, timeout_s=60, cwd=tmp_path, env={"ADDED": "yes"})
    assert outcome.output == f"{tmp_path} yes path\n"


def test_no_shell_reads_the_arguments() -> None:
    assert run(["echo", "$HOME; exit 1"], timeout_s=60).output == "$HOME; exit 1\n"


def test_output_that_is_not_utf_8_is_decoded_with_replacements() -> None:
    assert run(["printf", r"a\377b"], timeout_s=60).output == "a\N{REPLACEMENT CHARACTER}b"


def test_the_error_names_a_missing_program(tmp_path: Path) -> None:
    with pytest.raises(ProgramError, match=r"no-such-program can't be started: .*No such file"):
        run([str(tmp_path / "no-such-program")], timeout_s=60)


@pytest.mark.slow
@pytest.mark.parametrize("rest", ["wait", "exit 0"])
def test_when_the_time_is_up_it_is_killed_with_its_helpers(tmp_path: Path, rest: str) -> None:
    with pytest.raises(ProgramError, match="sh took longer than 1 s"):
        run(["sh", "-c", STARTS_A_HELPER.format(rest=rest)], timeout_s=1, cwd=tmp_path)
    assert is_gone(int((tmp_path / "helper").read_text()))


def test_a_negative_timeout_kills_at_once() -> None:
    with pytest.raises(ProgramError, match="sleep took longer"):
        run(["sleep", "300"], timeout_s=-1)


@pytest.mark.usefixtures("interruptible")
def test_ctrl_c_kills_the_program_too(tmp_path: Path) -> None:
    helper = tmp_path / "helper"

    def interrupt_when_it_runs() -> None:
        while not helper.exists() or not helper.read_text().strip():
            time.sleep(0.01)
        time.sleep(0.2)  # the program may run before Popen has returned, which then loses it
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt_when_it_runs, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        run(["sh", "-c", STARTS_A_HELPER.format(rest="wait")], timeout_s=60, cwd=tmp_path)
    assert is_gone(int(helper.read_text()))


def test_it_needs_the_standard_library_only() -> None:
    code = "import pipelines.basics.processes, sys; print('numpy' in sys.modules)"
    # -S: without the directories of installed packages.
    outcome = run([sys.executable, "-S", "-c", code], timeout_s=60, cwd=ROOT)
    assert outcome.output == "False\n"
