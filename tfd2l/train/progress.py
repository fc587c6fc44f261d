"""Shows the progress of a fit: a bar for the running epoch, then its row in a table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO, cast

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from tfd2l.book.trainer import Trainer
from tfd2l.common.output import lasting
from tfd2l.engine.callback import Callback, StepResults


class ConsoleProgress(Callback):
    """Shows a progress bar for each epoch on a terminal, and a table row at its end everywhere.

    A terminal or pipe that is closed meanwhile ends the output, not the training.
    """

    def __init__(self, console: Console | None = None) -> None:
        """Show the progress on `console`, by default on the standard output."""
        self.console = console or Console(highlight=False)
        self.console.file = lasting(cast("TextIO", self.console.file))
        self._columns: list[str] = []
        self._progress: Progress | None = None
        self._task: TaskID | None = None

    def on_epoch_begin(self, trainer: Trainer) -> None:
        """Start the epoch's bar."""
        if not self.console.is_terminal:
            return
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("loss {task.fields[loss]}"),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        self._progress.start()
        self._task = self._progress.add_task(
            f"epoch {trainer.epoch + 1}/{trainer.max_epochs}",
            total=trainer.num_train_batches,
            loss="-",
        )

    def on_train_batches_end(self, trainer: Trainer, results: Sequence[StepResults]) -> None:
        """Advance the bar."""
        if self._progress is not None and self._task is not None and results:
            loss = f"{results[-1].values[-1, 0]:.4f}"
            self._progress.update(self._task, completed=trainer.steps_of_epoch, loss=loss)

    def on_epoch_end(self, trainer: Trainer, row: dict[str, float]) -> None:
        """Replace the bar by the epoch's row of the table."""
        self.close()
        if list(row) != self._columns:
            self._columns = list(row)
            self.console.print("  ".join(f"{name.replace('_', ' '):>10}" for name in row))
        self.console.print("  ".join(f"{_number(name, row[name]):>10}" for name in row))

    def close(self) -> None:
        """Remove the bar, also when the run ends within an epoch."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = None


def _number(name: str, value: float) -> str:
    """The number as text: epochs whole, seconds to hundredths, the rest to four places."""
    if name == "epoch":
        return f"{value:.0f}"
    return f"{value:.2f}" if name == "seconds" else f"{value:.4f}"
