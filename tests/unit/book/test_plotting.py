"""tfd2l/book/plotting.py: curves and images, read back from the figures."""

from __future__ import annotations

import numpy as np
import pytest

from tfd2l.book import plotting
from tfd2l.book.plotting import plot, show_images
from tfd2l.common.figures import new_figure
from tfd2l.train.report import confusion_figure


def test_plot_accepts_one_curve_several_or_values_alone() -> None:
    x = np.arange(3.0)
    (line,) = plot(x, x**2, "x", "y", xlim=[0, 2]).lines
    np.testing.assert_array_equal(line.get_xydata(), [[0, 0], [1, 1], [2, 4]])
    axes = plot(x, [x, -x], legend=["up", "down"])
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["up", "down"]
    np.testing.assert_array_equal(plot([5.0, 6.0]).lines[0].get_xydata(), [[0, 5], [1, 6]])
    assert len(plot([x, x[:2]], [x, x[:2]]).lines) == 2


def test_plot_refuses_positions_and_values_of_different_number() -> None:
    with pytest.raises(ValueError, match=r"got \[3\] positions and \[2\] values"):
        plot(np.arange(3), np.arange(2))


@pytest.mark.parametrize("shape", [(2, 5, 4), (2, 5, 4, 1), (2, 5, 4, 3), (1, 5, 4)])
def test_images_are_shown_in_a_grid_with_their_titles(shape: tuple[int, ...]) -> None:
    titles = ["one", "two"][: shape[0]]
    axes = show_images(np.zeros(shape, np.uint8), 1, 3, titles=titles)
    assert [ax.get_title() for ax in axes] == titles + [""] * (3 - shape[0])
    assert [len(ax.images) for ax in axes] == [1] * shape[0] + [0] * (3 - shape[0])


def test_images_in_a_list_may_differ_in_size() -> None:
    axes = show_images([np.zeros((2, 3)), np.ones((5, 4, 3), np.float32)], 1, 2)
    assert [ax.images[0].get_size() for ax in axes] == [(2, 3), (5, 4)]


def test_the_confusion_picture_writes_each_count_in_its_place() -> None:
    (axes,) = confusion_figure(np.array([[5, 1], [0, 7]]), ["bag", "coat"]).axes
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "5", (1, 0): "1", (1, 1): "7"}


def test_in_a_notebook_the_picture_is_the_only_output_of_a_cell(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shown: list[object] = []

    def show(figure: object) -> bool:
        shown.append(figure)
        return True

    monkeypatch.setattr(plotting, "show_figure", show)
    assert plot([1.0, 2.0]) is None
    assert len(shown) == 1
    axes = new_figure((1, 1)).subplots()
    assert plot([1.0, 2.0], axes=axes) is axes
    assert len(shown) == 1
