"""A run's output on a terminal, and without one."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.train.progress import ConsoleProgress


def shown(*, terminal: bool) -> str:
    output = io.StringIO()
    progress = ConsoleProgress(Console(file=output, force_terminal=terminal, width=90))
    data = regression_data(70)
    d2l.Trainer(2, callbacks=[progress]).fit(d2l.LinearRegressionScratch(2, lr=0.03), data)
    progress.close()
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
