"""A fit's output on a terminal, in a pipe, in a notebook, and on closed streams."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

import tfd2l as d2l
from tests.support.data import Loaders, regression_data
from tests.support.fits import Line, points
from tfd2l.book.callbacks import progress
from tfd2l.book.callbacks.progress import ConsoleProgress


class Stream(io.StringIO):
    """A terminal, or none."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal

    def isatty(self) -> bool:
        return self._terminal


def shown(*, terminal: bool) -> str:
    output = Stream(terminal=terminal)
    bar = ConsoleProgress(output, refresh_s=0)
    data = regression_data(70)
    trainer = d2l.Trainer(2, callbacks=[bar], enable_progress_bar=False)
    trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), data)
    bar.close()
    return output.getvalue()


def test_without_a_terminal_the_output_is_a_header_and_a_line_an_epoch() -> None:
    header, first, second = shown(terminal=False).splitlines()
    assert header.split() == ["epoch", "train", "loss", "val", "loss", "seconds"]
    assert [line.split()[0] for line in (first, second)] == ["1", "2"]
    assert len(first.split()) == 4
    assert len(header) == len(first) == len(second)


@pytest.mark.parametrize("part", ["epoch 1/2", "epoch 2/2", "loss", "3/3"])
def test_on_a_terminal_a_bar_moves_for_each_epoch(part: str) -> None:
    assert part in shown(terminal=True)


def fitted(trainer: d2l.Trainer) -> None:
    trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), regression_data(70))


@pytest.mark.slow
def test_a_fit_prints_a_header_and_a_line_an_epoch(capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(2):
        fitted(d2l.Trainer(2))
        header, *rows = capsys.readouterr().out.splitlines()
        assert header.split()[0] == "epoch"
        assert [row.split()[0] for row in rows] == ["1", "2"]


def test_without_the_bar_a_fit_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    fitted(d2l.Trainer(2, enable_progress_bar=False))
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_the_board_instead(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "in_notebook", lambda: True)
    fitted(d2l.Trainer(2))
    assert capsys.readouterr() == ("", "")


@pytest.mark.slow
def test_an_early_end_and_a_fit_within_a_fit(capsys: pytest.CaptureFixture[str]) -> None:
    class Nested(d2l.Callback):
        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            fitted(d2l.Trainer(3))
            trainer.should_stop = True

    fitted(d2l.Trainer(4, callbacks=[Nested()]))
    _, row, last = capsys.readouterr().out.splitlines()
    assert row.split()[0] == "1"
    assert last == "stopped after 1 of 4 epochs"


@pytest.mark.slow
@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_error_or_ctrl_c_removes_the_bar_and_shows_the_cursor(
    error: type[BaseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Fails(d2l.Callback):
        runs_last = True

        def on_train_batches_end(self, trainer: d2l.Trainer, results: object) -> None:
            # Not before the bar has been shown.
            if "3/3" in output.getvalue():
                raise error

        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            raise error

    output = Stream(terminal=True)
    monkeypatch.setattr(sys, "stdout", output)
    monkeypatch.setattr(progress, "REFRESH_S", 0)
    monkeypatch.setenv("TERM", "xterm")
    with pytest.raises(error):
        fitted(d2l.Trainer(2, callbacks=[Fails()]))
    hidden, shown_again = "\x1b[?25l", "\x1b[?25h"
    assert output.getvalue().rfind(shown_again) > output.getvalue().rfind(hidden) > -1
    fitted(d2l.Trainer(1))
    assert "epoch 1/1" in output.getvalue()


class Ascii(Stream):
    """A pipe whose encoding has no other letters."""

    encoding = "ascii"

    def write(self, text: str) -> int:
        text.encode("ascii")
        return super().write(text)


def test_a_name_that_the_terminal_lacks_the_letters_for(monkeypatch: pytest.MonkeyPatch) -> None:
    class Accented(Line):
        def training_step(self, batch: Any) -> Any:
            self.plot("précision", 1.0, train=True)
            return super().training_step(batch)

    output = Ascii(terminal=False)
    monkeypatch.setattr(sys, "stdout", output)
    d2l.Trainer(1).fit(Accented(), Loaders(points(2, 2)))
    assert "train pr\\xe9cision" in output.getvalue()


@pytest.mark.parametrize("when", ["never there", "closed before", "closed meanwhile", "broken"])
def test_a_standard_output_that_is_gone_does_not_end_the_training(
    when: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken(Stream):
        def write(self, text: str) -> int:
            raise BrokenPipeError(32, "Broken pipe")

    class Close(d2l.Callback):
        def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
            output.close()

    output = (Broken if when == "broken" else Stream)(terminal=False)
    if when == "closed before":
        output.close()
    monkeypatch.setattr(sys, "stdout", None if when == "never there" else output)
    trainer = d2l.Trainer(2, callbacks=[Close()] if when == "closed meanwhile" else [])
    fitted(trainer)
    assert trainer.history["epoch"] == [1, 2]
