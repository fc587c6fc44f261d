"""The process of the load check: its answers, its time limit, and its end."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import numpy as np
import pytest

from tests.support.served import export_identity
from tests.support.small_models import LABELS, Scratch, answers, preprocess
from tfd2l.export.c_api_process import CApiProcess
from tfd2l.export.saved_model import ExportError
from tfd2l.export.signatures import export_classifier
from tfd2l.train.interrupt import InterruptedRunError


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_identity(tmp_path_factory.mktemp("identity"))


def test_a_tensor_that_is_not_in_the_graph_is_an_error_of_its_call_only(identity: Path) -> None:
    calls = [
        {"feeds": {}, "fetches": {"y": "nowhere:0"}},
        {"feeds": {}, "fetches": {"y": "StatefulPartitionedCall:99"}},
    ]
    with CApiProcess() as process:
        answer, outputs = process.run({"directory": str(identity), "calls": calls}, {})
    assert answer["error"] is None
    assert "no operation 'nowhere'" in answer["calls"][0]["error"]
    assert answer["calls"][1]["error"]
    assert outputs == {}


def test_a_model_that_is_not_there_is_an_error_in_the_runtimes_words(tmp_path: Path) -> None:
    with CApiProcess() as process:
        answer, _ = process.run({"directory": str(tmp_path / "none"), "calls": []}, {})
    assert "Could not find SavedModel" in answer["error"]


def test_a_process_that_takes_too_long_is_an_error(identity: Path) -> None:
    # Loading the library alone takes a hundred times as long.
    words = r"must end within 0\.001 s"
    with CApiProcess(timeout_s=0.001) as process, pytest.raises(ExportError, match=words):
        process.run({"directory": str(identity), "calls": []}, {})


def test_a_process_that_dies_is_an_error_with_its_last_words(identity: Path) -> None:
    with CApiProcess() as process:
        process._process.kill()
        with pytest.raises(ExportError, match="ended with status -9"):
            process.run({"directory": str(identity), "calls": []}, {})
    with CApiProcess() as process, pytest.raises(ExportError, match="KeyError: 'directory'"):
        process.run({}, {})


def test_the_runtimes_chatter_stays_off_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As talkative as can be.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    capfd.readouterr()
    answers(tmp_path, [("serving_default", {"image": np.zeros((1, 28, 28), np.uint8)})])
    assert capfd.readouterr() == ("", "")


def test_temporary_files_are_gone_afterwards(
    identity: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answers(identity, [("float32", {"x": np.ones(1, np.float32)})])
    assert [*tmp_path.iterdir()] == []


def test_a_process_without_a_request_ends_with_its_context() -> None:
    with CApiProcess() as process:
        child = process._process
        assert child.poll() is None
    assert child.poll() is not None


def test_the_process_gets_no_signals_of_the_terminal_and_ends_with_its_context() -> None:
    def interrupted_within(process: CApiProcess) -> None:
        assert os.getsid(process._process.pid) != os.getsid(0)
        raise InterruptedRunError(signal.SIGINT)

    process = CApiProcess()
    with pytest.raises(InterruptedRunError), process:
        interrupted_within(process)
    # __exit__ has killed it and waited for it.
    assert process._process.returncode == -signal.SIGKILL
