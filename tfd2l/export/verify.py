"""The load check: runs an exported version by the C API and compares it with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.export.c_api_process import CApiProcess
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.export.saved_model import ExportError, Signature, TensorSpec, read_signatures
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, read_warmup

__all__ = ["Check", "verify"]

Array = np.ndarray[Any, Any]

# Rows of one call, which bounds the memory of models that enlarge their input.
_MAX_ROWS = 1000


@dataclass(frozen=True)
class Check:
    """Inputs of a signature, and a comparison of its outputs with the right ones.

    Attributes:
        signature: its name.
        inputs: n rows by input name; strings as dtype object (bytes).
        mismatch_of: takes the outputs by name and the slice of the rows that they answer; returns
            None, or in words how they differ from the right ones.
    """

    signature: str
    inputs: Mapping[str, Array]
    mismatch_of: Callable[[Mapping[str, Array], slice], str | None]

    @property
    def num_rows(self) -> int:
        """The number of rows of each input."""
        return min(len(array) for array in self.inputs.values())


@dataclass(frozen=True)
class _Call:
    """One run of a signature in the fresh process, and a judgement of its result.

    Attributes:
        signature: its name.
        inputs: all rows by input name.
        rows: those that the call takes; None for the inputs as they are.
        mismatch_of: takes the outputs by name, or the runtime's refusal; returns None if that is
            right.
    """

    signature: str
    inputs: Mapping[str, Array]
    rows: slice | None
    mismatch_of: Callable[[Mapping[str, Array] | ExportError], str | None]


def verify(
    directory: Path,
    checks: Sequence[Check],
    *,
    batch_sizes: Sequence[int] = (1, 7),
    process: CApiProcess | None = None,
    timeout_s: float = 120.0,
) -> dict[str, Signature]:
    """Compare an exported version with the model's own answers and the server's rules.

    In a fresh process, by the loader that TensorFlow Serving uses, each signature runs on the first
    rows in batches of `batch_sizes` and on all rows; on inputs of wrong shapes, which it must
    refuse; and on the requests of the warm-up file.

    Args:
        directory: the version's.
        checks: at least one for each signature.
        batch_sizes: numbers of rows, in addition to all rows (in steps of 1000).
        process: one that was started before; by default a new one.
        timeout_s: seconds that a new process may take.

    Returns:
        The signatures by name.

    Raises:
        ExportError: a rule is broken; the text has the runtime's words.
    """
    if process is None:
        with CApiProcess(timeout_s) as fresh:
            return verify(directory, checks, batch_sizes=batch_sizes, process=fresh)
    try:
        check_files(directory)
    except DamagedError as error:
        raise ExportError(str(error)) from error
    signatures = read_signatures(directory)
    warmup = read_warmup(directory / WARMUP_FILE)
    _require_all("check", [check.signature for check in checks], signatures)
    _require_all("warm-up request", [request.signature for request in warmup], signatures)
    calls = [call for check in checks for call in _calls_in_batches(check, batch_sizes)]
    calls += [_warmup_call(request, signatures[request.signature]) for request in warmup]
    for check in checks:
        calls += _calls_of_wrong_shapes(check, signatures[check.signature])
    _run(directory, signatures, calls, process)
    return signatures


def _require_all(kind: str, names: Sequence[str], signatures: Mapping[str, Signature]) -> None:
    """Raise ExportError unless the names are exactly those of the signatures."""
    if set(names) != set(signatures):
        raise ExportError(
            f"each signature needs a {kind}; the model has {sorted(signatures)}, and there are "
            f"some for {sorted(set(names))}. Add the missing ones, and remove the others."
        )


def _calls_in_batches(check: Check, batch_sizes: Sequence[int]) -> Iterator[_Call]:
    """Yield calls on the first rows in batches of several sizes, then on all rows."""
    n = check.num_rows
    if n == 0:
        raise ExportError(f"a check of {check.signature!r} needs a row; it has none. Add some.")
    ends = [(0, size) for size in batch_sizes]
    ends += [(start, start + _MAX_ROWS) for start in range(0, n, _MAX_ROWS)]
    for rows in [slice(start, min(end, n)) for start, end in ends]:

        def mismatch_of(
            result: Mapping[str, Array] | ExportError, rows: slice = rows
        ) -> str | None:
            if isinstance(result, ExportError):
                return _must_answer(result)
            return check.mismatch_of(result, rows)

        yield _Call(check.signature, check.inputs, rows, mismatch_of)


def _warmup_call(request: WarmupRequest, signature: Signature) -> _Call:
    """Return the warm-up request's call; raise ExportError if the server would not make it."""
    if request.method not in ("predict", signature.method):
        raise ExportError(
            f"signature {request.signature!r} is for {signature.method} or predict; a warm-up "
            f"request calls it by {request.method}. Publish the version again."
        )
    return _Call(request.signature, request.inputs, None, _must_answer)


def _calls_of_wrong_shapes(check: Check, signature: Signature) -> Iterator[_Call]:
    """Yield calls that a signature must refuse, with a wrong shape for one input at a time."""
    right = {name: array[:1] for name, array in check.inputs.items()}
    for name, spec in signature.inputs.items():
        for shape in _wrong_shapes(spec):
            wrong = {**right, name: np.resize(right[name], shape)}
            yield _Call(check.signature, wrong, None, _must_refuse)


def _wrong_shapes(spec: TensorSpec) -> Iterator[tuple[int, ...]]:
    """Yield shapes of one example with an axis less, with one more, and with one twice as long.

    The last is the treacherous one: a model that reshapes its input takes it for two examples.
    """
    if spec.shape is None:
        return
    sizes = [size or 1 for size in spec.shape]
    yield tuple(sizes[1:])
    yield (*sizes, 1)
    if len(sizes) > 1:
        yield (sizes[0], 2 * sizes[1], *sizes[2:])


def _must_answer(result: Mapping[str, Array] | ExportError) -> str | None:
    return f"must answer; it says: {result}" if isinstance(result, ExportError) else None


def _must_refuse(result: Mapping[str, Array] | ExportError) -> str | None:
    if isinstance(result, ExportError):
        return None
    shapes = {name: array.shape for name, array in result.items()}
    return (
        f"must refuse the shape; it answers with {shapes}. Begin the signature's function with "
        "tf.ensure_shape."
    )


def _run(
    directory: Path,
    signatures: Mapping[str, Signature],
    calls: Sequence[_Call],
    process: CApiProcess,
) -> None:
    """Make the calls; raise ExportError for the first one with a wrong result."""
    # Each array is sent once, though many calls take rows of it.
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
        mismatch = call.mismatch_of(_decode(result, outputs))
        if mismatch is not None:
            given = {name: array[call.rows or ...].shape for name, array in call.inputs.items()}
            raise ExportError(
                f"signature {call.signature!r} of {directory}, called with {given}, {mismatch}"
            )


def _encode(call: _Call, signature: Signature) -> dict[str, Any]:
    """Convert the call to a JSON value of the request; `c_api_program.py` describes it."""
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


def _decode(
    result: Mapping[str, Any], outputs: Mapping[str, Array]
) -> dict[str, Array] | ExportError:
    """Convert a call's JSON value of the answer to the outputs by name, or to an error."""
    if "error" in result:
        return ExportError(result["error"])
    return {name: outputs[key] for name, key in result["outputs"].items()}
