"""The program of the load check: runs a SavedModel by the C API and answers one request.

    python -I program.py < REQUEST > ANSWER

It runs in a process of its own, as TensorFlow Serving does: without TensorFlow's Python package,
Keras and this project. So it imports the standard library and NumPy alone, and `session.py` by its
path. `process.py` starts it.

The request is `{"directory": str, "calls": [[{tensor: array}, {output: tensor}], ...]}`. The answer
is a list with `{output: array}` or an error's text for each call, or one text if the model can't be
loaded. Both are JSON, in which arrays are written by `dumps`.
"""

from __future__ import annotations

import base64
import json
import os
import sys
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

__all__ = ["dumps", "loads", "main"]


def main() -> None:
    """Answer the request of standard input; also for a faulty model."""
    # A model may print; its text goes to standard error, and only the answer to standard output.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as output:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        output.write(dumps(_answer(_import_session())))
    # The answer is sent; the library's destructors only take time.
    os._exit(0)


def dumps(value: Any) -> str:
    """Convert JSON values and arrays to text; arrays of dtype object hold `bytes`."""
    return json.dumps(value, default=_encode)


def loads(text: str) -> Any:
    """Read what `dumps` wrote."""
    return json.loads(text, object_hook=_decode)


def _answer(c_api: Any) -> list[Any] | str:
    """Load the library, then read the request, which the parent may send later."""
    try:
        library = c_api.load_library()
        request = loads(sys.stdin.read())
        session = c_api.Session(library, request["directory"])
    except (c_api.SessionError, OSError) as error:
        return str(error)
    answers: list[Any] = []
    for feeds, fetches in request["calls"]:
        try:
            answers.append(session.run(feeds, fetches))
        except c_api.SessionError as error:
            answers.append(str(error))
    return answers


def _import_session() -> Any:
    """Import `session.py` from beside this file; its package would import more than NumPy."""
    loader = SourceFileLoader("session", str(Path(__file__).with_name("session.py")))
    module = ModuleType(loader.name)
    loader.exec_module(module)
    return module


def _encode(array: np.ndarray[Any, Any]) -> dict[str, Any]:
    """Convert an array to JSON values."""
    parts = array.ravel().tolist() if array.dtype == np.object_ else [array.tobytes()]
    return {
        "dtype": array.dtype.str,
        "shape": array.shape,
        "base64": [base64.b64encode(part).decode() for part in parts],
    }


def _decode(value: dict[str, Any]) -> Any:
    """Undo `_encode`; other JSON objects stay."""
    if "base64" not in value:
        return value
    parts = [base64.b64decode(part) for part in value["base64"]]
    dtype = np.dtype(value["dtype"])
    flat = np.array(parts, dtype) if dtype == np.object_ else np.frombuffer(parts[0], dtype)
    return flat.reshape(value["shape"])


if __name__ == "__main__":
    main()
