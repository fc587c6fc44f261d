"""The book's functions for pyplot; they alone change its global state. D2L 2.4.2."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from tfd2l.common.descriptions import describe
from tfd2l.common.figures import image_tag, in_notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plt", "set_axes", "set_figsize", "use_svg_display"]


def use_svg_display() -> None:
    """Have a notebook show pyplot's figures as SVG, with alternative text; elsewhere do nothing.

    Source: D2L 2.4.2.
    """
    if in_notebook():
        from IPython import get_ipython
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        # Of no format: the image below takes the place of the backend's.
        set_matplotlib_formats()  # type: ignore[no-untyped-call]  # IPython has no types here
        formatters = get_ipython().display_formatter.formatters
        formatters["text/html"].for_type(Figure, partial(image_tag, bbox_inches="tight"))
        formatters["text/plain"].for_type(
            Figure, lambda figure, printer, _cycle: printer.text(describe(figure))
        )


def set_figsize(figsize: tuple[float, float] = (3.5, 2.5)) -> None:
    """Set the size of pyplot's next figures: width and height in inches.

    Source: D2L 2.4.2.
    """
    use_svg_display()
    plt.rcParams["figure.figsize"] = figsize


def set_axes(
    axes: Axes,
    xlabel: str | None,
    ylabel: str | None,
    xlim: Sequence[float] | None,
    ylim: Sequence[float] | None,
    xscale: str,
    yscale: str,
    legend: Sequence[str] | None,
) -> None:
    """Set labels, limits and scales of the axes, a grid, and a legend if one is given.

    Args:
        axes: matplotlib's axes.
        xlabel: name of the x axis.
        ylabel: name of the y axis.
        xlim: smallest and largest x in the picture; None keeps the limits.
        ylim: smallest and largest y in the picture; None keeps the limits.
        xscale: matplotlib's name of the x scale, e.g. 'log'.
        yscale: matplotlib's name of the y scale.
        legend: a name for each curve.

    Source: D2L 2.4.2.
    """
    axes.set(xlabel=xlabel, ylabel=ylabel, xscale=xscale, yscale=yscale)
    if xlim is not None:
        axes.set_xlim(*xlim)
    if ylim is not None:
        axes.set_ylim(*ylim)
    if legend:
        axes.legend(legend)
    axes.grid()
