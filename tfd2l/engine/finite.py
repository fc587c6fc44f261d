"""Checks that weights and data are finite, which a loss does not always tell.

A graph joins a matrix product with the ReLU after it, and that kernel turns NaN into 0: the loss
stays finite, while the gradients, and then the weights, become NaN.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.batching import IndexedBatches
from tfd2l.engine.errors import DivergedError
from tfd2l.engine.variables import HasVariables, tf_variable

__all__ = ["WeightsCheck", "all_finite", "steps_not_finite"]

# Seconds between two checks, at least: they would take a tenth of the time of the smallest epochs.
INTERVAL_S = 0.25


def all_finite(batch: Any) -> bool:
    """Return True if all floating numbers in a structure of tensors are finite."""
    floats = [part for part in tf.nest.flatten(batch) if part.dtype.is_floating]
    return all(np.isfinite(part.numpy()).all() for part in floats)


def steps_not_finite(data: IndexedBatches) -> frozenset[int]:
    """The steps of a pass in order whose examples have infinite or NaN numbers."""
    steps: set[int] = set()
    for array in data.arrays:
        if array.dtype.is_floating:
            finite = np.isfinite(array.numpy()).reshape(data.num_examples, -1).all(axis=1)
            steps.update((np.flatnonzero(~finite) // data.batch_size).tolist())
    return frozenset(steps)


class WeightsCheck:
    """Checks from time to time that the weights of a model in training are finite.

    Checked are the trainable variables. Others may be NaN for a reason, such as a metric before its
    first value.

    Attributes:
        variables: the variables that the last training step changed; None before the first.
    """

    def __init__(self) -> None:
        """Begin before the first step of a fit."""
        self.variables: list[Any] | None = None
        self._checked: tuple[int, int] | None = None
        self._next_s = 0.0

    def check(self, model: HasVariables, epoch: int, steps: int, *, now: bool) -> None:
        """Check the weights after `steps` steps of an epoch, which counts from 0.

        Args:
            model: the model that is trained.
            epoch: completed epochs.
            steps: training steps since then.
            now: False leaves the check out if the last one was a moment ago.

        Raises:
            DivergedError: a weight is infinite or NaN.
        """
        if self._checked == (epoch, steps) or not (now or time.monotonic() >= self._next_s):
            return
        for variable in map(tf_variable, self.variables or model.trainable_variables):
            if variable.dtype.is_floating and not np.isfinite(variable.numpy()).all():
                raise DivergedError(
                    f"weights of {type(model).__name__} ({variable.name}) became infinite or NaN "
                    f"{_span(self._checked, (epoch, steps))}; try a smaller learning rate, "
                    "gradient_clip_val=1, or look for infinite or NaN numbers in the data."
                )
        self._checked, self._next_s = (epoch, steps), time.monotonic() + INTERVAL_S


def _span(last: tuple[int, int] | None, now: tuple[int, int]) -> str:
    """The time since the last check in words, each given as epochs and steps."""
    if last is None:
        return "before the first step of the fit"
    if now == (last[0], last[1] + 1):
        return f"in {_moment(*now)}"
    return f"between {_moment(*last)} and {_moment(*now)} (run_eagerly=True tells in which step)"


def _moment(epoch: int, steps: int) -> str:
    if steps:
        return f"step {steps} of epoch {epoch + 1}"
    return f"the end of epoch {epoch}" if epoch else "the start of the fit"
