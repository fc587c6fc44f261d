"""The load check: what was exported is run by the C API and compared with the model."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from tfd2l.export import c_api
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.export.saved_model import ExportError, Signature, TensorSpec, read_signatures
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, read_warmup

__all__ = ["Check", "LoadCheck", "verify"]

Array = np.ndarray[Any, Any]

# Rows of one call, which bounds the memory of models that enlarge their input.
_MOST_ROWS = 1000


@dataclass(frozen=True)
class Check:
    """Inputs of a signature, and what is right about the outputs.

    Attributes:
        signature: its name.
        inputs: n rows by input name; strings as dtype object (bytes).
        problem_of: outputs by name for a slice of the rows -> None, or what is wrong with them.
    """

    signature: str
    inputs: Mapping[str, Array]
    problem_of: Callable[[Mapping[str, Array], slice], str | None]

    @property
    def num_rows(self) -> int:
        """The number of rows of each input."""
        return min(len(array) for array in self.inputs.values())


@dataclass(frozen=True)
class _Call:
    """One run of a signature in the child, and what is right about its answer."""

    signature: str
    inputs: Mapping[str, Array]
    rows: slice | None
    problem_of: Callable[[Any], str | None]


class LoadCheck:
    """A process of `c_api.py`: fresh, without Keras and this project.

    It starts with the context, and its library loads while the caller writes the model.
    """

    def __init__(self, timeout_s: float = 120.0, directory: Path | None = None) -> None:
        """Nothing runs yet.

        Args:
            timeout_s: seconds that a `run` may take, else its process is ended.
            directory: where its files are while it runs; by default where temporary ones are.
        """
        self._timeout_s, self._directory = timeout_s, directory

    def __enter__(self) -> LoadCheck:
        self._folder = tempfile.TemporaryDirectory(prefix="tfd2l-load-check-", dir=self._directory)
        self._log = Path(self._folder.name) / "log"
        # The child is a second user of the machine; it leaves the GPU and its memory alone.
        environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", c_api.__file__],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=environment,
                # Ctrl-C goes to all processes of a terminal; this one is ended by its parent.
                start_new_session=True,
            )
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.communicate()
        self._folder.cleanup()

    def run(self, message: Mapping[str, Any], arrays: Mapping[str, Array]) -> tuple[Any, Any]:
        """Have one request answered; see `c_api.py` for both. The process ends with it.

        Raises:
            ExportError: the process ran out of time or ended without an answer.
        """
        request, answer = Path(self._folder.name) / "request", Path(self._folder.name) / "answer"
        c_api.pack(request, message, arrays)
        try:
            self._process.communicate(
                b"%s\n%s\n" % (os.fsencode(request), os.fsencode(answer)), self._timeout_s
            )
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"the load check must end within {self._timeout_s} s, and did not. On a busy "
                "machine allow more with timeout_s; else the model may be at fault."
            ) from error
        if self._process.returncode != 0:
            last = "\n".join(self._log.read_text(errors="replace").splitlines()[-20:])
            raise ExportError(
                "the load check must end with an answer; its process ended with status "
                f"{self._process.returncode} and the words:\n{last}"
            )
        return c_api.unpack(answer)


def verify(
    directory: Path,
    checks: Sequence[Check],
    *,
    batch_sizes: Sequence[int] = (1, 7),
    process: LoadCheck | None = None,
    timeout_s: float = 120.0,
) -> dict[str, Signature]:
    """Hold an exported version against the model's own answers and the server's rules.

    In a fresh process, by the loader that TensorFlow Serving uses, each signature runs on the first
    rows in batches of `batch_sizes` and on all rows; on inputs of wrong shapes, which it must
    refuse; and on the requests of the warm-up file.

    Args:
        directory: the version's.
        checks: at least one for each signature.
        batch_sizes: numbers of rows, besides all of them (these in steps of 1000).
        process: one that was started before; by default a new one.
        timeout_s: seconds that a new process may take.

    Returns:
        The signatures by name.

    Raises:
        ExportError: a rule is broken; the text has the runtime's words.
    """
    if process is None:
        with LoadCheck(timeout_s) as fresh:
            return verify(directory, checks, batch_sizes=batch_sizes, process=fresh)
    try:
        check_files(directory)
    except DamagedError as error:
        raise ExportError(str(error)) from error
    signatures = read_signatures(directory)
    warmup = read_warmup(directory / WARMUP_FILE)
    _require_all("check", [check.signature for check in checks], signatures)
    _require_all("warm-up request", [request.signature for request in warmup], signatures)
    calls = [call for check in checks for call in _calls_of(check, batch_sizes)]
    calls += [_warmup_call(request, signatures[request.signature]) for request in warmup]
    for check in checks:
        calls += _refused_calls(check, signatures[check.signature])
    _run(directory, signatures, calls, process)
    return signatures


def _require_all(what: str, names: Sequence[str], signatures: Mapping[str, Signature]) -> None:
    """Raise ExportError unless the names are all those of the signatures."""
    if set(names) != set(signatures):
        raise ExportError(
            f"each signature needs a {what}; the model has {sorted(signatures)}, there are some "
            f"for {sorted(set(names))}. Add what is missing, and take out what is too many."
        )


def _run(
    directory: Path,
    signatures: Mapping[str, Signature],
    calls: Sequence[_Call],
    process: LoadCheck,
) -> None:
    """Make the calls; raise ExportError for the first whose answer is wrong."""
    # Each array goes over once, however many calls take rows of it.
    arrays = {str(id(array)): array for call in calls for array in call.inputs.values()}
    message = {
        "directory": str(directory.absolute()),
        "calls": [_encode(call, signatures[call.signature]) for call in calls],
    }
    answer, outputs = process.run(message, arrays)
    if answer["error"] is not None:
        raise ExportError(
            f"TensorFlow's C API, and so TensorFlow Serving, must load {directory}; it says: "
            f"{answer['error']}"
        )
    for call, result in zip(calls, answer["calls"], strict=True):
        names = result.get("outputs")
        problem = call.problem_of(
            ExportError(result["error"])
            if names is None
            else {name: outputs[key] for name, key in names.items()}
        )
        if problem is not None:
            given = {name: array[call.rows or ...].shape for name, array in call.inputs.items()}
            raise ExportError(
                f"signature {call.signature!r} of {directory}, called with {given}, {problem}"
            )


def _encode(call: _Call, signature: Signature) -> dict[str, Any]:
    """The call as a JSON value of the request."""
    if set(call.inputs) != set(signature.inputs):
        raise ExportError(
            f"signature {call.signature!r} has the inputs {sorted(signature.inputs)}; a check or "
            f"warm-up request gives {sorted(call.inputs)}. Name each of them."
        )
    rows = None if call.rows is None else [call.rows.start, call.rows.stop]
    feeds = {
        signature.inputs[name].tensor: {"array": str(id(array)), "rows": rows}
        for name, array in call.inputs.items()
    }
    fetches = {name: spec.tensor for name, spec in signature.outputs.items()}
    return {"feeds": feeds, "fetches": fetches}


def _calls_of(check: Check, batch_sizes: Sequence[int]) -> Iterator[_Call]:
    """The check's calls: first rows in batches of several sizes, then all rows."""
    if check.num_rows == 0:
        raise ExportError(f"a check of {check.signature!r} needs a row; it has none. Add some.")
    n = check.num_rows
    ends = [(0, size) for size in batch_sizes]
    ends += [(start, start + _MOST_ROWS) for start in range(0, n, _MOST_ROWS)]
    for rows in [slice(start, min(end, n)) for start, end in ends]:

        def problem_of(result: Any, rows: slice = rows) -> str | None:
            return _must_answer(result) or check.problem_of(result, rows)

        yield _Call(check.signature, check.inputs, rows, problem_of)


