"""The program of the load check: its text form of arrays, its imports, and its end."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.support.small_models import STRINGS
from tfd2l.export.c_api import program, session
from tfd2l.export.c_api.program import dumps, loads


def test_arrays_and_other_values_survive_the_text() -> None:
    arrays = [
        STRINGS,
        STRINGS[:6].reshape(2, 3),
        np.empty((0, 3), np.object_),
        np.array(b"one", np.object_),
        np.arange(6, dtype=np.uint8).reshape(1, 2, 3)[:, ::-1],
        np.array(np.float32(1.5)),
        np.zeros((0, 2), np.int64),
        np.array([[True, False]]),
    ]
    value, *found = loads(dumps([{"text": "ä", "path": "\udcff", "none": None}, *arrays]))
    assert value == {"text": "ä", "path": "\udcff", "none": None}
    for array, same in zip(arrays, found, strict=True):
        np.testing.assert_array_equal(same, array, strict=True)


@pytest.mark.parametrize("module", [session, program], ids=lambda module: module.__name__)
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


def test_the_program_ends_if_its_parent_dies_before_the_request() -> None:
    # The system closes the pipe of a killed process.
    command = [sys.executable, "-I", program.__file__]
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert ended.stdout == b""
    assert b"JSONDecodeError" in ended.stderr
