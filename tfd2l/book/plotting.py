"""Pictures: `plot`, `show_images` and what draws and shows figures.

Matplotlib is imported when something is first drawn. Figures are made without pyplot, so nothing
here reads or changes the global current figure. In a notebook they are shown as SVG; elsewhere
they are only made, to be saved by whoever wants them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tfd2l.common.figures import figure_of, in_notebook, new_figure, set_given, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


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
        X: (m,) positions common to all curves, or a sequence of such, one for each curve. Without
            `Y`, the values themselves, drawn against 0, 1, ...
        Y: (m,) values, or a sequence of such.
        xlabel: name of the x axis.
        ylabel: name of the y axis.
        legend: one name a curve.
        xlim: smallest and largest x shown.
        ylim: smallest and largest y shown.
        xscale: matplotlib's name of the x scale, e.g. 'log'.
        yscale: matplotlib's name of the y scale.
        fmts: matplotlib format strings, taken in turn.
        figsize: width and height in inches.
        axes: draw there instead of into a figure of its own.

    Returns:
        matplotlib's axes; None if the picture was shown, so that a cell ends with the picture.

    Raises:
        ValueError: positions and values differ in number.

    Source: D2L 2.4.2.
    """
    values = _curves(X if Y is None else Y)
    positions = [np.arange(len(curve)) for curve in values] if Y is None else _curves(X)
    if len(positions) == 1:
        positions = positions * len(values)
    if [len(x) for x in positions] != [len(y) for y in values]:
        raise ValueError(
            "each curve needs as many positions as values; got "
            f"{[len(x) for x in positions]} positions and {[len(y) for y in values]} values."
        )
    own = axes is None
    if axes is None:
        axes = new_figure(figsize).subplots()
    for number, (x, y) in enumerate(zip(positions, values, strict=True)):
        axes.plot(x, y, fmts[number % len(fmts)])
    set_given(
        axes, xlabel=xlabel, ylabel=ylabel, xlim=xlim, ylim=ylim, xscale=xscale, yscale=yscale
    )
    if legend:
        axes.legend(legend)
    axes.grid()
    return None if own and _show_figure(figure_of(axes)) else axes


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
            [0, 1], or uint8. A place of the grid without an image stays empty.
        num_rows: rows of the grid, at least 1.
        num_cols: columns of the grid, at least 1.
        titles: one title an image.
        scale: inches an image.

    Returns:
        (num_rows * num_cols,) array of matplotlib axes.

    Source: D2L 4.2.3.
    """
    figure = image_figure(imgs, num_rows, num_cols, titles, scale)
    _show_figure(figure)
    return np.array(figure.axes)


def image_figure(
    imgs: Any,
    num_rows: int,
    num_cols: int,
    titles: Sequence[str] | None = None,
    scale: float = 1.5,
) -> Figure:
    """The figure of `show_images`, not shown."""
    figure = new_figure((num_cols * scale, num_rows * scale))
    grid = figure.subplots(num_rows, num_cols, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, image) in enumerate(zip(grid, np.asarray(imgs), strict=False)):
        axes.imshow(image, cmap="gray")
        if titles is not None and number < len(titles):
            axes.set_title(titles[number], fontsize="small")
    return figure


def _show_figure(figure: Figure) -> bool:
    """Show it where that can be done; whether it was."""
    if not in_notebook():
        return False
    from IPython.display import SVG, display

    display(SVG(data=svg(figure)))  # type: ignore[no-untyped-call]
    return True


def _curves(values: Any) -> list[np.ndarray[Any, Any]]:
    """One array a curve, from one vector or a sequence of vectors."""
    if isinstance(values, list | tuple) and values and np.ndim(values[0]) > 0:
        return [np.asarray(curve) for curve in values]
    array = np.asarray(values)
    return [array] if array.ndim == 1 else list(array)
