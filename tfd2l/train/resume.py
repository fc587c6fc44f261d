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
from tfd2l.engine.state import FitState
from tfd2l.export.checksums import DamagedError, check_files
from tfd2l.train.metrics_log import write_metrics
from tfd2l.train.records import RunError
from tfd2l.train.run_directory import CHECKPOINTS, RunDirectory

__all__ = ["LearningRate", "check_data", "find_resume_point", "say_changed_file", "state_in"]

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
        # A schedule was made of the rate.
        optimizer = getattr(trainer.optim, "inner_optimizer", trainer.optim)
        schedule = keras.optimizers.schedules.LearningRateSchedule
        if isinstance(optimizer, keras.optimizers.Optimizer) and not isinstance(
            optimizer._learning_rate, schedule
        ):
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
        The checkpoint to resume from, None for the beginning; and, if the run is finished and there
        is nothing to do, a phrase that says what became of it.

    Raises:
        RunError: the run can't be resumed, or not with these changes.
    """
    versions = directory.record.get("versions")
    _say_versions(versions if isinstance(versions, dict) else {}, say)
    end = _end_of(directory, say)
    if end is not None and not changes and not checkpoints(directory.path / CHECKPOINTS):
        # Users who make room delete the checkpoints of finished runs first.
        return None, end
    checkpoint = directory.last_good_checkpoint(say)
    done = 0 if checkpoint is None else epochs_in(checkpoint)
    if changes.get("epochs", done + 1) <= done:
        raise RunError(
            f"--epochs must be more than the {done} that the run in {str(directory.path)!r} has "
            f"done; got {changes['epochs']}. Give more, or leave it out."
        )
    anew = {"epochs", "export_dir", "export", "publish_anyway"}
    if end is not None and not changes.keys() & anew:
        if changes:
            raise RunError(
                f"the run in {str(directory.path)!r} is finished, with {done} epochs; to train on "
                f"with other settings, add --epochs with more than that."
            )
        if checkpoint is not None:
            write_metrics(directory.path, state_in(checkpoint).history)
        return checkpoint, end
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


def say_changed_file(directory: RunDirectory, file: Mapping[str, str] | None, say: Say) -> None:
    """Say that the reader's model file is not as the run began with it, if so."""
    known = directory.record.get("model_file")
    if file is not None and isinstance(known, dict) and known.get("sha256") != file["sha256"]:
        say(f"{file['path']} has changed since the run began, so it may end otherwise")


def state_in(checkpoint: Path) -> FitState:
    """The state of the fit; RunError if the file is whole and no checkpoint of a fit."""
    try:
        _, about = read_weights(checkpoint)
        values = dict(about["state"])
        values.pop("callbacks", None)
        values.pop("num_callback_arrays", None)
        return FitState.from_json(values)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{str(checkpoint)!r} must be a checkpoint of a fit; got {one_line(repr(error), 200)}. "
            "Put a copy of the run's own back, or begin a new run."
        ) from error


def _end_of(directory: RunDirectory, say: Say) -> str | None:
    """A phrase about a finished run's export; None if it is damaged, or the run unfinished."""
    conclusion = directory.conclusion
    if conclusion is None:
        return None
    export = conclusion["export"]
    if export is None:
        return f"it was not published: {one_line(str(conclusion.get('reason')), 300)}"
    # Older records have a relative path, which holds in the directory where the run began.
    try:
        if (Path(export) / "saved_model.pb").is_file():
            check_files(Path(export))
            return f"its export is {export}"
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
