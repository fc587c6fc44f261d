"""Publishes an epoch of a run that was made before: `--publish RUN [--epoch N]`."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.fashion_mnist import Arrays
from tfd2l.engine.checkpoint import checkpoint_name, checkpoints, epochs_in, load_checkpoint
from tfd2l.engine.checks import optimizer_of
from tfd2l.engine.optimizer import build_as, finalize, with_loss_scale
from tfd2l.engine.state import FitState
from tfd2l.train.build import build_model, choose_device
from tfd2l.train.data import make_data
from tfd2l.train.evaluation import answers_of
from tfd2l.train.finish import (
    Publication,
    card_of,
    check_fit,
    check_interface,
    describe_results,
    published,
)
from tfd2l.train.model import describe_file
from tfd2l.train.records import RunError
from tfd2l.train.resume import check_data, say_changed_file, state_in
from tfd2l.train.run_directory import CHECKPOINTS, RunDirectory
from tfd2l.train.settings.config import TrainConfig

__all__ = ["publish_run"]


def publish_run(
    path: Path,
    epoch: int | None,
    config: TrainConfig,
    arrays: Arrays | None,
    say: Callable[[str], object],
) -> Path:
    """Publish an epoch of the run in a directory, also if another model is better.

    Args:
        path: the run's directory.
        epoch: the epoch, from 1; None takes the best one.
        config: the run's settings.
        arrays: Fashion-MNIST, if the run trained on it.
        say: called with a line for the user.

    Returns:
        The directory of the version.

    Raises:
        RunError: the run has no checkpoint of that epoch, or began with other data.
        Tfd2lError: the model can't be built again, or not be exported.
    """
    with contextlib.closing(RunDirectory(path, resume=True)) as directory:
        data = make_data(config, arrays, say=say)
        check_data(directory, data.describe())
        say_changed_file(directory, describe_file(config.model), say)
        base = config.export_dir / config.served_name
        check_interface(base, data, config.publish_anyway)
        checkpoint = _checkpoint(directory, epoch)
        model, _ = build_model(config, data)
        with tf.device(choose_device(config.device)):
            state = _load(checkpoint, model)
        number = epochs_in(checkpoint)
        check_fit(model, state.history, number)
        answers = answers_of(model, data)
        evaluation = answers.evaluation
        publication = Publication(base, config.keep_versions, "last", None, True)
        card = card_of(data, directory, state.history, number, evaluation)
        export = published(model, data, answers, publication, card)
        if directory.conclusion is not None:
            note = {**directory.conclusion, "export": str(export.absolute()), "reason": None}
            directory.finish({**note, "epoch": number, "evaluation": evaluation.as_json()})
    say(f"\n{describe_results(data, model, evaluation, number, number)}")
    say(f"epoch   {number} of {path}")
    say(f"export  {export}")
    return export


def _checkpoint(directory: RunDirectory, epoch: int | None) -> Path:
    """The checkpoint of an epoch's end."""
    found = {
        epochs_in(path): path
        for path in checkpoints(directory.path / CHECKPOINTS)
        if path.name == checkpoint_name(epochs_in(path))
    }
    if not found:
        raise RunError(
            f"{str(directory.path)!r} has no checkpoint of a whole epoch, and so nothing to "
            "publish; go on with --resume."
        )
    if epoch is None:
        history = state_in(found[max(found)]).history
        return directory.best_checkpoint(history) or found[max(found)]
    if epoch not in found:
        raise RunError(
            f"epoch must have a checkpoint in {str(directory.path)!r}; got {epoch}, and there are "
            f"{', '.join(map(str, sorted(found)))}. The last and the best are kept."
        )
    return found[epoch]


def _load(checkpoint: Path, model: Any) -> FitState:
    """Give the model the weights in a checkpoint; return the state of the fit."""
    optimizer = with_loss_scale(optimizer_of(model))

    def parse(values: Any) -> FitState:
        values.pop("callbacks", None)
        state = FitState.from_json(values)
        build_as(state.trained, model, optimizer)
        return state

    state: FitState = load_checkpoint(checkpoint, model, optimizer, parse)
    model.board.curves = state.board
    # With `use_ema`, the moving averages of that epoch.
    finalize(optimizer)
    return state
