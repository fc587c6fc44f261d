"""Describes a matplotlib figure in words: the alternative text of a picture.

A screen reader reads it aloud, and a place that can't show pictures shows it instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

__all__ = ["describe"]

# matplotlib's class names of other things that axes may hold.
SHAPES = {
    "PathCollection": "points",
    "PolyCollection": "a band",
    "FillBetweenPolyCollection": "a band",
    "QuadContourSet": "contour lines",
    "Quiver": "arrows",
    "Rectangle": "bars",
}


def describe(figure: Figure) -> str:
    """Return a sentence for each of the figure's plots, and one for all of its images.

    Example:
        >>> from matplotlib.figure import Figure
        >>> axes = Figure().subplots()
        >>> _ = axes.plot([0, 3], [0.9, 0.25], label="loss")
        >>> _ = axes.set(xlabel="epoch", ylabel="nats")
        >>> describe(axes.figure)
        'Plot of nats against epoch, from 0 to 3: loss from 0.9 to 0.25.'
    """
    grid = [axes for axes in figure.axes if axes.images]
    plots = [_plot(axes) for axes in figure.axes if not axes.images]
    return " ".join(filter(None, [_images(grid) if grid else "", *plots]))


def _images(grid: list[Axes]) -> str:
    """Say how many images there are, with their titles or else their sizes in pixels."""
    titles = [_plain(axes.get_title()) for axes in grid]
    if any(titles):
        details = "; ".join(titles)
    else:
        height, width = np.asarray(grid[0].images[0].get_array()).shape[:2]
        details = f"{width} by {height} pixels"
    return f"{len(grid)} {'image' if len(grid) == 1 else 'images'}: {details}."


def _plot(axes: Axes) -> str:
    """Name the axes, the range of x, and all that is drawn; empty if nothing is."""
    curves = [_curve(line, name) for line, name in _named(axes)]
    kinds = [SHAPES.get(type(part).__name__) for part in (*axes.collections, *axes.patches)]
    shapes = [kind for kind in dict.fromkeys(kinds) if kind]
    texts = dict.fromkeys(_plain(text.get_text()) for text in axes.texts)
    labels = f"the labels {', '.join(filter(None, texts))}" if any(texts) else ""
    drawn = "; ".join(filter(None, [*curves, *shapes, labels]))
    if not drawn:
        return ""
    title, xlabel, ylabel = map(_plain, (axes.get_title(), axes.get_xlabel(), axes.get_ylabel()))
    subject = (
        "Plot" + (f" of {ylabel}" if ylabel else "") + (f" against {xlabel}" if xlabel else "")
    )
    if curves:
        low, high = axes.dataLim.intervalx
        subject += f", from {low:.3g} to {high:.3g}"
    return f"{title + '. ' if title else ''}{subject if curves or xlabel else 'Drawing'}: {drawn}."


def _named(axes: Axes) -> list[tuple[Line2D, str]]:
    """Pair the curves with their names: their own labels, else those of the legend."""
    # A label that begins with an underscore is matplotlib's own.
    labelled = [(line, _plain(str(line.get_label()))) for line in axes.lines]
    own = [(line, label) for line, label in labelled if not label.startswith("_")]
    if own:
        return own
    legend: Any = axes.get_legend()
    names = [_plain(text.get_text()) for text in legend.get_texts()] if legend else []
    names += ["the curve"] * (len(axes.lines) - len(names))
    return list(zip(axes.lines, names, strict=False))


def _curve(line: Line2D, name: str) -> str:
    """Say where the curve begins and ends, and how far it goes beyond both."""
    y = np.asarray(line.get_ydata(), dtype=float)
    if len(y) < 2:
        return " at ".join([name, *(f"{value:.3g}" for value in y)])
    first, last, lowest, highest = y[0], y[-1], np.nanmin(y), np.nanmax(y)
    words = f"{name} from {first:.3g} to {last:.3g}"
    # Differences that one would hardly see in the picture are left out.
    visible = 0.05 * (highest - lowest)
    words += f", up to {highest:.3g}" if highest > max(first, last) + visible else ""
    return words + (f", down to {lowest:.3g}" if lowest < min(first, last) - visible else "")


def _plain(text: str) -> str:
    """Write a label on one line, without the signs of mathematical text."""
    return ", ".join(text.replace("$", "").split("\n"))
