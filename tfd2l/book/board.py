"""The progress board: curves that grow while a model trains. D2L 3.2.1."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.basics.numbers import whole_number
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.common.figures import (
    LINE_STYLES,
    figure_of,
    in_notebook,
    new_figure,
    output_of,
    set_given,
)
from tfd2l.engine.callback import OutsideSteps
from tfd2l.engine.state import Curves, Point, WaitingValue

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["ProgressBoard"]

COLORS = ("C0", "C1", "C2", "C3")
# Seconds between two live pictures, at least; after slow ones it is longer.
LIVE_INTERVAL_S = 0.2


class ProgressBoard(HyperParameters, OutsideSteps):
    """A board of curves that grow while a model trains.

    In a notebook the picture is updated in place; elsewhere `figure()` returns it.

    Attributes:
        data: the points of each curve, by label.
        curves: the same, with the values that are not yet points.

    Example:
        >>> board = d2l.ProgressBoard(xlabel="x")
        >>> for x in range(4):
        ...     board.draw(x, x**2, "square", every_n=2)
        >>> board.data["square"]
        [Point(x=0.5, y=0.5), Point(x=2.5, y=6.5)]

    Source: D2L 3.2.1.
    """

    ylabel: str | None
    ylim: Sequence[float] | None
    xscale: str
    yscale: str
    ls: Sequence[str]
    colors: Sequence[str]
    display: bool

    def __init__(
        self,
        xlabel: str | None = None,
        ylabel: str | None = None,
        xlim: Sequence[float] | None = None,
        ylim: Sequence[float] | None = None,
        xscale: str = "linear",
        yscale: str = "linear",
        ls: Sequence[str] = LINE_STYLES,
        colors: Sequence[str] = COLORS,
        fig: Figure | None = None,
        axes: Axes | None = None,
        figsize: tuple[float, float] = (3.5, 2.5),
        display: bool = True,
    ) -> None:
        """Set up an empty board.

        Args:
            xlabel: name of the x axis.
            ylabel: name of the y axis.
            xlim: smallest and largest x shown.
            ylim: smallest and largest y shown.
            xscale: matplotlib's name of the x scale.
            yscale: matplotlib's name of the y scale.
            ls: line styles of the curves, taken in turn.
            colors: colors of the curves; more curves than these get matplotlib's own.
            fig: the figure of `axes`, as in the book.
            axes: draw there instead of into a new figure.
            figsize: (width, height) in inches.
            display: False never shows the board in a notebook.
        """
        self.save_hyperparameters()
        # These change later: a trainer names the x axis, and each picture is a new figure.
        self.xlabel = xlabel
        self.xlim = xlim
        self.figsize = figsize
        self.fig = fig
        self.axes = axes
        self.curves = Curves({}, {})
        self._handle: Any = None
        self._next_show_s = -math.inf
        # Whether the shown picture lacks points that were drawn since.
        self._stale = False

    @property
    def data(self) -> dict[str, list[Point]]:
        """The points of each curve, by label."""
        return self.curves.points

    def draw(self, x: float, y: float, label: str, every_n: int = 1, weight: float = 1.0) -> None:
        """Add a value to the curve `label`; every `every_n` values become one point, their mean.

        Args:
            x: position, in units of the x axis.
            y: value.
            label: name of the curve; curves appear in the order of their first values.
            every_n: the number of values of a point; with 0, which the book's `Module.plot` gives
                for an epoch of one batch, the value waits for `flush`.
            weight: the value's share in the mean, e.g. the size of its batch.

        Raises:
            ValueError: `every_n` is not a whole number of at least 0.
        """
        every_n = whole_number("every_n", every_n, minimum=0)
        self.data.setdefault(label, [])
        waiting = self.curves.waiting.setdefault(label, [])
        waiting.append(WaitingValue(float(x), float(y), float(weight)))
        if 0 < every_n <= len(waiting):
            self._make_point(label)
            self._show()

    def flush(self) -> None:
        """Make points of the values that still wait, and show the board as it is."""
        for label, values in self.curves.waiting.items():
            if values:
                self._make_point(label)
        self._show(now=True)

    def clear(self) -> None:
        """Remove all curves; the next value begins a new picture."""
        self.curves = Curves({}, {})
        self._handle = None
        self._stale = False

    def figure(self) -> Figure:
        """The board as a matplotlib figure, with one line for each curve."""
        # A new figure each time: a layout that starts from the one before would creep.
        given: Axes | None = self.hparams["axes"]
        axes = new_figure(self.figsize).subplots() if given is None else given
        axes.clear()
        for number, (label, points) in enumerate(self.data.items()):
            axes.plot(
                [point.x for point in points],
                [point.y for point in points],
                linestyle=self.ls[number % len(self.ls)],
                color=self.colors[number % len(self.colors)]
                if len(self.data) <= len(self.colors)
                else f"C{number}",
                label=label,
            )
        limits = {"xlim": self.xlim, "ylim": self.ylim}
        set_given(axes, xlabel=self.xlabel or "x", ylabel=self.ylabel, xscale=self.xscale,
             yscale=self.yscale, **limits)  # fmt: skip
        if self.data:
            axes.legend()
        self.axes, self.fig = axes, figure_of(axes)
        return self.fig

    def _make_point(self, label: str) -> None:
        """Make a point of the mean x and the weighted mean y of the waiting values."""
        x, y, weight = np.array(self.curves.waiting[label]).T
        total = weight.sum()
        mean = float((y * weight).sum() / total) if total else float(y.mean())
        self.data[label].append(Point(float(x.mean()), mean))
        self.curves.waiting[label].clear()

    def _show(self, now: bool = False) -> None:
        """Show or update the picture in a notebook, unless the last one is too recent."""
        if not self.display or not in_notebook():
            return
        started_s = time.monotonic()
        if not now and started_s < self._next_show_s:
            self._show_after_the_cell()
            return
        from IPython.display import display

        self._stale = False
        output = output_of(self.figure())
        if self._handle is None:
            self._handle = display(output, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(output, raw=True)
        finished_s = time.monotonic()
        # Pictures take at most a tenth of the time, however slow the renderer is.
        self._next_show_s = finished_s + max(LIVE_INTERVAL_S, 9 * (finished_s - started_s))

    def _show_after_the_cell(self) -> None:
        """Show the last points when the notebook's cell ends."""
        if self._stale:
            return
        from IPython import get_ipython

        self._stale = True
        events = get_ipython().events

        def show_once(_result: object) -> None:
            events.unregister("post_run_cell", show_once)
            if self._stale:
                self._show(now=True)

        events.register("post_run_cell", show_once)
