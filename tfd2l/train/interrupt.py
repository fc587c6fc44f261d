"""Ctrl-C, SIGTERM, a closed terminal: a fit ends between two steps, with a checkpoint."""

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
    """The run was asked to end.

    Like KeyboardInterrupt it is no Exception, so that code which is prepared for any error of a
    model doesn't take it for one.

    Attributes:
        signal_number: by which signal.
    """

    def __init__(self, signal_number: int) -> None:
        """Keep the number."""
        super().__init__(f"interrupted by {signal.Signals(signal_number).name}")
        self.signal_number = signal_number


class StopOnSignal(Callback):
    """While it is entered, a signal ends the fit at the next chance; a second one ends it at once.

    A fit that is cut off within a step would leave the model a step ahead of the counters.
    """

    def __init__(self, keep: Callable[[Trainer], None]) -> None:
        """Nothing happens yet; `keep` writes a checkpoint."""
        self._keep = keep
        self._received: int | None = None
        self._at_once = False

    def __enter__(self) -> StopOnSignal:
        self._before: dict[int, Any] = {
            number: signal.signal(number, self._receive)
            for number in SIGNALS
            # As nohup has it for SIGHUP.
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

    def on_train_batches_end(self, trainer: Trainer, call: Sequence[StepResults]) -> None:
        """End the fit here, if that was asked for."""
        if self._received is not None:
            self._keep(trainer)
            raise InterruptedRunError(self._received)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """End the fit here, if that was asked for; the epoch's checkpoint is written already."""
        if self._received is not None:
            raise InterruptedRunError(self._received)

    def end_at_once(self) -> None:
        """From here on there is no step to wait for, and a signal ends the run where it is.

        Raises:
            InterruptedRunError: one has come since the last epoch's end.
        """
        self._at_once = True
        if self._received is not None:
            raise InterruptedRunError(self._received)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if self._at_once or self._received is not None:
            raise InterruptedRunError(number)
        self._received = number
