"""The C API of TensorFlow's runtime: tensors of every kind, errors, threads and memory."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from tests.support.served import export_identity
from tests.support.small_models import STRINGS, answers
from tfd2l.export.c_api import session
from tfd2l.export.c_api.session import Session, SessionError, load_library
from tfd2l.export.saved_model import read_signatures


@pytest.fixture(scope="module")
def identity(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_identity(tmp_path_factory.mktemp("identity"))


def test_the_library_is_found_without_importing_tensorflow() -> None:
    program = (
        f"import runpy, sys; names = runpy.run_path({session.__file__!r})\n"
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


@pytest.mark.slow
def test_tensors_of_every_kind_come_back_unchanged(identity: Path) -> None:
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
    for array, found in zip(arrays, answers(identity, calls), strict=True):
        assert isinstance(found, dict)
        assert found["y"].dtype == array.dtype
        assert found["y"].shape == array.shape
        assert found["y"].tolist() == array.tolist()


@pytest.mark.slow
def test_an_output_of_an_unknown_dtype_is_an_error_of_its_call_only(tmp_path: Path) -> None:
    x = np.ones(2, np.float32)
    spec = tf.TensorSpec(None, tf.float32, name="x")
    module = tf.Module()
    module.functions = [
        tf.function(lambda x, dtype=dtype: {"y": tf.cast(x, dtype)}, input_signature=[spec])
        for dtype in (tf.float32, tf.float16)
    ]
    signatures = dict(zip(("serving_default", "half"), module.functions, strict=True))
    tf.saved_model.save(module, str(tmp_path), signatures=signatures)
    bad, good = answers(tmp_path, [("half", {"x": x}), ("serving_default", {"x": x})])
    assert isinstance(bad, str)
    assert "data type number 19" in bad
    assert isinstance(good, dict)


def test_an_error_has_the_runtimes_code(identity: Path, tmp_path: Path) -> None:
    library = load_library()
    with pytest.raises(SessionError, match="Could not find SavedModel") as caught:
        Session(library, str(tmp_path / "none"))
    # TF_NOT_FOUND of tensorflow/c/tf_status.h.
    assert caught.value.code == 5
    session = Session(library, str(identity))
    signature = read_signatures(identity)["serving_default"]
    feeds = {signature.inputs["x"].tensor: np.array([b"x"], np.object_)}
    with pytest.raises(SessionError, match="Expects arg.* float but string") as caught:
        session.run(feeds, {"y": signature.outputs["y"].tensor})
    # TF_INVALID_ARGUMENT.
    assert caught.value.code == 3
    session.close()


@pytest.mark.slow
def test_closed_sessions_give_their_memory_back(identity: Path) -> None:
    library = load_library()

    def resident_mb() -> float:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 2**20

    for _ in range(10):
        Session(library, str(identity)).close()
    before = resident_mb()
    for _ in range(60):
        Session(library, str(identity)).close()
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
