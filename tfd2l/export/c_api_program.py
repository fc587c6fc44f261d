"""The program of the load check: runs a SavedModel by `c_api` and answers one request.

    python -I c_api_program.py REQUEST.npz ANSWER.npz

It runs in a process of its own, as TensorFlow Serving does: without TensorFlow's Python package,
Keras and this project. So it imports the standard library and NumPy alone, and `c_api` by its
path. `c_api_process` starts it, and shares `pack`, `unpack` and the file format with it. Without
arguments the program loads the library while its parent still writes the model, and then reads the
two paths as lines of its standard input.

Both files are written by `pack`. The request's message is
`{"directory": str, "calls": [{"feeds": {tensor: {"array": name, "rows": [start, stop] or null}},
"fetches": {output: tensor}}]}`; the answer's is `{"error": str or null, "calls": [...]}`, with one
of `{"error": str}` and `{"outputs": {output: name of array}}` for each call.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["main", "pack", "unpack"]

Array = np.ndarray[Any, Any]


def main(arguments: list[str]) -> None:
    """Answer one request; also for a faulty model.

    Args:
        arguments: the files of the request and of the answer; none to read them from standard
            input.
    """
    c_api = _import_c_api()
    library: Any = None
    problem: str | None = None
    try:
        library = c_api.load_library()
    except (c_api.SessionError, OSError) as error:
        problem = str(error)
    paths = arguments or [os.fsdecode(line.rstrip(b"\n")) for line in sys.stdin.buffer]
    if not paths:
        # The parent gave up before it had a request.
        return
    message, arrays = unpack(paths[0])
    outputs: dict[str, Array] = {}
    calls: list[dict[str, Any]] = []
    if library is not None:
        try:
            session = c_api.Session(library, message["directory"])
            calls = [_call(session, call, arrays, outputs) for call in message["calls"]]
        except c_api.SessionError as error:
            problem = str(error)
    pack(paths[1], {"error": problem, "calls": calls}, outputs)


def pack(path: Path | str, message: Mapping[str, Any], arrays: Mapping[str, Array]) -> None:
    """Write a message (JSON values) and arrays to one npz file that needs no pickle to read.

    Arrays of dtype object hold `bytes`.
    """
    plain = {f"array/{name}": _without_objects(array) for name, array in arrays.items()}
    # A file object, because savez would add .npz to other names.
    with Path(path).open("wb") as file:
        np.savez(file, allow_pickle=False, message=np.array(json.dumps(message)), **plain)


def unpack(path: Path | str) -> tuple[Any, dict[str, Array]]:
    """Read the message and the arrays of a file that `pack` wrote."""
    with np.load(path, allow_pickle=False) as file:
        message = json.loads(file["message"].item())
        names = [name for name in file.files if name != "message"]
        return message, {name.removeprefix("array/"): _with_objects(file[name]) for name in names}


def _import_c_api() -> Any:
    """Import `c_api` from beside this file; its package would import more than NumPy."""
    loader = SourceFileLoader("c_api", str(Path(__file__).with_name("c_api.py")))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


def _call(
    session: Any, call: Any, arrays: Mapping[str, Array], outputs: dict[str, Array]
) -> dict[str, Any]:
    """Make one call of the request; add its arrays to `outputs`."""
    feeds = {}
    for tensor, feed in call["feeds"].items():
        array = arrays[feed["array"]]
        rows = feed["rows"]
        feeds[tensor] = array if rows is None else array[rows[0] : rows[1]]
    try:
        found = session.run(feeds, call["fetches"])
    # A SessionError, which is a class of the imported file.
    except RuntimeError as error:
        return {"error": str(error)}
    names = {output: str(len(outputs) + index) for index, output in enumerate(found)}
    outputs.update({names[output]: array for output, array in found.items()})
    return {"outputs": names}


def _without_objects(array: Array) -> Array:
    """Convert strings to NumPy's own type; it drops final NULs, so each gets a point behind it."""
    if array.dtype != np.object_:
        return array
    return np.array([text + b"." for text in array.ravel().tolist()], "S").reshape(array.shape)


def _with_objects(array: Array) -> Array:
    """Undo `_without_objects`."""
    if array.dtype.kind != "S":
        return array
    texts = [text[:-1] for text in array.ravel().tolist()]
    return np.array(texts, np.object_).reshape(array.shape)


if __name__ == "__main__":
    main(sys.argv[1:])
    # The answer is on disk; the library's destructors only take time.
    os._exit(0)
