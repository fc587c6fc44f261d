"""The errors of a fit."""

from __future__ import annotations

from tfd2l.common.errors import Tfd2lError

__all__ = [
    "CheckpointError", "CompileError", "DisagreementError", "DivergedError", "LoaderError",
    "MirrorError", "PythonStateError", "StepError", "WorkerError",
]  # fmt: skip


class DivergedError(Tfd2lError, ArithmeticError):
    """A training loss or a weight is infinite or NaN."""


class StepError(Tfd2lError, ValueError):
    """A step failed on its batch, e.g. because of the batch's shape."""


class LoaderError(Tfd2lError, ValueError):
    """A batch can't be read, e.g. because a generator behind a `tf.data.Dataset` has failed."""


class CompileError(Tfd2lError, RuntimeError):
    """A step can't be traced, although the trainer was asked to compile it."""


class PythonStateError(Tfd2lError, RuntimeError):
    """A step changes Python state, or reads a counter, which a graph would do only once."""


class CheckpointError(Tfd2lError, ValueError):
    """A checkpoint can't be read, or belongs to another model, optimizer or data."""


class MirrorError(Tfd2lError, ValueError):
    """A model can't be trained on several devices as it is."""


class DisagreementError(Tfd2lError, ValueError):
    """Processes that train together were started with different programs, settings or data."""


class WorkerError(Tfd2lError, RuntimeError):
    """Another process that trains with this one has ended or can't be reached.

    Attributes:
        loss: the sentence that names the process, without the remedy.
    """

    def __init__(self, loss: str) -> None:
        """Add the remedy for a fit of the library."""
        self.loss = loss
        super().__init__(
            f"{loss}, so no worker can make the next step. Start all of them again, each with the "
            "last checkpoint: fit(model, data, checkpoint)."
        )
