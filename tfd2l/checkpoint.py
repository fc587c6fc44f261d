"""Checkpoints: a model's and its optimizer's variables, and the epoch, on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from tfd2l.module import Module
from tfd2l.nn import tf_variable


class CheckpointError(ValueError):
    """A checkpoint can't be read, or is not of this model."""


def save_checkpoint(directory: Path, model: Module, optimizer: Any, epoch: int) -> Path:
    """Write the state after `epoch` epochs; the files appear whole or not at all.

    Args:
        directory: where the run's checkpoints are; made when missing.
        model: its `variables` are saved, in order.
        optimizer: a Keras optimizer's variables are saved too; the scratch `SGD` has none.
        epoch: epochs completed.

    Returns:
        The checkpoint's path, as `load_checkpoint` takes it.
    """
    directory.mkdir(parents=True, exist_ok=True)
    checkpoint = _checkpoint(model, optimizer, tf.Variable(epoch, dtype=tf.int64))
    return Path(checkpoint.write(str(directory / f"epoch-{epoch:05d}")))


def load_checkpoint(path: Path, model: Module, optimizer: Any = None) -> int:
    """Read a checkpoint into a model, and into an optimizer if one is given.

    Args:
        path: what `save_checkpoint` returned.
        model: a built model of the same shapes as the saved one.
        optimizer: of the same kind as the saved one, built on the model's variables.

    Returns:
        Epochs completed when it was written.

    Raises:
        CheckpointError: there is no readable checkpoint, or it is of another model.
    """
    epoch = tf.Variable(0, dtype=tf.int64)
    checkpoint = _checkpoint(model, optimizer, epoch)
    try:
        status = checkpoint.read(str(path))
        # Without an optimizer its part of the file stays unread, which is no fault.
        status.assert_existing_objects_matched()
        if optimizer is not None:
            status.assert_consumed()
    except (tf.errors.OpError, AssertionError, ValueError) as error:
        raise CheckpointError(
            f"the checkpoint {str(path)!r} can't be read into {type(model).__name__}: "
            f"{str(error).splitlines()[0]} Build the model with the settings of its run."
        ) from error
    return int(epoch.numpy())


def latest_checkpoint(directory: Path) -> Path | None:
    """The checkpoint of the most epochs in a directory; None if there is none."""
    indices = sorted(directory.glob("epoch-*.index"))
    return indices[-1].with_suffix("") if indices else None


def prune(directory: Path, keep: int) -> None:
    """Delete all but the last `keep` checkpoints."""
    for index in sorted(directory.glob("epoch-*.index"))[:-keep]:
        # The index goes first: without it the rest is not taken for a checkpoint.
        index.unlink()
        for part in directory.glob(index.stem + ".data-*"):
            part.unlink()


def _checkpoint(model: Module, optimizer: Any, epoch: tf.Variable) -> tf.train.Checkpoint:
    state = [tf_variable(variable) for variable in getattr(optimizer, "variables", [])]
    return tf.train.Checkpoint(
        model=[tf_variable(variable) for variable in model.variables],
        optimizer=state,
        epoch=epoch,
    )
