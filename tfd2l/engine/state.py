"""Where a fit is, as JSON values in a checkpoint: its form, its making, and going on from it."""

from __future__ import annotations

import json
import warnings
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import pydantic
import tensorflow as tf

from tfd2l.engine.checkpoint import CheckpointError, load_checkpoint
from tfd2l.engine.history import EpochSoFar, History
from tfd2l.engine.loaders import Renewed, as_batch, example_of
from tfd2l.engine.step import spec_of

if TYPE_CHECKING:
    from tfd2l.book.trainer import Trainer

Count = Annotated[int, pydantic.Field(ge=0)]
Pair = tuple[float, float]


class _Part(pydantic.BaseModel):
    """Of exactly this form: nothing is converted, and nothing may be left out or added."""

    model_config = pydantic.ConfigDict(strict=True, extra="forbid")


class SoFar(_Part):
    """Of an epoch that runs, see `EpochSoFar`."""

    steps: Count
    returned: Pair
    plotted: dict[str, Pair]
    postponed: list[tuple[str, float, bool, Count, Count]]
    seconds: float


class Board(_Part):
    """Curves, and values that wait for company."""

    points: dict[str, list[Pair]]
    waiting: dict[str, list[tuple[float, float, float]]]


class FitState(_Part):
    """All that a checkpoint has of a fit beside its variables.

    Attributes:
        epoch: completed epochs.
        step: training steps made since.
        train_batch_idx: training steps made in all.
        val_batch_idx: validation steps made in all.
        num_batches: batches in a training and in a validation pass, as far as they are known.
        counted: the same as they were when the fit began.
        history: a column for each name, with an entry for each completed epoch.
        so_far: what the epoch that runs has given.
        board: the curves.
        lost: what of the fit's state is in no checkpoint; None where all of it is.
    """

    epoch: Count
    step: Count
    train_batch_idx: Count
    val_batch_idx: Count
    num_batches: tuple[Count | None, Count | None]
    counted: tuple[Count | None, Count | None]
    history: dict[str, list[float]]
    so_far: SoFar
    board: Board
    lost: str | None


def check_state(state: Any) -> None:
    """Raise ValueError, in a line, unless `state` has the form of a `FitState`."""
    try:
        # By way of JSON, in which a list may stand where a tuple is meant.
        found = FitState.model_validate_json(json.dumps(state))
    except pydantic.ValidationError as error:
        [first, *_] = error.errors(include_url=False)
        where = ".".join(map(str, first["loc"])) or "the whole"
        raise ValueError(f"{where}: {first['msg']}") from None
    lengths = {len(column) for column in found.history.values()}
    if lengths - {found.epoch}:
        raise ValueError(f"history: {found.epoch} epochs have columns of {sorted(lengths)}")


def state_of(trainer: Trainer) -> dict[str, Any]:
    """Where the fit of `trainer` is: a `FitState` as JSON values."""
    seconds = trainer._seconds() if trainer.steps_of_epoch else 0.0
    so_far = replace(trainer._recorder.so_far, seconds=seconds)
    return {
        "epoch": trainer._completed,
        "step": so_far.steps,
        "train_batch_idx": trainer.train_batch_idx,
        "val_batch_idx": trainer.val_batch_idx,
        "num_batches": [trainer.num_train_batches, trainer.num_val_batches],
        "counted": trainer._counted,
        "history": trainer.history,
        "so_far": so_far.to_json(),
        "board": trainer.model.board.to_json(),
        "lost": trainer._train_step.lost,
    }


def restore(trainer: Trainer, path: Path) -> None:
    """Bring a fit that is about to begin to where the one was that wrote a checkpoint.

    Raises:
        CheckpointError: it can't be read, or is of another model, optimizer or data.
    """
    _make_late_variables(trainer)

    def check(state: Any) -> None:
        check_state(state)
        if state["counted"] != trainer._counted:
            raise ValueError(
                f"counted: {state['counted']} batches to train and validate on; the data given "
                f"has {trainer._counted}. Take the data and the batch size of that fit"
            )

    state = load_checkpoint(path, trainer.model, trainer.optim, check)
    trainer._completed, trainer.history = state["epoch"], History(state["history"])
    trainer.train_batch_idx = state["train_batch_idx"]
    trainer.val_batch_idx = state["val_batch_idx"]
    trainer.num_train_batches, trainer.num_val_batches = state["num_batches"]
    trainer._recorder.so_far = EpochSoFar.from_json(state["so_far"])
    trainer.model.board.from_json(state["board"])
    for loader in (trainer.train_dataloader, trainer.val_dataloader):
        if isinstance(loader, tf.data.Dataset):
            # Each iteration that begins moves the data set on to its next order.
            for _ in range(trainer._completed):
                iter(loader)
    if state["lost"]:
        warnings.warn(
            f"the fit goes on, but may end otherwise than without a break: {state['lost']}",
            stacklevel=3,
        )


def _make_late_variables(trainer: Trainer) -> None:
    """Make what layers make on their first input, where calling the model alone did not do it."""
    model, loader = trainer.model, trainer.train_dataloader
    if model.built and model.variables:
        return
    batch = example_of(loader)
    if batch is None and isinstance(loader, Renewed):
        first = next(iter(loader.again()), None)
        batch = None if first is None else as_batch(first)
    if batch is not None:
        trainer._prepare_variables(batch)
        if not model.built:
            trainer._train_step.trace(spec_of(batch))
    if not (model.built and model.variables):
        raise CheckpointError(
            f"{type(model).__name__} has layers without variables yet, into which a checkpoint "
            "can't be read; call the model on a batch, model(X), before the fit."
        )
