"""Resumes a run: finds the checkpoint to start from, or that the run is finished."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import keras

from pipelines.basics.text import one_line
from tfd2l.book.trainer import Trainer
from tfd2l.common.arrays import read_weights
from tfd2l.common.packages import package_versions
from tfd2l.engine.callback import Callback
from tfd2l.engine.checkpoint import checkpoints, epochs_in
from tfd2l.engine.history import History
from tfd2l.engine.state import FitState
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.train.records import RunError
from tfd2l.train.run_directory import CHECKPOINTS, RunDirectory

__all__ = ["LearningRate", "check_data", "find_resume_point"]

# The packages of which another version may compute other bits.
_COMPUTING = ("python", "numpy", "tensorflow", "keras")
Say = Callable[[str], object]


class LearningRate(Callback):
    """Sets the learning rate of a resumed fit, whose checkpoint has the rate of before."""

    def __init__(self, lr: float) -> None:
        """Keep the rate."""
        self._lr = lr

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Set the rate of a Keras optimizer; the scratch optimizer has the rate of its model."""
        if isinstance(trainer.optim, keras.optimizers.Optimizer):
            trainer.optim.learning_rate = self._lr


def find_resume_point(
    directory: RunDirectory, changes: Mapping[str, Any], say: Say
) -> tuple[Path | None, str | None]:
    """Find the point from which a run resumes.

    Args:
        directory: the run's directory.
        changes: the settings that differ from here on.
        say: called with each line that a reader of the results should know.

    Returns:
        The checkpoint to resume from, None for the beginning; and the export, if the run is
        finished and there is nothing to do.

    Raises:
        RunError: the run can't be resumed, or not with these changes.
    """
    versions = directory.record.get("versions")
    _say_versions(versions if isinstance(versions, dict) else {}, say)
    export = _whole_export(directory, say)
    if export is not None and not changes and not checkpoints(directory.path / CHECKPOINTS):
        # Users who make room delete the checkpoints of finished runs first.
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
            directory.log.write_table(_history_in(checkpoint))
        return checkpoint, export
    return checkpoint, None


def check_data(directory: RunDirectory, data: Mapping[str, Any]) -> None:
    """Raise RunError unless the data is what the run began with."""
    # Through JSON, like the record.
    known, now = directory.record["data"], json.loads(json.dumps(data))
    # The data may have moved, but must be the same.
    if different := sorted(_differences(known, now) - {"source"}):
        raise RunError(
            f"the run in {str(directory.path)!r} began with other data than there is now: other "
            f"{', '.join(different)}. Put that data back, or begin a new run."
        )


def _history_in(checkpoint: Path) -> History:
    """The history of the fit; RunError if the file is whole and no checkpoint of a fit."""
    try:
        _, about = read_weights(checkpoint)
        return FitState.from_json(about["state"]).history
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{str(checkpoint)!r} must be a checkpoint of a fit; got {one_line(repr(error), 200)}. "
            "Put a copy of the run's own back, or begin a new run."
        ) from error


def _whole_export(directory: RunDirectory, say: Say) -> str | None:
    """The export of a finished run; None if it is missing or damaged, or the run unfinished."""
    export = directory.export
    if export is None:
        return None
    # Older records have a relative path, which holds in the directory where the run began.
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
    """Say which versions of packages differ from those that began the run."""
    now = package_versions()
    other = [
        f"{name} {now[name]} (then {then[name]})"
        for name in _COMPUTING
        if name in then and then[name] != now[name]
    ]
    if other:
        say(f"the run began with other versions, so its bits may differ: {', '.join(other)}")


def _differences(known: Any, now: Any) -> set[str]:
    """The innermost keys whose values differ in two JSON values."""
    if not isinstance(known, dict) or not isinstance(now, dict):
        return set()
    found = set[str]()
    for key in known.keys() | now.keys():
        if known.get(key) != now.get(key):
            found |= _differences(known.get(key), now.get(key)) or {key}
    return found
