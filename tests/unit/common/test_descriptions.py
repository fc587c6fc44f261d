"""The words that describe a figure, from figures of a few numbers."""

from __future__ import annotations

import re

import numpy as np
import pytest
from matplotlib.figure import Figure

import tfd2l as d2l
from tfd2l.book.plotting import image_figure
from tfd2l.common.descriptions import describe
from tfd2l.common.figures import image_tag, output_of


def test_a_plot_is_described_by_its_axes_and_the_ends_of_its_curves() -> None:
    x = np.arange(0, 3, 0.5)
    axes = d2l.plot(x, [3 * x**2, 6 * x], "x", "f(x)", legend=["f(x)", "its slope"])
    expected = "Plot of f(x) against x, from 0 to 2.5: f(x) from 0 to 18.8; its slope from 0 to 15."
    assert describe(axes.figure) == expected


def test_peaks_and_valleys_beyond_the_ends_are_told() -> None:
    wave = d2l.plot([0.0, 1.0, 2.0, 3.0, 4.0], [0.0, 1.0, 0.0, -2.0, 0.0], "x", legend=["wave"])
    expected = "Plot against x, from 0 to 4: wave from 0 to 0, up to 1, down to -2."
    assert describe(wave.figure) == expected
    # Hardly to be seen: a hundredth of the curve's height.
    nearly = d2l.plot([0.0, 1.0, 2.0], [0.0, 1.01, 1.0], "x")
    assert describe(nearly.figure) == "Plot against x, from 0 to 2: the curve from 0 to 1."


def test_a_board_tells_where_training_begins_and_ends() -> None:
    board = d2l.ProgressBoard("epoch")
    for epoch, loss in ((1, 2.4), (2, 0.3), (3, 0.05)):
        board.draw(epoch, loss, "train_loss")
    board.draw(3, 0.9, "val_acc")
    found = describe(board.figure())
    assert found == "Plot against epoch, from 1 to 3: train_loss from 2.4 to 0.05; val_acc at 0.9."


def test_images_are_described_by_their_titles_or_their_sizes() -> None:
    images = np.zeros((3, 28, 30))
    titled = image_figure(images, 1, 3, titles=["bag", "coat\nshirt", "dress"])
    assert describe(titled) == "3 images: bag; coat, shirt; dress."
    # A cell of the grid without an image counts for nothing.
    assert describe(image_figure(images, 2, 2)) == "3 images: 30 by 28 pixels."
    assert describe(image_figure(images[:1], 1, 1)) == "1 image: 30 by 28 pixels."


def test_bands_arrows_bars_and_labels_are_named() -> None:
    figure = Figure()
    left, right = figure.subplots(1, 2)
    left.fill_between([0, 1], [0, 0], [1, 2])
    left.plot([0, 1], [0.5, 1.0], label="$P(x)$")
    left.axhline(0.5)
    left.set(xlabel="tosses", title="Shares")
    right.scatter([0, 1], [0, 1])
    right.text(0, 0, "W1")
    right.text(1, 1, "loss")
    assert describe(figure) == (
        "Shares. Plot against tosses, from 0 to 1: P(x) from 0.5 to 1; a band. "
        "Drawing: points; the labels W1, loss."
    )


def test_an_empty_figure_has_no_description() -> None:
    figure = Figure()
    figure.subplots()
    assert describe(figure) == ""


def test_the_output_of_a_cell_is_an_image_with_alternative_text() -> None:
    axes = d2l.plot([0.0, 1.0], [1.0, 2.0], 'a "b" <c>', "y")
    output = output_of(axes.figure)
    assert (
        output["text/plain"] == 'Plot of y against a "b" <c>, from 0 to 1: the curve from 1 to 2.'
    )
    [alt] = re.findall(r'<img alt="([^"]*)"', output["text/html"])
    assert "a &quot;b&quot; &lt;c&gt;, from" in alt
    assert image_tag(axes.figure) == output["text/html"]


@pytest.mark.parametrize("y", [[], [np.nan, 2.0]])
def test_curves_without_numbers_are_described(y: list[float]) -> None:
    axes = Figure().subplots()
    axes.plot(range(len(y)), y, label="loss")
    axes.set_xlabel("epoch")
    assert "loss" in describe(axes.figure)  # type: ignore[arg-type]
