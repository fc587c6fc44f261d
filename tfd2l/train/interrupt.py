"""Ends a fit between two steps, with a checkpoint, on Ctrl-C, SIGTERM or a closed terminal."""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any

from tfd2l.engine.callback import Callback

if TYPE_CHECKING:
    from tfd2l.book.trainer import Trainer
    from tfd2l.engine.callback import StepResults

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptedRunError(BaseException):
    """A signal ended the run.

    Like KeyboardInterrupt it does not derive from Exception, so that code which handles any error
    of a model does not handle this.

    Attributes:
        signal_number: the signal.
    """

    def __init__(self, signal_number: int, worker: str = "") -> None:
        """Keep the number of the signal; `worker` is the number of another that got it."""
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}{worker}")
        self.signal_number = signal_number


class StopOnSignal(Callback):
    """A context in which a signal ends the fit after the running call; a second one, at once.

    A fit that ended within a step would leave the model a step ahead of the counters. Before the
    first epoch no step is running: a fit that prepares, or skips what a checkpoint has done, ends
    at once. A signal to one of several workers ends the fit of all after the same step.
    """

    def __init__(self, keep: Callable[[Trainer], None]) -> None:
        """Call `keep` to write the checkpoint; signals are handled inside the context only.

        Of several workers, all call it, and all have this callback.
        """
        self._keep = keep
        self._received: int | None = None
        self._raised: int | None = None
        self._at_once = True

    def __enter__(self) -> StopOnSignal:
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._receive)
            for number in SIGNALS
            # nohup ignores SIGHUP, and so does the run then.
            if signal.getsignal(number) is not signal.SIG_IGN
        }
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        if self._raised is not None and not isinstance(error, InterruptedRunError | None):
            # The end came within a call of TensorFlow, which made an error of its own of it.
            raise InterruptedRunError(self._raised) from error

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """From here on let a step end first."""
        self._at_once = False

    def on_train_batches_end(self, trainer: Trainer, results: Sequence[StepResults]) -> None:
        """Write a checkpoint and end the fit, if a signal has come."""
        self._end_if_due(trainer)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Write a checkpoint and end the fit, if a signal has come."""
        self._end_if_due(trainer)

    def end_at_once(self) -> None:
        """From here on let a signal end the run at once, since no step has to end first.

        Raises:
            InterruptedRunError: a signal has come since the end of the last epoch.
        """
        self._at_once = True
        if self._received is not None:
            raise InterruptedRunError(self._received)

    def _end_if_due(self, trainer: Trainer) -> None:
        """End all workers at the same step, if a signal has come to one."""
        received = trainer.placement.gathered(self._received or 0)
        for worker, number in enumerate(received):
            if number:
                self._keep(trainer)
                where = f" at worker {worker}" if len(received) > 1 else ""
                raise InterruptedRunError(number, where)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._at_once or self._received is not None:
            self._raised = number
            raise InterruptedRunError(number)
        self._received = number
