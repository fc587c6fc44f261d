"""The board of curves that grow while a model trains."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from pipelines.basics.numbers import whole_number
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.common.figures import figure_of, in_notebook, new_figure, set_given, svg

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

LINE_STYLES = ("-", "--", "-.", ":")
COLORS = ("C0", "C1", "C2", "C3")
# Seconds between two live pictures; a slow renderer waits longer (see ProgressBoard._show).
LIVE_INTERVAL_S = 0.2


@dataclass(frozen=True)
class Point:
    """A point of a curve."""

    x: float
    y: float


class ProgressBoard(HyperParameters):
    """A board of curves that grow while a model trains.

    In a notebook the picture is updated in place; elsewhere `figure` gives it when it is wanted.
    Source: D2L 3.2.1.
    """

    # For PythonState: what a board changes by itself while a model trains.
    LIBRARY_ATTRIBUTES = frozenset({
        "axes", "data", "fig", "hparams", "xlabel", "xlim", "_handle", "_next_show_s", "_stale",
        "_waiting",
    })  # fmt: skip
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
        """Set up an empty board; `figsize` is in inches, `display=False` never shows it."""
        self.save_hyperparameters()
        # These change later: a trainer names the axis, and each picture is a new figure.
        self.xlabel, self.xlim, self.figsize = xlabel, xlim, figsize
        self.fig, self.axes = fig, axes
        self.data: dict[str, list[Point]] = {}
        self._waiting: defaultdict[str, list[tuple[float, float, float]]] = defaultdict(list)
        self._handle: Any = None
        self._next_show_s = -math.inf
        # Whether points were drawn that the shown picture lacks.
        self._stale = False

    def draw(self, x: float, y: float, label: str, every_n: int = 1, weight: float = 1.0) -> None:
        """Add a value to the curve `label`; each `every_n` values become one point, their mean.

        Args:
            x: position, in units of the x axis.
            y: value.
            label: name of the curve; curves appear in the order in which they were first named.
            every_n: how many values make a point, at least 1.
            weight: the value's share in the mean, e.g. the size of its batch.

        Raises:
            ValueError: `every_n` is below 1.
        """
        every_n = whole_number("every_n", every_n)
        self.data.setdefault(label, [])
        self._waiting[label].append((float(x), float(y), float(weight)))
        if len(self._waiting[label]) >= every_n:
            self._make_point(label)
            self._show()

    def flush(self) -> None:
        """Make points of the values that still wait for company, and show the board as it is."""
        for label, values in self._waiting.items():
            if values:
                self._make_point(label)
        self._show(now=True)

    def clear(self) -> None:
        """Forget all curves; what is drawn next begins a picture of its own."""
        self.data.clear()
        self._waiting.clear()
        self._handle, self._stale = None, False

    def to_json(self) -> dict[str, Any]:
        """The curves, and what waits for company, as JSON values."""
        points = {k: [[p.x, p.y] for p in line] for k, line in self.data.items()}
        return {"points": points, "waiting": dict(self._waiting)}

    def from_json(self, found: dict[str, Any]) -> None:
        """Take over what `to_json` gave."""
        self.clear()
        for label, line in found["points"].items():
            self.data[label] = [Point(x, y) for x, y in line]
        for label, values in found["waiting"].items():
            self._waiting[label] = [(x, y, weight) for x, y, weight in values]

    def figure(self) -> Figure:
        """The board as a matplotlib figure: one line for each curve."""
        # A new figure each time: a layout that starts from the last one's would creep.
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
        """The waiting values' mean x and weighted mean y become a point."""
        x, y, weight = np.array(self._waiting[label]).T
        total = weight.sum()
        mean = float((y * weight).sum() / total) if total else float(y.mean())
        self.data[label].append(Point(float(x.mean()), mean))
        self._waiting[label].clear()

    def _show(self, now: bool = False) -> None:
        """Show or update the picture in a notebook, not more often than drawing can afford."""
        if not self.display or not in_notebook():
            return
        started_s = time.monotonic()
        if not now and started_s < self._next_show_s:
            self._show_after_the_cell()
            return
        from IPython.display import SVG, display

        self._stale = False
        picture = SVG(data=svg(self.figure()))  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(picture, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(picture)
        finished_s = time.monotonic()
        # At most a tenth of the time goes into pictures, however slow the renderer is.
        self._next_show_s = finished_s + max(LIVE_INTERVAL_S, 9 * (finished_s - started_s))

    def _show_after_the_cell(self) -> None:
        """Have the last points shown when the notebook's cell ends, whoever drew them."""
        if self._stale:
            return
        from IPython import get_ipython

        self._stale, events = True, get_ipython().events

        def show_once(_result: object) -> None:
            events.unregister("post_run_cell", show_once)
            if self._stale:
                self._show(now=True)

        events.register("post_run_cell", show_once)
