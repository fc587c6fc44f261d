"""The state of a fit beside its variables: one object that checkpoints keep and restore whole.

Its JSON form is checked against these classes when a checkpoint is read; a named tuple becomes a
list there.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Annotated, Any, ClassVar, NamedTuple

import pydantic
import tensorflow as tf

from tfd2l.engine.errors import PythonStateError
from tfd2l.engine.history import History

__all__ = ["Curves", "EpochMetrics", "FitAttribute", "FitState", "Mean", "NumBatches", "Point",
           "Postponed", "Trained", "WaitingValue"]  # fmt: skip

Count = Annotated[int, pydantic.Field(ge=0)]
# Nothing is converted, left out or added.
_EXACT = pydantic.ConfigDict(strict=True, extra="forbid")


class Mean(NamedTuple):
    """A weighted mean: the sum of the weighted values, and the sum of the weights."""

    total: float = 0.0
    weight: float = 0.0

    def plus(self, value: float, weight: float) -> Mean:
        """The mean after one more value that stands for `weight` examples."""
        return Mean(self.total + value * weight, self.weight + weight)

    @property
    def value(self) -> float:
        """The mean itself; NaN before the first value."""
        return self.total / self.weight if self.weight else math.nan


class NumBatches(NamedTuple):
    """Batches in a training and in a validation pass; None while unknown."""

    train: Count | None = None
    val: Count | None = None


class Point(NamedTuple):
    """A point of a curve."""

    x: float
    y: float


class WaitingValue(NamedTuple):
    """A value that becomes a point of a curve together with those that follow."""

    x: float
    y: float
    weight: float


class Postponed(NamedTuple):
    """A plotted value that has no place on the board until the length of the pass is known."""

    label: str
    value: float
    train: bool
    batch_idx: Count
    size: Count


class Trained(NamedTuple):
    """A variable that the fit has trained: its place among the model's, and if it still does."""

    variable: Count
    still: bool


@dataclass
class Curves:
    """The curves of a board by label: their points, and values that are not yet points."""

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = _EXACT
    points: dict[str, list[Point]]
    waiting: dict[str, list[WaitingValue]]


@dataclass
class EpochMetrics:
    """The metrics of the running epoch so far.

    Attributes:
        steps: training steps that the trainer itself has made.
        returned: mean of the losses that the training steps returned.
        plotted: means of what the model plotted, by label.
        postponed: values to draw once the number of steps is known.
        seconds: time spent before the fit was interrupted.
    """

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = _EXACT
    steps: Count
    returned: Mean
    plotted: dict[str, Mean]
    postponed: list[Postponed]
    seconds: float

    @classmethod
    def empty(cls) -> EpochMetrics:
        """The metrics before the first step."""
        return cls(0, Mean(), {}, [], 0.0)

    def add(self, label: str, value: float, size: int) -> None:
        """Add a plotted value to the mean of its label."""
        self.plotted[label] = self.plotted.get(label, Mean()).plus(value, size)

    def row(self, epoch: int) -> dict[str, float]:
        """The epoch's row of the history, without its seconds."""
        row = {"epoch": float(epoch)}
        if self.returned.weight:
            row["train_loss"] = self.returned.value
        return row | {label: mean.value for label, mean in self.plotted.items() if label not in row}


@dataclass
class FitState:
    """The state of a fit, without the variables of model and optimizer.

    Attributes:
        epoch: completed epochs.
        train_batch_idx: training steps since the start of the fit.
        val_batch_idx: validation steps since the start of the fit.
        num_batches: batches in the passes, as far as they are known.
        counted: the same at the start of the fit, by which a checkpoint recognizes the data.
        history: the metrics of the completed epochs.
        so_far: the metrics of the running epoch.
        board: the curves of the model's board.
        untracked: a sentence on state that checkpoints do not save, or None.
        trained: the variables that the optimizer has state for, in its order.
    """

    __pydantic_config__: ClassVar[pydantic.ConfigDict] = _EXACT
    epoch: Count
    train_batch_idx: Count
    val_batch_idx: Count
    num_batches: NumBatches
    counted: NumBatches
    history: History
    so_far: EpochMetrics
    board: Curves
    untracked: Annotated[str | None, pydantic.Field(alias="lost")]
    trained: list[Trained] = field(default_factory=list)

    @property
    def num_train_batches(self) -> int | None:
        """Batches in a training pass; None while unknown."""
        return self.num_batches.train

    @num_train_batches.setter
    def num_train_batches(self, number: int | None) -> None:
        self.num_batches = self.num_batches._replace(train=number)

    @property
    def num_val_batches(self) -> int | None:
        """Batches in a validation pass; None while unknown."""
        return self.num_batches.val

    @num_val_batches.setter
    def num_val_batches(self, number: int | None) -> None:
        self.num_batches = self.num_batches._replace(val=number)

    @classmethod
    def new(cls) -> FitState:
        """The state at the start of a fit."""
        unknown = NumBatches()
        return cls(0, 0, 0, unknown, unknown, History(), EpochMetrics.empty(), Curves({}, {}), None)

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values, with `step`, the training steps of the running epoch."""
        values: dict[str, Any] = _ADAPTER.dump_python(self, by_alias=True)
        return {**values, "step": self.so_far.steps}

    @classmethod
    def from_json(cls, values: Any) -> FitState:
        """The state that `to_json` gave.

        Raises:
            ValueError: the values have another form; one line says where.
        """
        step = values.get("step") if isinstance(values, dict) else None
        given = {k: v for k, v in values.items() if k != "step"} if step is not None else values
        try:
            # Through JSON text, where a list may stand for a tuple.
            found = _ADAPTER.validate_json(json.dumps(given))
        except pydantic.ValidationError as error:
            [first, *_] = error.errors(include_url=False)
            where = ".".join(map(str, first["loc"])) or "the whole"
            raise ValueError(f"{where}: {first['msg']}") from None
        if step != found.so_far.steps:
            raise ValueError(f"step: {step!r}, but the epoch has {found.so_far.steps} steps")
        lengths = {len(column) for column in found.history.values()}
        if lengths - {found.epoch}:
            raise ValueError(f"history: {found.epoch} epochs have columns of {sorted(lengths)}")
        return found

    def restore(self, other: FitState) -> None:
        """Become equal to another state, in place."""
        vars(self).update(vars(other))


_ADAPTER = pydantic.TypeAdapter(FitState)


class FitAttribute:
    """An attribute of a trainer that is stored in one of the objects of its fit."""

    def __init__(self, path: str, *, in_steps: bool = True) -> None:
        """Name the place.

        Args:
            path: from the trainer to the stored attribute, e.g. "state.history".
            in_steps: False refuses a compiled step that reads the attribute: the graph would keep
                the value of the moment when it was traced.
        """
        self._get, self._in_steps = attrgetter(path), in_steps
        owner, _, self._name = path.rpartition(".")
        self._owner = attrgetter(owner)

    def __set_name__(self, cls: type, name: str) -> None:
        self._title = f"{cls.__name__}.{name}"

    def __get__(self, trainer: Any, cls: type) -> Any:
        """The attribute's value.

        Raises:
            PythonStateError: a step that reads it is being traced, which `in_steps=False` refuses.
        """
        if trainer is None:
            return self
        if not self._in_steps and tf.inside_function():
            raise PythonStateError(
                f"it reads {self._title}, which a graph would keep as it is now."
            )
        return self._get(trainer)

    def __set__(self, trainer: Any, value: Any) -> None:
        setattr(self._owner(trainer), self._name, value)
