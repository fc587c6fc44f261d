"""The C API in this process and in the load check's own: tensors of every kind, and failures."""

from __future__ import annotations

import ast
import importlib.util
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from tests.support.standins import LABELS, Scratch, answers, objects, preprocess
from tfd2l.export import c_api, c_api_program
from tfd2l.export.c_api import Session, SessionError, load_library
from tfd2l.export.c_api_process import CApiProcess
from tfd2l.export.c_api_program import pack, unpack
from tfd2l.export.saved_model import ExportError, read_signatures
from tfd2l.export.signatures import export_classifier
from tfd2l.train.interrupt import InterruptedRunError

ROOT = Path(__file__).parents[3]
# Around the 22 bytes that a TF_TString stores inline; NUL bytes and what is no UTF-8.
STRINGS = objects(b"", b"\0", b"a\0", b"x" * 22, b"y" * 23, b"\xff\xfe", b"z" * 100_000)


@pytest.mark.parametrize(
    "array",
    [
        STRINGS,
        STRINGS[:6].reshape(2, 3),
        np.empty((0, 3), np.object_),
        np.array(b"one", np.object_),
        np.arange(6, dtype=np.uint8).reshape(1, 2, 3),
        np.array(np.float32(1.5)),
        np.zeros((0, 2), np.int64),
        np.array([[True, False]]),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_arrays_survive_the_file(array: np.ndarray[Any, Any], tmp_path: Path) -> None:
    pack(tmp_path / "file", {"text": "ä", "none": None}, {"message": array})
    message, arrays = unpack(tmp_path / "file")
    assert message == {"text": "ä", "none": None}
    assert [*arrays] == ["message"]
    assert arrays["message"].dtype == array.dtype
    assert arrays["message"].shape == array.shape
    assert arrays["message"].tolist() == array.tolist()


def test_pickles_are_not_read(tmp_path: Path) -> None:
    with (tmp_path / "file").open("wb") as file:
        np.savez(file, message=np.array("{}"), bad=np.array([{}], np.object_))
    with pytest.raises(ValueError, match="allow_pickle"):
        unpack(tmp_path / "file")


@pytest.mark.parametrize("module", [c_api, c_api_program], ids=lambda module: module.__name__)
def test_the_program_imports_the_standard_library_and_numpy_alone(module: ModuleType) -> None:
    assert module.__file__ is not None
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.module is not None
            names.add(node.module.split(".")[0])
    assert names - sys.stdlib_module_names == {"numpy"}


def test_the_library_is_found_without_importing_tensorflow() -> None:
    program = (
        f"import runpy, sys; names = runpy.run_path({c_api.__file__!r})\n"
        "names['load_library']()\n"
        "print({'tensorflow', 'keras', 'tfd2l', 'pipelines'} & {*sys.modules})"
    )
    process = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    )
    assert process.stdout == "set()\n"


def test_without_tensorflow_the_error_says_what_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(SessionError, match=r"libtensorflow_cc\.so\.2.*Install tensorflow"):
        load_library()


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SavedModel that gives back its input of each dtype."""
    directory = tmp_path_factory.mktemp("echo")
    names = "string uint8 uint32 uint64 int8 int16 int32 int64 float32 float64 bool float16"
    dtypes = [tf.dtypes.as_dtype(name) for name in names.split()]

    def function_of(dtype: tf.DType) -> Any:
        spec = tf.TensorSpec(None, dtype, name="x")
        return tf.function(lambda x: {"y": tf.identity(x)}, input_signature=[spec])

    functions = {dtype.name: function_of(dtype) for dtype in dtypes}
    functions["serving_default"] = functions["float32"]
    functions["half"] = tf.function(
        lambda x: {"y": tf.cast(x, tf.float16)},
        input_signature=[tf.TensorSpec(None, tf.float32, name="x")],
    )
    module = tf.Module()
    module.functions = [*functions.values()]
    tf.saved_model.save(module, str(directory), signatures=functions)
    return directory


def test_tensors_of_every_kind_come_back_unchanged(echo: Path) -> None:
    arrays = [
        STRINGS,
        STRINGS[:6].reshape(3, 2),
        np.array(b"scalar", np.object_),
        np.empty((0, 2), np.object_),
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        np.arange(24, dtype=np.uint8).reshape(2, 3, 4)[:, ::2],
        np.array([-(2**31), 2**31 - 1], np.int32),
        np.array([-(2**63), 2**63 - 1], np.int64),
        np.array([-128, 127], np.int8),
        np.array([-(2**15), 2**15 - 1], np.int16),
        np.array([0, 2**32 - 1], np.uint32),
        np.array([0, 2**64 - 1], np.uint64),
        np.array([[np.inf, -0.0, 1e-45]], np.float32),
        np.array(np.pi),
        np.array([True, False]),
        np.zeros((0, 28, 28), np.float32),
    ]
    names = [array.dtype.name.replace("object", "string") for array in arrays]
    calls = [(name, {"x": array}) for name, array in zip(names, arrays, strict=True)]
    for array, found in zip(arrays, answers(echo, calls), strict=True):
        assert isinstance(found, dict)
        assert found["y"].dtype == array.dtype
        assert found["y"].shape == array.shape
        assert found["y"].tolist() == array.tolist()


def test_an_output_of_an_unknown_dtype_is_an_error_of_its_call_only(echo: Path) -> None:
    x = np.ones(2, np.float32)
    bad, good = answers(echo, [("half", {"x": x}), ("float32", {"x": x})])
    assert isinstance(bad, str)
    assert "data type number 19" in bad
    assert isinstance(good, dict)


def test_a_tensor_that_is_not_in_the_graph_is_an_error_of_its_call_only(echo: Path) -> None:
    calls = [
        {"feeds": {}, "fetches": {"y": "nowhere:0"}},
        {"feeds": {}, "fetches": {"y": "StatefulPartitionedCall:99"}},
    ]
    with CApiProcess() as process:
        answer, outputs = process.run({"directory": str(echo), "calls": calls}, {})
    assert answer["error"] is None
    assert "no operation 'nowhere'" in answer["calls"][0]["error"]
    assert answer["calls"][1]["error"]
    assert outputs == {}


def test_a_model_that_is_not_there_is_an_error_in_the_runtimes_words(tmp_path: Path) -> None:
    with CApiProcess() as process:
        answer, _ = process.run({"directory": str(tmp_path / "none"), "calls": []}, {})
    assert "Could not find SavedModel" in answer["error"]


def test_an_error_has_the_runtimes_code(echo: Path, tmp_path: Path) -> None:
    library = load_library()
    with pytest.raises(SessionError, match="Could not find SavedModel") as caught:
        Session(library, str(tmp_path / "none"))
    # TF_NOT_FOUND of tensorflow/c/tf_status.h.
    assert caught.value.code == 5
    session = Session(library, str(echo))
    with pytest.raises(SessionError) as caught:
        session.run({"serving_default_x:0": np.array(["x"], np.object_)}, {"y": "Identity:0"})
    assert caught.value.code == 3
    session.close()


def test_closed_sessions_give_their_memory_back(echo: Path) -> None:
    library = load_library()

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    for _ in range(10):
        Session(library, str(echo)).close()
    before = resident_mb()
    for _ in range(60):
        Session(library, str(echo)).close()
    # Each takes 1.3 MB while it is open.
    assert resident_mb() - before < 30


def test_threads_may_run_a_session_at_the_same_time(tmp_path: Path) -> None:
    spec = tf.TensorSpec((), tf.float32, name="x")
    module = tf.Module()
    module.double = tf.function(lambda x: {"y": 2 * x}, input_signature=[spec])
    tf.saved_model.save(module, str(tmp_path), signatures=module.double)
    tensors = read_signatures(tmp_path)["serving_default"]
    session = Session(load_library(), str(tmp_path))

    def double(x: float) -> float:
        feeds = {tensors.inputs["x"].tensor: np.array(x, np.float32)}
        return float(session.run(feeds, {"y": tensors.outputs["y"].tensor})["y"])

    with ThreadPoolExecutor(8) as pool:
        assert [*pool.map(double, range(2000))] == [2 * x for x in range(2000)]
    session.close()


def test_the_runtimes_chatter_stays_off_the_terminal(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # As talkative as can be.
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "0")
    export_classifier(Scratch(), tmp_path, labels=LABELS, preprocess=preprocess)
    capfd.readouterr()
    answers(tmp_path, [("serving_default", {"image": np.zeros((1, 28, 28), np.uint8)})])
    assert capfd.readouterr() == ("", "")


def test_the_program_runs_by_hand_too(echo: Path, tmp_path: Path) -> None:
    request, answer = tmp_path / "request", tmp_path / "answer"
    pack(request, {"directory": str(echo), "calls": []}, {})
    command = [sys.executable, "-I", c_api_program.__file__, str(request), str(answer)]
    subprocess.run(command, check=True, capture_output=True)
    assert unpack(answer) == ({"error": None, "calls": []}, {})


def test_a_process_without_a_request_ends_with_its_parents_context() -> None:
    with CApiProcess() as process:
        child = process._process
        assert child.poll() is None
    assert child.poll() is not None


def test_a_process_whose_parent_dies_ends_too() -> None:
    process = subprocess.Popen(
        [sys.executable, "-I", c_api_program.__file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    # What the system does with the pipe of a killed process.
    assert process.stdin is not None
    process.stdin.close()
    assert process.wait() == 0


def test_a_process_that_takes_too_long_is_an_error(echo: Path) -> None:
    # Loading the library alone takes a hundred times as long.
    words = r"must end within 0\.001 s"
    with CApiProcess(timeout_s=0.001) as process, pytest.raises(ExportError, match=words):
        process.run({"directory": str(echo), "calls": []}, {})


def test_a_process_that_dies_is_an_error_with_its_last_words(echo: Path) -> None:
    with CApiProcess() as process:
        process._process.kill()
        with pytest.raises(ExportError, match="ended with status -9"):
            process.run({"directory": str(echo), "calls": []}, {})
    with CApiProcess() as process, pytest.raises(ExportError, match="KeyError: 'directory'"):
        process.run({}, {})


def test_temporary_files_are_gone_afterwards(
    echo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    answers(echo, [("float32", {"x": np.ones(1, np.float32)})])
    assert [*tmp_path.iterdir()] == []


def test_the_child_gets_no_signal_of_the_terminal_and_ends_with_its_parents_work() -> None:
    def interrupted_within(process: CApiProcess) -> None:
        assert os.getsid(process._process.pid) != os.getsid(0)
        raise InterruptedRunError(signal.SIGINT)

    process = CApiProcess()
    with pytest.raises(InterruptedRunError), process:
        interrupted_within(process)
    # By __exit__, and waited for.
    assert process._process.returncode == -signal.SIGKILL
