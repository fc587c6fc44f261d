"""tfd2l/book/pyplot.py: the book's functions for pyplot."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from matplotlib import pyplot

import tfd2l as d2l


@pytest.fixture(autouse=True)
def settings() -> Iterator[None]:
    with pyplot.rc_context():
        yield
    pyplot.close("all")


def test_plt_is_pyplot() -> None:
    assert d2l.plt is pyplot


def test_set_figsize_sets_the_size_of_the_next_figures() -> None:
    d2l.set_figsize((4.5, 3.5))
    assert pyplot.figure().get_size_inches().tolist() == [4.5, 3.5]


def test_set_axes_sets_labels_limits_and_scales() -> None:
    axes = pyplot.figure().subplots()
    axes.plot([1, 2], [1, 10])
    d2l.set_axes(axes, "x", "f(x)", [0, 3], None, "linear", "log", ["f"])
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("x", "f(x)")
    assert (axes.get_xlim(), axes.get_yscale()) == ((0, 3), "log")
    legend = axes.get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["f"]


def test_outside_of_a_notebook_nothing_is_displayed() -> None:
    d2l.use_svg_display()
    axes = d2l.plot([1, 2, 3], [2, 4, 6], axes=pyplot.gca())
    assert axes is pyplot.gca()