def _warmup_call(request: WarmupRequest, signature: Signature) -> _Call:
    """The warm-up request's call; ExportError if the server would not make it."""
    if request.method not in ("predict", signature.method):
        raise ExportError(
            f"signature {request.signature!r} is for {signature.method} or predict; a warm-up "
            f"request calls it by {request.method}. Publish the version again."
        )
    return _Call(request.signature, request.inputs, None, _must_answer)


def _refused_calls(check: Check, signature: Signature) -> Iterator[_Call]:
    """Calls with shapes that a signature must not take, for one input at a time."""
    right = {name: array[:1] for name, array in check.inputs.items()}
    for name, spec in signature.inputs.items():
        for shape in _wrong_shapes(spec):
            wrong = {**right, name: np.resize(right[name], shape)}
            yield _Call(check.signature, wrong, None, _must_refuse)


def _wrong_shapes(spec: TensorSpec) -> Iterator[tuple[int, ...]]:
    """Shapes unlike the declared one, for one example: an axis less, one more, one twice as long.

    The last is the treacherous one: a model that reshapes takes it for two examples.
    """
    if spec.shape is None:
        return
    sizes = [size or 1 for size in spec.shape]
    yield tuple(sizes[1:])
    yield (*sizes, 1)
    if len(sizes) > 1:
        yield (sizes[0], 2 * sizes[1], *sizes[2:])


def _must_answer(result: Any) -> str | None:
    return f"must answer; it says: {result}" if isinstance(result, ExportError) else None


def _must_refuse(result: Any) -> str | None:
    if isinstance(result, ExportError):
        return None
    shapes = {name: array.shape for name, array in result.items()}
    return (
        f"must refuse the shape; it answers with {shapes}. Begin the signature's function with "
        "tf.ensure_shape."
    )
