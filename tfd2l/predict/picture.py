"""Images with a model's answers, and the picture of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.basics.text import one_line
from tfd2l.common.figures import new_figure

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tfd2l.predict.images import Prepared

__all__ = ["LabelledImage", "prediction_figure"]

_COLUMNS = 3
_MAX_BARS = 10
_MAX_NAME_LENGTH = 21


@dataclass(frozen=True)
class LabelledImage:
    """An image that was read, and the model's answer for it.

    Attributes:
        file: the file's name, as the user gave it.
        image: the image in the form that the model took.
        classes: names of all classes, the likeliest first.
        scores: their probabilities.
    """

    file: str
    image: Prepared
    classes: list[str]
    scores: list[float]


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
    for unused in places[len(answers) :].flat:
        unused.set_axis_off()
    for answer, (image, bars) in zip(answers, places, strict=False):
        _draw_image(image, answer)
        _draw_bars(bars, answer)
    return figure


def _draw_image(axes: Axes, answer: LabelledImage) -> None:
    axes.imshow(answer.image.pixels, cmap="gray", vmin=0, vmax=255)
    axes.set_axis_off()
    name = one_line(Path(answer.file).name, _MAX_NAME_LENGTH)
    # A name may have dollar signs, which Matplotlib would take for a formula.
    axes.set_title(name, fontsize="small", parse_math=False)


def _draw_bars(axes: Axes, answer: LabelledImage) -> None:
    scores, labels = answer.scores[:_MAX_BARS], answer.classes[:_MAX_BARS]
    axes.barh(range(len(scores)), scores)
    axes.set_yticks(range(len(scores)), labels, fontsize="x-small", parse_math=False)
    axes.invert_yaxis()
    axes.set_xlim(0, 1)
    axes.tick_params("x", labelsize="x-small")
    answered = answer.image.shows_garment
    title = f"{labels[0]} {scores[0]:.3f}" if answered else "no garment found"
    axes.set_title(title, fontsize="small", parse_math=False)
