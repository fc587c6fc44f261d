"""Shows the progress of a fit: a bar for the running epoch, then its row in a table."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, TextIO

from tfd2l.common.figures import in_notebook
from tfd2l.common.output import lasting
from tfd2l.engine.callback import Callback, StepResults

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

__all__ = ["ConsoleProgress", "progress_shown"]

# Seconds between two states of the bar; epochs that take less time have none.
REFRESH_S = 0.1


class ConsoleProgress(Callback):
    """Shows a progress bar for each epoch on a terminal, and a table row at its end everywhere.

    A terminal or pipe that is closed meanwhile ends the output, not the training.
    """

    def __init__(self, stream: TextIO, refresh_s: float) -> None:
        """Show the progress on `stream`, the bar every `refresh_s` seconds."""
        self._terminal = stream.isatty()
        self._encoding = getattr(stream, "encoding", None) or "utf-8"
        self._stream = lasting(stream)
        self._refresh_s, self._next_s = refresh_s, 0.0
        self._columns: list[str] = []
        self._bar: tuple[Progress, TaskID] | None = None

    def on_epoch_begin(self, trainer: Any) -> None:
        """Wait with the bar until the epoch has lasted a while."""
        self._next_s = time.monotonic() + self._refresh_s

    def on_train_batches_end(self, trainer: Any, results: Sequence[StepResults]) -> None:
        """Advance the bar."""
        if self._terminal and results and time.monotonic() >= self._next_s:
            progress, task = self._bar = self._bar or self._new_bar(trainer)
            loss = f"{results[-1].values[-1, 0]:.4f}"
            progress.update(task, completed=trainer.steps_of_epoch, loss=loss)
            self._next_s = time.monotonic() + self._refresh_s

    def on_epoch_end(self, trainer: Any, row: dict[str, float]) -> None:
        """Replace the bar by the epoch's row of the table."""
        self.close()
        if list(row) != self._columns:
            self._columns = list(row)
            self._print("  ".join(f"{name.replace('_', ' '):>10}" for name in row))
        self._print("  ".join(f"{_number(name, row[name]):>10}" for name in row))

    def on_fit_end(self, trainer: Any) -> None:
        """Say so if the fit ended before its last epoch."""
        if trainer.epochs_left:
            self._print(f"stopped after {trainer.state.epoch} of {trainer.max_epochs} epochs")

    def close(self) -> None:
        """Remove the bar, also when the fit ends within an epoch."""
        if self._bar is not None:
            self._bar[0].stop()
            self._bar = None

    def _new_bar(self, trainer: Any) -> tuple[Progress, TaskID]:
        # Imported for terminals only: it takes a tenth of a second.
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeRemainingColumn,
        )

        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=Console(file=self._stream, highlight=False),
            transient=True,
        )
        progress.start()
        description = f"epoch {trainer.epoch + 1}/{trainer.max_epochs}"
        return progress, progress.add_task(description, total=trainer.num_train_batches, loss="-")

    def _print(self, line: str) -> None:
        # The name of a metric may have characters that the terminal lacks.
        text = line.encode(self._encoding, "backslashreplace").decode(self._encoding)
        self._stream.write(text + "\n")
        self._stream.flush()


@contextlib.contextmanager
def progress_shown(enabled: bool) -> Iterator[list[Callback]]:
    """Inside, the yielded callbacks show the progress of a fit on the standard output.

    There are none if it is not `enabled`, in a notebook, where the model's board shows it, and in a
    fit within a fit.
    """
    global _is_shown
    stream = sys.stdout
    # A process may have been started without a standard output, or have closed it.
    if not enabled or in_notebook() or _is_shown or stream is None or stream.closed:
        yield []
        return
    progress, _is_shown = ConsoleProgress(stream, REFRESH_S), True
    try:
        yield [progress]
    finally:
        _is_shown = False
        progress.close()


_is_shown = False


def _number(name: str, value: float) -> str:
    """The number as text: epochs whole, seconds to hundredths, the rest to four places."""
    if name == "epoch":
        return f"{value:.0f}"
    return f"{value:.2f}" if name == "seconds" else f"{value:.4f}"
