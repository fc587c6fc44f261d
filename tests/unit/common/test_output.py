"""Output to a closed terminal or pipe."""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest

import tfd2l as d2l
from tests.support import ROOT
from tests.support.data import regression_data
from tfd2l.book.callbacks.progress import ConsoleProgress
from tfd2l.common.output import lasting, lasting_output


class Gone(io.StringIO):
    """A closed terminal, with the error that the system reports."""

    def write(self, text: str) -> int:
        raise OSError(5, "Input/output error")


def test_writing_to_a_closed_pipe_raises_nothing() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w", buffering=1) as file:
        stream = lasting(file)
        assert stream.write("shown\n") == 6
        assert os.read(reader, 100) == b"shown\n"
        os.close(reader)
        for _ in range(2):
            assert stream.write("lost\n") == 5
            stream.flush()
        # The end of the block flushes the file's buffer, which does not fail either.


def test_both_outputs_are_replaced_inside_and_restored_after(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gone = Gone()
    monkeypatch.setattr(sys, "stdout", gone)
    # sys.stderr is None in a process that was started with 2>&-.
    monkeypatch.setattr(sys, "stderr", None)
    with lasting_output():
        print("lost")
        print("lost", file=sys.stderr)
        sys.stderr.flush()
    assert sys.stdout is gone
    with pytest.raises(OSError, match="Input/output"):
        print("noticed")


def test_letters_that_the_encoding_lacks_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(written, encoding="latin-1"))
    with lasting_output():
        print("é 東 \udcff")
    assert written.getvalue() == b"\xe9 \\u6771 \\udcff\n"


CLOSED = """
import os, sys
from tfd2l.common.commands import run_command

def body():
    print("lost")
    with open(sys.argv[1], "w") as file:
        os.write(2, b"a message of C++")
        file.write("whole")
    return 7

sys.exit(run_command(body))
"""


@pytest.mark.parametrize("closed", ["2>&-", ">&-", "<&- >&- 2>&-"])
def test_closed_streams_change_neither_files_nor_the_exit_status(
    closed: str, tmp_path: Path
) -> None:
    line = f"{shlex.join([sys.executable, '-c', CLOSED, str(tmp_path / 'file')])} {closed}"
    ran = subprocess.run(line, shell=True, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert ran.returncode == 7
    assert (tmp_path / "file").read_text() == "whole"


@pytest.mark.slow
def test_a_closed_terminal_stops_the_bar_but_not_the_training() -> None:
    master, slave = os.openpty()
    with os.fdopen(slave, "w") as file:
        progress = ConsoleProgress(file, refresh_s=0)
        data = regression_data(70)

        class Close(d2l.Callback):
            def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
                if trainer.epoch == 0:
                    os.close(master)

            def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
                if trainer.epoch == 1:
                    # The bar draws itself ten times a second, in a thread whose errors fail tests.
                    time.sleep(0.2)

        history = d2l.Trainer(3, callbacks=[Close(), progress]).fit(
            d2l.LinearRegressionScratch(2, lr=0.03), data
        )
        progress.close()
    assert history["epoch"] == [1, 2, 3]
