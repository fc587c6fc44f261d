"""The process of the load check: its answers, its time limit, and its end."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.served import export_identity
from tests.support.small_models import answers
from tfd2l.export.c_api.process import c_api_process
from tfd2l.export.saved_model import ExportError
from tfd2l.train.interrupt import InterruptedRunError


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_identity(tmp_path_factory.mktemp("identity"))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[str]]:
    """The processes that the test starts."""
    processes: list[subprocess.Popen[str]] = []

    class Recorded(subprocess.Popen[str]):
        def __init__(self, *arguments: Any, **options: Any) -> None:
            super().__init__(*arguments, **options)
            assert options["start_new_session"]
            processes.append(self)

    monkeypatch.setattr(subprocess, "Popen", Recorded)
    return processes


@pytest.mark.slow
def test_a_tensor_that_is_not_in_the_graph_is_an_error_of_its_call_only(identity: Path) -> None:
    calls: list[Any] = [({}, {"y": "nowhere:0"}), ({}, {"y": "StatefulPartitionedCall:99"})]
    with c_api_process() as ask:
        found = ask({"directory": str(identity), "calls": calls})
    assert "no operation 'nowhere'" in found[0]
    assert isinstance(found[1], str)


def test_a_model_that_is_not_there_is_an_error_in_the_runtimes_words(tmp_path: Path) -> None:
    with c_api_process() as ask:
        found = ask({"directory": str(tmp_path / "none"), "calls": []})
    assert "Could not find SavedModel" in found


def test_a_process_that_takes_too_long_is_an_error(identity: Path) -> None:
    # Loading the library alone takes a hundred times as long.
    words = r"must end within 0\.001 s"
    with c_api_process(timeout_s=0.001) as ask, pytest.raises(ExportError, match=words):
        ask({"directory": str(identity), "calls": []})


def test_a_process_that_dies_is_an_error_with_its_last_words(
    identity: Path, started: list[subprocess.Popen[str]]
) -> None:
    with c_api_process() as ask:
        started[0].kill()
        with pytest.raises(ExportError, match="ended with status -9"):
            ask({"directory": str(identity), "calls": []})
    with c_api_process() as ask, pytest.raises(ExportError, match="KeyError: 'directory'"):
        ask({})


@pytest.mark.slow
def test_a_model_that_prints_disturbs_neither_the_answer_nor_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As talkative as can be.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")

    def printing(x: tf.Tensor) -> dict[str, tf.Tensor]:
        with tf.control_dependencies([tf.raw_ops.PrintV2(input="text", output_stream="stdout")]):
            return {"y": tf.identity(x)}

    module = tf.Module()
    module.serve = tf.function(printing, input_signature=[tf.TensorSpec(None, name="x")])
    tf.saved_model.save(module, str(tmp_path), signatures=module.serve)
    capfd.readouterr()
    [found] = answers(tmp_path, [("serving_default", {"x": np.ones(1, np.float32)})])
    assert isinstance(found, dict)
    assert capfd.readouterr() == ("", "")


def test_the_process_ends_with_its_context(started: list[subprocess.Popen[str]]) -> None:
    def interrupted() -> None:
        assert started[0].poll() is None
        raise InterruptedRunError(signal.SIGINT)

    with pytest.raises(InterruptedRunError), c_api_process():
        interrupted()
    assert started[0].returncode == -signal.SIGKILL
