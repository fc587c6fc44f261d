"""Checkpoints: the whole state of a fit in one file under a checksum, written whole or not at all.

`tf.train.Checkpoint` writes several files, of which a crash may leave some; hence a format of its
own, the file of arrays of `common/arrays.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.engine.errors import CheckpointError, DivergedError
from tfd2l.engine.variables import HasVariables, saved_variables, tf_variable

__all__ = ["checkpoint_name", "checkpoints", "epochs_in", "explain_damage", "is_checkpoint",
           "load_checkpoint", "prune", "save_checkpoint", "write_checkpoint"]  # fmt: skip

# The key of a NumPy array's place in a callback's state, and that of the number of such arrays,
# which stand after the variables in the file.
_ARRAY, _NUM_ARRAYS = "array", "num_callback_arrays"


def save_checkpoint(
    directory: Path, model: HasVariables, optimizer: Any, state: Mapping[str, Any]
) -> Path:
    """Write the state of a fit into a directory, under a name that says epoch and step.

    Args:
        directory: the directory of the run's checkpoints; made when missing.
        model: its `variables` are saved.
        optimizer: its `variables` are saved if it has any.
        state: see `write_checkpoint`, which also raises the errors.

    Returns:
        The checkpoint's path.
    """
    path = directory / checkpoint_name(state["epoch"], state["step"])
    write_checkpoint(path, model, optimizer, state)
    return path


def write_checkpoint(
    path: Path, model: HasVariables, optimizer: Any, state: Mapping[str, Any]
) -> None:
    """Write the state of a fit; the file appears whole or not at all.

    Args:
        path: the file; its directory is made when missing.
        model: its `variables` are saved in their order, those of random generators included.
        optimizer: its `variables` are saved if it has any; the scratch `SGD` has none.
        state: JSON values, among them `epoch`, completed epochs, and `step`, steps since then. Its
            `callbacks` may also hold NumPy arrays.

    Raises:
        DivergedError: a trainable variable is infinite or NaN; then nothing is written.
        OSError: the file can't be written.
    """
    for variable in model.trainable_variables:
        if not np.isfinite(tf_variable(variable).numpy()).all():
            raise DivergedError(
                f"after {state['epoch']} epochs and {state['step']} steps the weights of "
                f"{type(model).__name__} are infinite or NaN, though the loss was not; no "
                "checkpoint is written. Resume from the one before with a smaller learning rate or "
                "gradient_clip_val=1."
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    arrays = [variable.numpy() for variable in saved_variables(model, optimizer)]
    if "callbacks" in state:
        num_variables = len(arrays)
        callbacks = _without_arrays(state["callbacks"], arrays)
        state = {**state, "callbacks": callbacks, _NUM_ARRAYS: len(arrays) - num_variables}
    about = {"model": type(model).__name__, "optimizer": _kind(optimizer), "state": state}
    write_weights(path, arrays, about)


def load_checkpoint(
    path: Path,
    model: HasVariables,
    optimizer: Any = None,
    parse: Callable[[Any], Any] = lambda state: state,
) -> Any:
    """Read a checkpoint into a model and its optimizer.

    Args:
        path: what `save_checkpoint` returned.
        model: a built model of the same shapes as the saved one.
        optimizer: of the same kind as the saved one, built on the model's variables; None reads
            the model alone.
        parse: turns the saved JSON values into the result; raises ValueError for bad ones. By
            default they are the result.

    Returns:
        What `parse` makes of the saved state.

    Raises:
        CheckpointError: there is no readable checkpoint, or it belongs to another model; then
            nothing is changed.
    """
    values, about = _read(path)
    if optimizer is not None and about["optimizer"] != _kind(optimizer):
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is of a fit by {about['optimizer']}; the optimizer here "
            f"is {_kind(optimizer)}."
        )
    try:
        state, values = _with_callbacks(about["state"], values)
        parsed = parse(state)
    except ValueError as error:
        raise CheckpointError(
            f"a fit can't resume from the checkpoint {str(path)!r}: {error}."
        ) from error
    own = saved_variables(model, optimizer)
    # Without an optimizer, its part of the file is left out.
    values = values if optimizer is not None else values[: len(own)]
    wanted = [(tuple(v.shape), v.dtype.as_numpy_dtype) for v in own]
    given = [(value.shape, value.dtype.type) for value in values]
    if wanted != given:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} is of a {about['model']} with other variables: "
            f"{_first_difference(wanted, given)} Build the model, and its optimizer, as its run "
            "did."
        )
    for variable, value in zip(own, values, strict=True):
        variable.assign(value)
    return parsed


def _read(path: Path) -> tuple[list[Any], dict[str, Any]]:
    """The arrays in a checkpoint, and what is said about them."""
    try:
        values, about = read_weights(path)
    except (ValueError, OSError) as error:
        raise CheckpointError(f"the checkpoint can't be read: {error}") from error
    if not isinstance(about, dict) or {*about} != {"model", "optimizer", "state"}:
        raise CheckpointError(
            f"{str(path)!r} has weights, but is not a checkpoint of a fit; model.load_weights "
            "reads what save_weights wrote."
        )
    return values, about


def _with_callbacks(state: Any, values: list[Any]) -> tuple[Any, list[Any]]:
    """The state with its callbacks' arrays, and the values of the variables, which precede them.

    Raises:
        ValueError: the callbacks' state is of another form.
    """
    if not isinstance(state, dict) or _NUM_ARRAYS not in state:
        return state, values
    state = dict(state)
    number = state.pop(_NUM_ARRAYS)
    try:
        state["callbacks"] = _with_arrays(state["callbacks"], values)
        return state, values[: len(values) - range(len(values) + 1)[number]]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError("callbacks: not values and arrays by name") from error


def checkpoints(directory: Path) -> list[Path]:
    """List the checkpoints in a directory, the latest first; files of other names are not ours."""
    numbered = {_numbers_in(path.name): path for path in directory.glob("epoch-*.step-*")}
    return [numbered[key] for key in sorted(filter(None, numbered), reverse=True)]


def checkpoint_name(epoch: int, step: int = 0) -> str:
    """The name of the checkpoint `step` steps after epoch `epoch`."""
    return f"epoch-{epoch:05d}.step-{step:07d}"


def is_checkpoint(name: str) -> bool:
    """True for the name of a checkpoint; False for others, such as that of a copy."""
    return _numbers_in(name) is not None


def _numbers_in(name: str) -> tuple[int, int] | None:
    """Epoch and step of the checkpoint of this name; None for other names."""
    found = re.fullmatch("epoch-([0-9]{5,18}).step-([0-9]{7,18})", name)
    numbers = None if found is None else (int(found[1]), int(found[2]))
    return numbers if numbers and checkpoint_name(*numbers) == name else None


def epochs_in(checkpoint: Path) -> int:
    """The number of completed epochs in a checkpoint, by its name."""
    return int(checkpoint.name.partition(".")[0].removeprefix("epoch-"))


def explain_damage(checkpoint: Path) -> str | None:
    """The reason why a run can't resume from this checkpoint; None if it can."""
    try:
        values, about = read_weights(checkpoint)
    except ValueError as error:
        return str(error)
    except OSError as error:
        # Errors of reading name no file.
        return f"{str(checkpoint)!r} can't be read: {error.strerror or error}"
    try:
        # After an infinite loss, the next step's loss would be infinite too.
        numbers = [np.array(column[-1]) for column in about["state"]["history"].values()]
    except (AttributeError, KeyError, IndexError, TypeError):
        # A file that is not a checkpoint is refused when it is loaded.
        numbers = []
    if not all(np.isfinite(n).all() for n in [*values, *numbers] if n.dtype.kind == "f"):
        return f"{str(checkpoint)!r} has numbers that are infinite or NaN"
    return None


def prune(directory: Path, keep: int, spared: Collection[str] = ()) -> None:
    """Delete all checkpoints except the last `keep` and those named in `spared`."""
    for path in checkpoints(directory)[keep:]:
        if path.name not in spared:
            path.unlink()


def _without_arrays(value: Any, arrays: list[Any]) -> Any:
    """The value with each NumPy array in it replaced by its place in `arrays`, where it is put."""
    if isinstance(value, np.ndarray):
        arrays.append(value)
        return {_ARRAY: len(arrays) - 1}
    if isinstance(value, dict):
        return {key: _without_arrays(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_without_arrays(entry, arrays) for entry in value]
    return value.item() if isinstance(value, np.generic) else value


def _with_arrays(value: Any, arrays: list[Any]) -> Any:
    """The value from which `_without_arrays` made this one."""
    if isinstance(value, dict):
        if value.keys() == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _with_arrays(entry, arrays) for key, entry in value.items()}
    if isinstance(value, list):
        return [_with_arrays(entry, arrays) for entry in value]
    return value


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
