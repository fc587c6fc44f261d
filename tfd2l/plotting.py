"""Curves and pictures: the one place that draws, and the only user of matplotlib.

Matplotlib is imported when something is first drawn. Figures are made without pyplot, so nothing
here reads or changes the global current figure. In a notebook they are shown as SVG; elsewhere
they are only made, to be saved by whoever wants them.
"""

from __future__ import annotations

import io
import math
import os
import sys
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tfd2l.hyperparameters import HyperParameters

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

    def draw(self, x: float, y: float, label: str, every_n: int = 1, weight: float = 1.0) -> None:
        """Add a value to the curve `label`; each `every_n` values become one point, their mean.

        Args:
            x: position, in units of the x axis.
            y: value.
            label: name of the curve; curves appear in the order in which they were first named.
            every_n: how many values make a point, at least 1.
            weight: the value's share in the mean, e.g. the size of its batch.
        """
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
        self._handle = None

    def figure(self) -> Figure:
        """The board as a matplotlib figure: one line for each curve."""
        # A new figure each time: a layout that starts from the last one's would creep.
        given: Axes | None = self.hparams["axes"]
        axes = _new_figure(self.figsize).subplots() if given is None else given
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
        _set(axes, xlabel=self.xlabel or "x", ylabel=self.ylabel, xscale=self.xscale,
             yscale=self.yscale, **limits)  # fmt: skip
        if self.data:
            axes.legend()
        self.axes, self.fig = axes, _figure_of(axes)
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
        started_s = time.monotonic()
        if not self.display or not in_notebook() or (not now and started_s < self._next_show_s):
            return
        from IPython.display import SVG, display

        picture = SVG(data=svg(self.figure()))  # type: ignore[no-untyped-call]
        if self._handle is None:
            self._handle = display(picture, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(picture)
        finished_s = time.monotonic()
        # At most a tenth of the time goes into pictures, however slow the renderer is.
        self._next_show_s = finished_s + max(LIVE_INTERVAL_S, 9 * (finished_s - started_s))


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
) -> Axes:
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

    Raises:
        ValueError: positions and values differ in number.

    Source: D2L 2.4.2.
    """
    positions, values = (None, _curves(X)) if Y is None else (_curves(X), _curves(Y))
    if positions is None:
        positions = [np.arange(len(curve)) for curve in values]
    if len(positions) == 1:
        positions = positions * len(values)
    if [len(x) for x in positions] != [len(y) for y in values]:
        raise ValueError(
            "each curve needs as many positions as values; got "
            f"{[len(x) for x in positions]} positions and {[len(y) for y in values]} values."
        )
    own = axes is None
    if axes is None:
        axes = _new_figure(figsize).subplots()
    for number, (x, y) in enumerate(zip(positions, values, strict=True)):
        axes.plot(x, y, fmts[number % len(fmts)])
    _set(axes, xlabel=xlabel, ylabel=ylabel, xlim=xlim, ylim=ylim, xscale=xscale, yscale=yscale)
    if legend:
        axes.legend(legend)
    axes.grid()
    if own:
        _show_figure(_figure_of(axes))
    return axes


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
    figure = _new_figure((num_cols * scale, num_rows * scale))
    grid = figure.subplots(num_rows, num_cols, squeeze=False).flatten()
    for axes in grid:
        axes.set_axis_off()
    for number, (axes, image) in enumerate(zip(grid, np.asarray(imgs), strict=False)):
        axes.imshow(image, cmap="gray")
        if titles is not None and number < len(titles):
            axes.set_title(titles[number], fontsize="small")
    return figure


def confusion_figure(matrix: np.ndarray[Any, Any], labels: Sequence[str]) -> Figure:
    """A confusion matrix as a picture.

    Args:
        matrix: (q, q) counts; rows are true classes, columns predicted ones.
        labels: the q names.
    """
    figure = _new_figure((7, 6.5))
    axes = figure.subplots()
    # A logarithmic shade: the few mistakes would vanish beside the thousands on the diagonal.
    axes.imshow(np.log1p(matrix), cmap="Blues")
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, labels)
    _set(axes, xlabel="predicted", ylabel="true")
    dark = np.log1p(matrix.max(initial=0)) / 2
    for row, column in np.ndindex(matrix.shape):
        count = int(matrix[row, column])
        color = "white" if np.log1p(count) > dark else "black"
        if count:
            axes.text(column, row, str(count), ha="center", va="center", color=color, size="small")
    return figure


def in_notebook() -> bool:
    """Whether this process is a Jupyter kernel, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def svg(figure: Figure) -> str:
    """The figure as SVG text, the same text for the same picture."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "tfd2l"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a picture; the file is there whole or not at all."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        figure.savefig(draft, format=path.suffix.removeprefix("."), dpi=120)
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _new_figure(figsize: tuple[float, float]) -> Figure:
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, layout="constrained")


def _figure_of(axes: Axes) -> Figure:
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes were removed from their figure; give axes of a figure.")
    return figure


def _show_figure(figure: Figure) -> None:
    if in_notebook():
        from IPython.display import SVG, display

        display(SVG(data=svg(figure)))  # type: ignore[no-untyped-call]


def _set(axes: Axes, **properties: Any) -> None:
    """Set those properties of the axes that were given."""
    axes.set(**{name: value for name, value in properties.items() if value is not None})


def _curves(values: Any) -> list[np.ndarray[Any, Any]]:
    """One array a curve, from one vector or a sequence of vectors."""
    if isinstance(values, list | tuple) and values and np.ndim(values[0]) > 0:
        return [np.asarray(curve) for curve in values]
    array = np.asarray(values)
    return [array] if array.ndim == 1 else list(array)
