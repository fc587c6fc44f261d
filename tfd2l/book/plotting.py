"""Draws curves and images, and shows them in a notebook. D2L 2.4.2, 4.2.3.

The first drawing imports matplotlib. Figures are made without pyplot, so the global current figure
stays as it is. In a notebook they are shown as SVG; elsewhere the caller may save them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfd2l.common.figures import figure_of, new_figure, set_given, show_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


__all__ = ["image_figure", "plot", "show_images"]


def plot(
    X: Any,
    Y: Any = None,
    xlabel: str | None = None,
    ylabel: str | None = None,
    legend: Sequence[str] = (),
    xlim: Sequence[float] | None = None,
    ylim: Sequence[float] | None = None,
    xscale: str = "linear",
    yscale: str = "linear",
    fmts: Sequence[str] = ("-", "m--", "g-.", "r:"),
    figsize: tuple[float, float] = (3.5, 2.5),
    axes: Axes | None = None,
) -> Any:
    """Draw one or several curves and, in a notebook, show them.

    Args:
        X: (m,) positions for all curves, or a sequence of them, one for each curve; any real dtype.
            Without `Y`, the values, drawn against 0, 1, ...
        Y: (m,) values, or a sequence of them; any real dtype.
        xlabel: name of the x axis.
        ylabel: name of the y axis.
        legend: a name for each curve.
        xlim: smallest and largest x in the picture.
        ylim: smallest and largest y in the picture.
        xscale: matplotlib's name of the x scale, e.g. 'log'.
        yscale: matplotlib's name of the y scale.
        fmts: matplotlib format strings, used in turn.
        figsize: width and height in inches.
        axes: axes to draw into; None makes a new figure.

    Returns:
        matplotlib's axes; None if the picture was shown, so that a cell's output is the picture.

    Raises:
        ValueError: positions and values differ in number.

    Example:
        >>> x = np.arange(0, 3, 0.1)
        >>> axes = d2l.plot(x, [x**2, 4 * x - 4], "x", "f(x)", legend=["f(x)", "tangent"])
        >>> [len(line.get_xdata()) for line in axes.lines]
        [30, 30]

    Source: D2L 2.4.2.
    """
    curves = _paired(X, Y)
    own = axes is None
    if axes is None:
        axes = new_figure(figsize).subplots()
    for number, (x, y) in enumerate(curves):
        axes.plot(x, y, fmts[number % len(fmts)])
    set_given(
        axes, xlabel=xlabel, ylabel=ylabel, xlim=xlim, ylim=ylim, xscale=xscale, yscale=yscale
    )
    if legend:
        axes.legend(legend)
    axes.grid()
    return None if own and show_figure(figure_of(axes)) else axes


def show_images(
    imgs: Any,
    num_rows: int,
    num_cols: int,
    titles: Sequence[str] | None = None,
    scale: float = 1.5,
) -> np.ndarray[Any, Any]:
    """Draw images in a grid, row by row, and in a notebook show them.

    Args:
        imgs: (n, height, width), (n, height, width, 1) or (n, height, width, 3); numbers in
            [0, 1], or uint8; or a list of n images, which may differ in size. Cells of the grid
            beyond n stay empty.
        num_rows: rows of the grid, at least 1.
        num_cols: columns of the grid, at least 1.
        titles: a title for each image.
        scale: width and height of an image in inches.

    Returns:
        (num_rows * num_cols,) array of matplotlib axes.

    Example:
        >>> d2l.show_images(np.zeros((3, 28, 28)), num_rows=2, num_cols=2).shape
        (4,)

    Source: D2L 4.2.3.
    """
    figure = image_figure(imgs, num_rows, num_cols, titles, scale)
    show_figure(figure)
    return np.array(figure.axes)


def image_figure(
    imgs: Any,
    num_rows: int,
    num_cols: int,
    titles: Sequence[str] | None = None,
    scale: float = 1.5,
) -> Figure:
    """Draw the figure of `show_images` without showing it."""
    figure = new_figure((num_cols * scale, num_rows * scale))
    grid = figure.subplots(num_rows, num_cols, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
    images = imgs if isinstance(imgs, list | tuple) else np.asarray(imgs)
    for number, (axes, image) in enumerate(zip(grid, images, strict=False)):
        axes.imshow(np.asarray(image), cmap="gray")
        if titles is not None and number < len(titles):
            axes.set_title(titles[number], fontsize="small")
    return figure


def _paired(X: Any, Y: Any) -> list[tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]:
    """Return positions and values of each curve."""
    values = _curves(X if Y is None else Y)
    positions = [np.arange(len(curve)) for curve in values] if Y is None else _curves(X)
    if len(positions) == 1:
        positions = positions * len(values)
    if [len(x) for x in positions] != [len(y) for y in values]:
        raise ValueError(
            "each curve needs as many positions as values; got "
            f"{[len(x) for x in positions]} positions and {[len(y) for y in values]} values."
        )
    return list(zip(positions, values, strict=True))


def _curves(values: Any) -> list[np.ndarray[Any, Any]]:
    """Return an array for each curve, from one vector or a sequence of vectors."""
    if isinstance(values, list | tuple) and values and np.ndim(values[0]) > 0:
        return [np.asarray(curve) for curve in values]
    array = np.asarray(values)
    return [array] if array.ndim == 1 else list(array)
