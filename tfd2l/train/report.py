"""Draws the report of a finished run: curves, confusion matrix, wrong answers, residuals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from pipelines.outputs import ClassOutput, Output
from tfd2l.book.board import ProgressBoard
from tfd2l.common.figures import LINE_STYLES, new_figure, save_figure, set_given

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISCLASSIFIED_SHOWN = 48
# More classes have no room for their names, and then for the counts.
MAX_NAMED, MAX_COUNTED = 60, 25
_MAX_NAME = 24


def confusion_matrix(
    labels: npt.NDArray[Any], predicted: npt.NDArray[Any], num_classes: int
) -> npt.NDArray[np.int64]:
    """Count the pairs of true and predicted classes.

    Args:
        labels: (n,) true class ids.
        predicted: (n,) predicted class ids.
        num_classes: the number of classes, q.

    Returns:
        (q, q) int64; rows are true classes, columns predicted ones.
    """
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def write_curves(directory: Path, board: ProgressBoard) -> None:
    """Draw the board's curves to `curves.png`: losses, and beside them the other metrics."""
    save_figure(curves_figure(board), directory / "curves.png")


def write_report(
    directory: Path,
    output: Output,
    raw: Mapping[str, npt.NDArray[Any]],
    targets: npt.NDArray[Any],
    outputs: npt.NDArray[np.float32],
) -> list[Path]:
    """Draw the pictures that suit the data, and return their files.

    Of classes `confusion.png` and, of images, `misclassified.png`; of numbers `residuals.png`.

    Args:
        directory: the directory of the pictures.
        output: the kind of output.
        raw: an array for each raw input, (n, ...).
        targets: (n,) class ids, or numbers.
        outputs: (n, q) logits, or (n,) numbers.

    Source: D2L 4.4.7.
    """
    if not isinstance(output, ClassOutput):
        save_figure(residuals_figure(targets, outputs), directory / "residuals.png")
        return [directory / "residuals.png"]
    names = [_short(name) for name in output.labels]
    predicted = outputs.argmax(axis=1)
    matrix = confusion_matrix(targets, predicted, len(names))
    save_figure(confusion_figure(matrix, names), directory / "confusion.png")
    if "image" not in raw:
        return [directory / "confusion.png"]
    wrong = np.flatnonzero(predicted != targets)[:MISCLASSIFIED_SHOWN]
    titles = [f"{names[targets[i]]}\n{names[predicted[i]]}" for i in wrong]
    figure = mosaic_figure(raw["image"][wrong], titles, num_cols=8)
    figure.suptitle(f"misclassified: true label above, predicted below (first {len(wrong)})")
    save_figure(figure, directory / "misclassified.png")
    return [directory / "confusion.png", directory / "misclassified.png"]


def curves_figure(board: ProgressBoard) -> Figure:
    """The curves of a board, losses on the left and other metrics on the right."""
    board.flush()
    curves = {label: points for label, points in board.data.items() if points}
    groups = {
        "loss": [label for label in curves if "loss" in label],
        "accuracy": [label for label in curves if "acc" in label],
        "other metrics": [label for label in curves if "loss" not in label and "acc" not in label],
    }
    groups = {title: labels for title, labels in groups.items() if labels} or {"loss": []}
    figure = new_figure((4.5 * len(groups), 3.5))
    for axes, (title, labels) in zip(
        figure.subplots(1, len(groups), squeeze=False)[0], groups.items(), strict=True
    ):
        for number, label in enumerate(labels):
            points = curves[label]
            # A line through a single point would be invisible.
            marker = "o" if len(points) == 1 else ""
            x, y = [point.x for point in points], [point.y for point in points]
            style = LINE_STYLES[number % len(LINE_STYLES)]
            axes.plot(x, y, linestyle=style, marker=marker, label=label)
        set_given(axes, xlabel=board.xlabel, xlim=board.xlim)
        axes.set_title(title)
        axes.grid(visible=True)
        if labels:
            axes.legend()
    return figure


def residuals_figure(targets: npt.NDArray[Any], predictions: npt.NDArray[np.float32]) -> Figure:
    """Predictions against targets, and the distribution of their differences.

    Args:
        targets: (n,) numbers.
        predictions: (n,) numbers.
    """
    figure = new_figure((8, 3.5))
    left, right = figure.subplots(1, 2)
    left.scatter(targets, predictions, s=8, alpha=0.5)
    both = [min(targets.min(), predictions.min()), max(targets.max(), predictions.max())]
    left.plot(both, both, color="black", linewidth=0.8)
    set_given(left, xlabel="true", ylabel="predicted")
    left.set_title("predictions")
    right.hist(predictions - targets, bins=30)
    set_given(right, xlabel="predicted - true", ylabel="examples")
    right.set_title("residuals")
    return figure


def confusion_figure(matrix: np.ndarray[Any, Any], labels: Sequence[str]) -> Figure:
    """A confusion matrix as a picture.

    Args:
        matrix: (q, q) counts; rows are true classes, columns predicted ones.
        labels: the q names.
    """
    number = len(labels)
    side = min(max(4.0, 2.5 + 0.42 * number), 16.0)
    figure = new_figure((side, side * 0.93))
    axes = figure.subplots()
    # A logarithmic shade: the few mistakes would vanish beside the thousands on the diagonal.
    axes.imshow(np.log1p(matrix), cmap="Blues")
    axes.set_title("confusion matrix")
    set_given(axes, xlabel="predicted", ylabel="true")
    if number > MAX_NAMED:
        return figure
    ticks, size = range(number), "medium" if number <= MAX_COUNTED else "x-small"
    axes.set_xticks(
        ticks, labels, rotation=45, ha="right", rotation_mode="anchor", size=size, parse_math=False
    )
    axes.set_yticks(ticks, labels, size=size, parse_math=False)
    dark = np.log1p(matrix.max(initial=0)) / 2
    for row, column in np.ndindex(matrix.shape) if number <= MAX_COUNTED else ():
        count = int(matrix[row, column])
        color = "white" if np.log1p(count) > dark else "black"
        if count:
            axes.text(column, row, str(count), ha="center", va="center", color=color, size="small")
    return figure


def mosaic_figure(images: np.ndarray[Any, Any], titles: Sequence[str], num_cols: int) -> Figure:
    """Images row by row, each below its title, on one pair of axes.

    The axes of an image of its own take most of the time that `image_figure` needs.

    Args:
        images: (n, height, width) or (n, height, width, channels) uint8.
        titles: n titles of up to two lines.
        num_cols: columns, at least 1.
    """
    images = images[..., 0] if images.shape[3:] == (1,) else images
    number, height, width = images.shape[:3]
    # In pixels of the images; two lines of a title need about a third of an image.
    high, wide = height * 3 // 2, width * 9 // 8
    rows = max(-(-number // num_cols), 1)
    canvas = np.full((rows * high, num_cols * wide, *images.shape[3:]), 255, np.uint8)
    figure = new_figure((num_cols * 1.3, rows * 1.3 * high / wide + 0.4))
    axes = figure.subplots()
    axes.set_axis_off()
    for place, (image, title) in enumerate(zip(images, titles, strict=True)):
        top, left = place // num_cols * high + high - height, place % num_cols * wide
        canvas[top : top + height, left : left + width] = image
        place_of = (left + width / 2, top - 1)
        axes.text(*place_of, title, ha="center", va="bottom", size="small", parse_math=False)
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255)
    return figure


def _short(name: str) -> str:
    return name if len(name) <= _MAX_NAME else name[: _MAX_NAME - 1] + "…"
