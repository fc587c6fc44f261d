"""The book's way to pyplot, whose global state this file alone touches, when told to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from matplotlib import pyplot as plt

from tfd2l.common.figures import in_notebook

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["plt", "set_axes", "set_figsize", "use_svg_display"]


def use_svg_display() -> None:
    """Have a notebook show pyplot's figures as SVG; elsewhere there is nothing to do.

    Source: D2L 2.4.2.
    """
    if in_notebook():
        from matplotlib_inline.backend_inline import set_matplotlib_formats

        set_matplotlib_formats("svg")  # type: ignore[no-untyped-call]  # IPython has no types here


def set_figsize(figsize: tuple[float, float] = (3.5, 2.5)) -> None:
    """Give pyplot's next figures this width and height, in inches.

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
    """Set names, limits and scales of the axes, a legend if one is given, and a grid.

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
