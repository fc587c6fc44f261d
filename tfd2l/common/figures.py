"""Matplotlib figures without pyplot: makes them, shows them in a notebook, saves them.

Matplotlib is imported when something is first drawn.
"""

from __future__ import annotations

import html
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from pipelines.basics.files import write_atomically
from tfd2l.common.descriptions import describe

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["LINE_STYLES", "figure_of", "image_tag", "in_notebook", "new_figure", "output_of",
           "save_figure", "set_given", "show_figure", "svg"]  # fmt: skip

# Of the book's curves, taken in turn.
LINE_STYLES = ("-", "--", "-.", ":")


def new_figure(figsize: tuple[float, float]) -> Figure:
    """Make an empty figure; `figsize` is (width, height) in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=figsize, layout="constrained")


def figure_of(axes: Axes) -> Figure:
    """The figure of the axes; ValueError for axes that were removed from theirs."""
    figure = axes.get_figure(root=True)
    if figure is None:
        raise ValueError("these axes were removed from their figure; give axes of a figure.")
    return figure


def set_given(axes: Axes, **properties: Any) -> None:
    """Set those of the axes' properties that are not None."""
    axes.set(**{name: value for name, value in properties.items() if value is not None})


def in_notebook() -> bool:
    """Return True if this process is a Jupyter kernel, which can show pictures."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return shell is not None and hasattr(shell, "kernel")


def show_figure(figure: Figure) -> bool:
    """Show the figure in a notebook; return whether it was shown."""
    if not in_notebook():
        return False
    from IPython.display import display

    display(output_of(figure), raw=True)  # type: ignore[no-untyped-call]
    return True


def output_of(figure: Figure) -> dict[str, str]:
    """The figure as the output of a notebook's cell, by MIME type."""
    return {"text/html": image_tag(figure), "text/plain": describe(figure)}


def image_tag(figure: Figure, **options: Any) -> str:
    """The figure as an HTML image with alternative text; `options` are of matplotlib's `savefig`.

    The output type image/svg+xml has no place for alternative text, and JupyterLab does not show
    it in a notebook that someone else has run.
    """
    # Shorter than base64, which would encode the images inside an SVG twice.
    source = quote(svg(figure, **options), safe=" =:/;,+-.()[]{}|!@$*~'?_")
    return f'<img alt="{html.escape(describe(figure))}" src="data:image/svg+xml,{source}">'


def svg(figure: Figure, **options: Any) -> str:
    """The figure as SVG text, the same text for the same picture."""
    import matplotlib

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "tfd2l"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None}, **options)
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure as a picture, whole or not at all; the name's ending says the format."""
    kind = path.suffix.removeprefix(".")
    write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=120))
