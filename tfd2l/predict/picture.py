"""Draws images beside the probabilities of their likeliest classes."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfd2l.common.commands import UsageError
from tfd2l.common.figures import new_figure, save_figure
from tfd2l.predict.labelled import LabelledImage, printable_name

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["MAX_DRAWN", "prediction_figure", "save_picture"]

# More than these make a page that nobody can read.
MAX_DRAWN = 48
_COLUMNS = 3
_MAX_BARS = 10
_MAX_NAME_LENGTH = 24


def save_picture(answers: Sequence[LabelledImage], path: Path) -> None:
    """Draw the first `MAX_DRAWN` answers to a file; the name's ending says the format.

    Raises:
        UsageError: the file can't be written.
    """
    with warnings.catch_warnings():
        # Matplotlib draws a letter that the font lacks as a box, and warns.
        warnings.filterwarnings("ignore", message="Glyph", category=UserWarning)
        try:
            save_figure(prediction_figure(answers[:MAX_DRAWN]), path)
        except OSError as error:
            raise UsageError(
                f"--picture must be a file that can be written; {str(path)!r}: {error.strerror}. "
                "Name another one."
            ) from error


def prediction_figure(answers: Sequence[LabelledImage]) -> Figure:
    """Draw each image as the model saw it beside its likeliest classes, three to a row.

    Args:
        answers: at least one.
    """
    columns = min(_COLUMNS, len(answers))
    rows = -(-len(answers) // columns)
    figure = new_figure((4.6 * columns, 2.2 * rows))
    grid = figure.subplots(rows, 2 * columns, squeeze=False, width_ratios=[1, 1.2] * columns)
    places = grid.reshape(-1, 2)
    for image, bars in places[len(answers) :]:
        image.set_axis_off()
        bars.set_axis_off()
    for answer, (image, bars) in zip(answers, places, strict=False):
        _draw_image(image, answer)
        _draw_bars(bars, answer)
    return figure


def _draw_image(axes: Axes, answer: LabelledImage) -> None:
    axes.imshow(answer.image.pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    name = printable_name(Path(answer.file).name)
    if len(name) > _MAX_NAME_LENGTH:
        name = f"{name[: _MAX_NAME_LENGTH - 3]}..."
    # A name may have dollar signs, which Matplotlib would take for a formula.
    axes.set_title(name, fontsize="small", parse_math=False)


def _draw_bars(axes: Axes, answer: LabelledImage) -> None:
    scores, labels = answer.scores[:_MAX_BARS], answer.classes[:_MAX_BARS]
    axes.barh(range(len(scores)), scores)
    axes.set_yticks(range(len(scores)), labels, fontsize="x-small", parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.tick_params("x", labelsize="x-small")
    axes.set_title(answer.headline, fontsize="small", parse_math=False)
