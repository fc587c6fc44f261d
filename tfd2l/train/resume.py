"""Going on with a run: from which checkpoint, with which settings, or that it is finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from tfd2l.book.trainer import Trainer
from tfd2l.common.arrays import read_weights
from tfd2l.engine.callback import Callback
from tfd2l.engine.checkpoint import checkpoints, epochs_in
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.train.run_directory import CHECKPOINTS, RunDirectory, RunError, versions

__all__ = ["LearningRate", "check_data", "take_up"]

# Of these, another version may compute other bits.
_COMPUTING = ("python", "numpy", "tensorflow", "keras")
Say = Callable[[str], object]


class LearningRate(Callback):
    """Has a fit go on with this learning rate: a checkpoint brings the one that was."""

    def __init__(self, lr: float) -> None:
        """Keep it."""
        self._lr = lr

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Set it. The scratch optimizer has it from its model."""
        if isinstance(trainer.optim, keras.optimizers.Optimizer):
            trainer.optim.learning_rate = self._lr


def take_up(
    directory: RunDirectory, changes: Mapping[str, Any], say: Say
) -> tuple[Path | None, str | None]:
    """Find out where to go on with a run.

    Args:
        directory: the run's.
        changes: settings that are to be others from here on.
        say: given a line for each thing that a reader of the results should know.

    Returns:
        The checkpoint to go on from, None for the beginning; and the export, if the run is
        finished and there is nothing to do.

    Raises:
        RunError: it can't be gone on with, or not with these changes.
    """
    _say_versions(directory.record.get("versions", {}), say)
    export = _whole_export(directory, say)
    if export is not None and not changes and not checkpoints(directory.path / CHECKPOINTS):
        # Who makes room removes those of finished runs first.
        return None, export
    checkpoint = directory.last_good_checkpoint(say)
    done = 0 if checkpoint is None else epochs_in(checkpoint)
    if changes.get("epochs", done + 1) <= done:
        raise RunError(
            f"--epochs must be more than the {done} that the run in {str(directory.path)!r} has "
            f"done; got {changes['epochs']}. Give more, or leave it out."
        )
    if export is not None and not changes.keys() & {"epochs", "export_dir"}:
        if changes:
            raise RunError(
                f"the run in {str(directory.path)!r} is finished, with {done} epochs; to train on "
                f"with other settings, add --epochs with more than that."
            )
        if checkpoint is not None:
            _, about = read_weights(checkpoint)
            directory.write_metrics(about["state"]["history"])
        return checkpoint, export
    return checkpoint, None


def check_data(directory: RunDirectory, data: Mapping[str, Any]) -> None:
    """Raise RunError unless the data is what the run began with."""
    # Through JSON, as the record went.
    known, now = directory.record["data"], json.loads(json.dumps(data))
    # Where it lies may change, what it is may not.
    if different := sorted(_differences(known, now) - {"source"}):
        raise RunError(
            f"the run in {str(directory.path)!r} began with other data than there is now: other "
            f"{', '.join(different)}. Put that data back, or begin a new run."
        )


def _whole_export(directory: RunDirectory, say: Say) -> str | None:
    """Where the export of a finished run is, None if there is none or no longer."""
    export = directory.export
    if export is None:
        return None
    # Older notes have a path as it was given, which holds in the directory of that command.
    try:
        if (Path(export) / "saved_model.pb").is_file():
            check_files(Path(export))
            return export
        fault = "is gone"
    except DamagedError as error:
        fault = f"is damaged ({error})"
    say(f"the run's export {export} {fault}; it is published again")
    return None


def _say_versions(then: Mapping[str, str], say: Say) -> None:
    """Say which other versions go on with what these began."""
    now = versions()
    other = [
        f"{name} {now[name]} (then {then[name]})"
        for name in _COMPUTING
        if name in then and then[name] != now[name]
    ]
    if other:
        say(f"the run began with other versions, so its bits may differ: {', '.join(other)}")


def _differences(known: Any, now: Any) -> set[str]:
    """The keys under which two JSON values differ, the innermost ones."""
    if not isinstance(known, dict) or not isinstance(now, dict):
        return set()
    found = set[str]()
    for key in known.keys() | now.keys():
        if known.get(key) != now.get(key):
            found |= _differences(known.get(key), now.get(key)) or {key}
    return found
