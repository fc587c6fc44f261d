"""Draws the report of a finished run: curves, confusion matrix, misclassified images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from tfd2l.book.board import ProgressBoard
from tfd2l.common.figures import new_figure, save_figure, set_given

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MISCLASSIFIED_SHOWN = 48


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
    """Draw the board's curves to `curves.png`."""
    board.figsize = (6, 4)
    save_figure(board.figure(), directory / "curves.png")


def write_classifier_report(
    directory: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32],
    names: Sequence[str],
) -> None:
    """Draw `confusion.png` and `misclassified.png`.

    Args:
        directory: the directory of the pictures.
        images: (n, h, w) uint8.
        labels: (n,) class ids.
        logits: (n, q) float32.
        names: the q names.

    Source: D2L 4.4.7.
    """
    predicted = logits.argmax(axis=1)
    matrix = confusion_matrix(labels, predicted, len(names))
    save_figure(confusion_figure(matrix, names), directory / "confusion.png")
    wrong = np.flatnonzero(predicted != labels)[:MISCLASSIFIED_SHOWN]
    titles = [f"{names[labels[i]]}\n{names[predicted[i]]}" for i in wrong]
    figure = mosaic_figure(images[wrong], titles, num_cols=8)
    figure.suptitle(f"misclassified: true label above, predicted below (first {len(wrong)})")
    save_figure(figure, directory / "misclassified.png")


def confusion_figure(matrix: np.ndarray[Any, Any], labels: Sequence[str]) -> Figure:
    """A confusion matrix as a picture.

    Args:
        matrix: (q, q) counts; rows are true classes, columns predicted ones.
        labels: the q names.
    """
    figure = new_figure((7, 6.5))
    axes = figure.subplots()
    # A logarithmic shade: the few mistakes would vanish beside the thousands on the diagonal.
    axes.imshow(np.log1p(matrix), cmap="Blues")
    ticks = range(len(labels))
    axes.set_xticks(ticks, labels, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(ticks, labels)
    set_given(axes, xlabel="predicted", ylabel="true")
    dark = np.log1p(matrix.max(initial=0)) / 2
    for row, column in np.ndindex(matrix.shape):
        count = int(matrix[row, column])
        color = "white" if np.log1p(count) > dark else "black"
        if count:
            axes.text(column, row, str(count), ha="center", va="center", color=color, size="small")
    return figure


def mosaic_figure(images: np.ndarray[Any, Any], titles: Sequence[str], num_cols: int) -> Figure:
    """Gray images row by row, each below its title, on one pair of axes.

    The axes of an image of its own take most of the time that `image_figure` needs.

    Args:
        images: (n, height, width) uint8.
        titles: n titles of up to two lines.
        num_cols: columns, at least 1.
    """
    number, height, width = images.shape
    # In pixels of the images; two lines of a title need about a third of an image.
    high, wide = height * 3 // 2, width * 9 // 8
    rows = max(-(-number // num_cols), 1)
    canvas = np.full((rows * high, num_cols * wide), 255, np.uint8)
    figure = new_figure((num_cols * 1.3, rows * 1.3 * high / wide + 0.4))
    axes = figure.subplots()
    axes.set_axis_off()
    for place, (image, title) in enumerate(zip(images, titles, strict=True)):
        top, left = place // num_cols * high + high - height, place % num_cols * wide
        canvas[top : top + height, left : left + width] = image
        axes.text(left + width / 2, top - 1, title, ha="center", va="bottom", size="small")
    axes.imshow(canvas, cmap="gray", vmin=0, vmax=255)
    return figure
