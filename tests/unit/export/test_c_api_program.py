"""The program of the load check: its files, its imports, and its process by hand."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from tests.support.served import export_identity
from tests.support.small_models import STRINGS
from tfd2l.export import c_api, c_api_program
from tfd2l.export.c_api_program import pack, unpack


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


def test_the_program_also_takes_its_files_as_arguments(tmp_path: Path) -> None:
    directory = export_identity(tmp_path / "identity")
    request = tmp_path / "request"
    answer = tmp_path / "answer"
    pack(request, {"directory": str(directory), "calls": []}, {})
    command = [sys.executable, "-I", c_api_program.__file__, str(request), str(answer)]
    subprocess.run(command, check=True, capture_output=True)
    assert unpack(answer) == ({"error": None, "calls": []}, {})


def test_the_program_ends_if_its_parent_dies_before_the_request() -> None:
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
