"""The load check: runs an exported version by the C API and compares it with the model."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.basics.text import shown
from tfd2l.export.c_api.process import c_api_process
from tfd2l.export.checksums import check_files
from tfd2l.export.errors import ExportError
from tfd2l.export.saved_model import Signature, read_signatures

__all__ = ["Check", "verify"]

Array = np.ndarray[Any, Any]

# Rows of one call, which bounds the memory of models that enlarge their input.
_MAX_ROWS = 1000
# The first rows are also run in these batches: one example, and a number that nothing divides.
_BATCH_SIZES = (1, 7)


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


def verify(
    directory: Path | str,
    checks: Sequence[Check],
    *,
    ask: Callable[[Any], Any] | None = None,
    timeout_s: float = 120.0,
) -> None:
    """Compare an exported version with the model's own answers.

    In a fresh process, by the loader that TensorFlow Serving uses, each signature runs on its first
    row, its first seven rows, and all rows in steps of 1000; and on inputs of wrong shapes, which
    it must refuse, because the server does not enforce the declared shapes.

    Args:
        directory: the version's.
        checks: at least one for each signature.
        ask: of a `c_api_process` that was started before; by default one is started here.
        timeout_s: seconds that the process may take if it is started here.

    Raises:
        ValueError: `timeout_s` is not a number above 0.
        ExportError: a rule is broken; the text has the runtime's words.
    """
    directory = Path(directory)
    if ask is None:
        with c_api_process(timeout_s) as fresh:
            verify(directory, checks, ask=fresh)
        return
    check_files(directory)
    signatures = read_signatures(directory)
    _require_checks(checks, signatures)
    calls = [(check, rows) for check in checks for rows in _batches(check)]
    requests = [
        _encode({name: array[rows] for name, array in check.inputs.items()}, check, signatures)
        for check, rows in calls
    ]
    wrong = [(check, inputs) for check in checks for inputs in _wrong_inputs(check, signatures)]
    requests += [_encode(inputs, check, signatures) for check, inputs in wrong]
    answers = ask({"directory": str(directory.absolute()), "calls": requests})
    if isinstance(answers, str):
        raise ExportError(
            f"TensorFlow's C API, and so TensorFlow Serving, must load {directory}; it says: "
            f"{answers}"
        )
    for (check, rows), answer in zip(calls, answers[: len(calls)], strict=True):
        _require_right_answer(directory, check, rows, answer)
    for (check, inputs), answer in zip(wrong, answers[len(calls) :], strict=True):
        _require_refusal(directory, check, inputs, answer)


def _require_checks(checks: Sequence[Check], signatures: Mapping[str, Signature]) -> None:
    """Raise ExportError unless the checks have the signatures' names and inputs."""
    if not isinstance(checks, Sequence) or not all(isinstance(check, Check) for check in checks):
        raise ExportError(
            f"checks must be a list of Check; got {shown(checks)}. classifier_checks and "
            "regressor_checks make it."
        )
    needed = {name: sorted(signature.inputs) for name, signature in signatures.items()}
    given = {check.signature: sorted(check.inputs) for check in checks}
    if given != needed:
        raise ExportError(
            f"each signature needs a check of its inputs; the model has {needed}, and the checks "
            f"have {given}. Add the missing ones, and remove the others."
        )


def _require_right_answer(directory: Path, check: Check, rows: slice, answer: Any) -> None:
    """Raise ExportError unless the answer to these rows, or the runtime's refusal, is right."""
    refused = isinstance(answer, str)
    mismatch = f"must answer; it says: {answer}" if refused else check.mismatch_of(answer, rows)
    if mismatch is not None:
        raise ExportError(
            f"signature {check.signature!r} of {directory}, called with the rows from "
            f"{rows.start} to {rows.stop - 1}, {mismatch}"
        )


def _require_refusal(
    directory: Path, check: Check, inputs: Mapping[str, Array], answer: Any
) -> None:
    """Raise ExportError if a signature answers to a wrong shape."""
    if isinstance(answer, str):
        return
    given, answered = (
        {name: array.shape for name, array in arrays.items()} for arrays in (inputs, answer)
    )
    raise ExportError(
        f"signature {check.signature!r} of {directory}, called with {given}, must refuse the "
        f"shape; it answers with {answered}. Begin its function with tf.ensure_shape."
    )


def _batches(check: Check) -> list[slice]:
    """Return the rows of each call."""
    n = len(next(iter(check.inputs.values())))
    first = [slice(0, min(size, n)) for size in _BATCH_SIZES]
    starts = range(0, n, _MAX_ROWS)
    return first + [slice(start, min(start + _MAX_ROWS, n)) for start in starts]


def _wrong_inputs(
    check: Check, signatures: Mapping[str, Signature]
) -> Iterator[Mapping[str, Array]]:
    """Yield inputs of one row whose shape has an axis less, one more, or one twice as long.

    The last is the treacherous one: a model that reshapes its input takes it for two examples.
    """
    right = {name: array[:1] for name, array in check.inputs.items()}
    for name, spec in signatures[check.signature].inputs.items():
        if spec.shape is None:
            continue
        sizes = right[name].shape
        shapes = [sizes[1:], (*sizes, 1)]
        if len(sizes) > 1:
            shapes.append((sizes[0], 2 * sizes[1], *sizes[2:]))
        for shape in shapes:
            yield {**right, name: np.resize(right[name], shape)}


def _encode(
    inputs: Mapping[str, Array], check: Check, signatures: Mapping[str, Signature]
) -> tuple[Any, Any]:
    """Make a call of the request, which `c_api/program.py` describes."""
    signature = signatures[check.signature]
    feeds = {signature.inputs[name].tensor: array for name, array in inputs.items()}
    return feeds, {name: spec.tensor for name, spec in signature.outputs.items()}
