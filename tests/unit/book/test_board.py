"""Boards, checked by the figures that they make."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.frontend import Notebook
from tfd2l.book.board import ProgressBoard
from tfd2l.common.figures import save_figure, svg
from tfd2l.engine.state import Point


def test_every_n_values_become_one_point_at_their_mean() -> None:
    board = ProgressBoard()
    for x, y in [(0, 1), (1, 3), (2, 5), (3, 9)]:
        board.draw(x, y, "loss", every_n=2)
    assert board.data == {"loss": [Point(0.5, 2.0), Point(2.5, 7.0)]}


def test_every_n_of_zero_draws_nothing_until_the_flush() -> None:
    # The book's Module.plot gives int(1 / 2) for an epoch of one batch and two points an epoch.
    board = ProgressBoard()
    board.draw(0, 1, "loss", every_n=0)
    board.draw(1, 3, "loss", every_n=0)
    assert board.data == {"loss": []}
    board.flush()
    assert board.data == {"loss": [(0.5, 2.0)]}
    for wrong in (-1, 0.5, 2.0):
        with pytest.raises(ValueError, match="every_n must be a whole number of at least 0; got"):
            board.draw(0, 1, "loss", every_n=wrong)  # type: ignore[arg-type]


def test_means_are_weighted_and_flush_draws_the_last_values() -> None:
    board = ProgressBoard()
    board.draw(0, 1, "loss", every_n=3, weight=3)
    board.draw(2, 5, "loss", every_n=3, weight=1)
    assert board.data == {"loss": []}
    board.flush()
    assert board.data == {"loss": [Point(1.0, 2.0)]}
    board.flush()
    assert len(board.data["loss"]) == 1


def test_a_board_draws_one_line_for_each_of_six_curves() -> None:
    board = ProgressBoard(xlabel="epoch", xlim=[0, 3], yscale="log")
    for number in range(6):
        for x in range(3):
            board.draw(x, number + 1, f"curve {number}")
    (axes,) = board.figure().axes
    assert [line.get_label() for line in axes.lines] == [f"curve {n}" for n in range(6)]
    assert len({line.get_color() for line in axes.lines}) == 6
    np.testing.assert_array_equal(axes.lines[2].get_xydata(), [[0, 3], [1, 3], [2, 3]])
    assert (axes.get_xlabel(), axes.get_xlim(), axes.get_yscale()) == ("epoch", (0, 3), "log")
    # Drawing again replaces the lines; it adds none.
    assert len(board.figure().axes[0].lines) == 6


def test_two_boards_and_the_current_figure_are_independent() -> None:
    from matplotlib import pyplot

    pyplot.close("all")
    current = pyplot.figure()
    first, second = ProgressBoard(), ProgressBoard()
    first.draw(0, 1, "first")
    second.draw(0, 2, "second")
    assert [line.get_label() for line in first.figure().axes[0].lines] == ["first"]
    assert [line.get_label() for line in second.figure().axes[0].lines] == ["second"]
    assert pyplot.gcf() is current
    assert not current.axes
    pyplot.close("all")


def test_a_cleared_board_starts_a_new_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    board = ProgressBoard()
    board.draw(0, 1, "first")
    board.draw(0, 1, "waits", every_n=2)
    board.clear()
    board.draw(0, 2, "second")
    board.flush()
    assert board.data == {"second": [Point(0, 2)]}
    assert len(notebook.shown) == 2


def test_a_board_without_points_can_be_drawn() -> None:
    assert not ProgressBoard().figure().axes[0].lines


def test_in_a_notebook_the_board_is_one_picture_updated_in_place(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    notebook = Notebook(monkeypatch)
    board = ProgressBoard()
    for x in range(500):
        board.draw(x, x, "line")
    board.flush()
    assert len(notebook.shown) == 1
    # The first and the last point are shown; the number of updates between depends on the time.
    assert 1 <= notebook.updates < 500
    assert notebook.shown[0]["text/html"].startswith("<img alt=")
    assert notebook.shown[0]["text/plain"] == "Plot against x, from 0 to 499: line from 0 to 499."


def test_a_board_with_display_off_shows_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    board = ProgressBoard(display=False)
    board.draw(0, 0, "line")
    board.flush()
    assert not notebook.shown


def test_a_saved_picture_is_a_complete_png(tmp_path: Path) -> None:
    save_figure(ProgressBoard().figure(), tmp_path / "board.png")
    assert (tmp_path / "board.png").read_bytes().startswith(b"\x89PNG")
    assert [path.name for path in tmp_path.iterdir()] == ["board.png"]


def test_the_same_picture_is_the_same_svg() -> None:
    board = ProgressBoard()
    board.draw(0, 1, "line")
    assert svg(board.figure()) == svg(board.figure())


def test_the_last_points_are_shown_when_the_cell_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    notebook = Notebook(monkeypatch)
    board = ProgressBoard()
    board.draw(0, 1, "line")
    # These two come faster than pictures are made: they are drawn, but not shown yet.
    board.draw(1, 2, "line")
    board.draw(2, 3, "line")
    shown_while_running = notebook.updates
    notebook.end_cell()
    assert (shown_while_running, notebook.updates) == (0, 1)
    notebook.end_cell()
    assert notebook.updates == 1
    assert len(notebook.shown) == 1
