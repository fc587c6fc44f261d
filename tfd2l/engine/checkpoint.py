"""Checkpoints: all state of a fit in a file, with a checksum over it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.book.nn_module import nn_Module, tf_variable
from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.common.errors import DivergedError, Tfd2lError


class CheckpointError(Tfd2lError, ValueError):
    """A checkpoint can't be read, or is not of this model."""


def save_checkpoint(
    directory: Path, model: nn_Module, optimizer: Any, state: Mapping[str, Any]
) -> Path:
    """Write the state of a fit; the file appears whole or not at all.

    Args:
        directory: where the run's checkpoints are; made when missing.
        model: all its `variables` are saved, in order, random generators' too.
        optimizer: its `variables` are saved if it has such; the scratch `SGD` has none.
        state: JSON values, among them `epoch`, completed epochs, and `step`, steps made since.

    Returns:
        The checkpoint's path.

    Raises:
        DivergedError: a trainable variable is infinite or NaN; then nothing is written.
        OSError: it can't be written.
    """
    for variable in model.trainable_variables:
        if not np.isfinite(tf_variable(variable).numpy()).all():
            raise DivergedError(
                f"after {state['epoch']} epochs and {state['step']} steps the weights of "
                f"{type(model).__name__} are infinite or NaN, though the loss was not; no "
                "checkpoint is written. Go on from the one before with a smaller learning rate or "
                "gradient_clip_val=1."
            )
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / checkpoint_name(state["epoch"], state["step"])
    variables = kept_variables(model, optimizer)
    about = {"model": type(model).__name__, "optimizer": _kind(optimizer), "state": state}
    write_weights(path, [variable.numpy() for variable in variables], about)
    return path


def load_checkpoint(
    path: Path,
    model: nn_Module,
    optimizer: Any = None,
    check: Callable[[Any], None] = lambda _: None,
) -> dict[str, Any]:
    """Read a checkpoint into a model, and into an optimizer if one is given.

    Args:
        path: what `save_checkpoint` returned.
        model: a built model of the same shapes as the saved one.
        optimizer: of the same kind as the saved one, built on the model's variables.
        check: raises ValueError for a state that can't be gone on from.

    Returns:
        The state that was saved.

    Raises:
        CheckpointError: there is no readable checkpoint, or it is of another model; then nothing
            is changed.
    """
    try:
        values, about = read_weights(path)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"the checkpoint can't be read: {error}") from error
    if not isinstance(about, dict) or {*about} != {"model", "optimizer", "state"}:
        raise CheckpointError(
            f"{str(path)!r} has weights, but is no checkpoint of a fit; model.load_weights reads "
            "what save_weights wrote."
        )
    if optimizer is not None and about["optimizer"] != _kind(optimizer):
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is of a fit by {about['optimizer']}; the optimizer here "
            f"is {_kind(optimizer)}."
        )
    own = kept_variables(model, optimizer)
    # Without an optimizer its part of the file stays unread, which is no fault.
    values = values if optimizer is not None else values[: len(own)]
    wanted = [(tuple(v.shape), v.dtype.as_numpy_dtype) for v in own]
    given = [(value.shape, value.dtype.type) for value in values]
    if wanted != given:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is of a {about['model']} with other variables: "
            f"{_first_difference(wanted, given)} Build the model, and its optimizer, as its run "
            "did."
        )
    state: dict[str, Any] = about["state"]
    try:
        check(state)
    except ValueError as error:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} can't be gone on from: {error}."
        ) from error
    for variable, value in zip(own, values, strict=True):
        variable.assign(value)
    return state


def checkpoints(directory: Path) -> list[Path]:
    """The checkpoints in a directory, the latest first."""
    return sorted(directory.glob("epoch-*.step-*"), reverse=True)


def checkpoint_name(epoch: int, step: int = 0) -> str:
    """The file of a checkpoint `step` steps after epoch `epoch`; they sort as they follow."""
    return f"epoch-{epoch:05d}.step-{step:07d}"


def epochs_in(checkpoint: Path) -> int:
    """How many epochs were complete when this checkpoint was written, by its name."""
    return int(checkpoint.name.partition(".")[0].removeprefix("epoch-"))


def fault_of(checkpoint: Path) -> str | None:
    """Why a run can't go on from this checkpoint; None if it can."""
    try:
        values, about = read_weights(checkpoint)
    except ValueError as error:
        return str(error)
    except OSError as error:
        # Those of reading don't name the file.
        return f"{str(checkpoint)!r} can't be read: {error.strerror or error}"
    try:
        # With a loss of infinity at its end, the next step would have one too.
        numbers = [np.array(column[-1]) for column in about["state"]["history"].values()]
    except (AttributeError, KeyError, IndexError, TypeError):
        # Whether it is a checkpoint at all is said when it is loaded.
        numbers = []
    if not all(np.isfinite(n).all() for n in [*values, *numbers] if n.dtype.kind == "f"):
        return f"{str(checkpoint)!r} has numbers that are infinite or NaN"
    return None


def prune(directory: Path, keep: int, spared: Collection[str] = ()) -> None:
    """Delete all checkpoints but the last `keep`, and those whose names are to be spared."""
    for path in checkpoints(directory)[keep:]:
        if path.name not in spared:
            path.unlink()


def kept_variables(model: nn_Module, optimizer: Any) -> list[Any]:
    """The TensorFlow variables that a checkpoint has, in its order."""
    return [tf_variable(v) for v in [*model.variables, *(getattr(optimizer, "variables", ()))]]


def _kind(optimizer: Any) -> str:
    return type(optimizer).__name__


def _first_difference(wanted: list[Any], given: list[Any]) -> str:
    def say(entry: tuple[tuple[int, ...], type]) -> str:
        return f"{entry[0]} {np.dtype(entry[1]).name}"

    different: Iterator[int] = (
        n for n, pair in enumerate(zip(wanted, given, strict=False)) if pair[0] != pair[1]
    )
    number = next(different, None)
    if number is None:
        return f"it has {len(given)}, here are {len(wanted)}."
    return f"number {number} is {say(given[number])} there and {say(wanted[number])} here."
