"""What a finished run shows of its model: curves, confusion matrix, misclassified images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from tfd2l.book.plotting import confusion_figure, mosaic_figure, save_figure
from tfd2l.book.trainer import Trainer

MISCLASSIFIED_SHOWN = 48


def confusion_matrix(
    labels: npt.NDArray[Any], predicted: npt.NDArray[Any], num_classes: int
) -> npt.NDArray[np.int64]:
    """Counts of (true class, predicted class): (num_classes, num_classes)."""
    matrix = np.zeros((num_classes, num_classes), np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    return matrix


def write_curves(directory: Path, trainer: Trainer) -> None:
    """Draw the board's curves to `curves.png`."""
    board = trainer.model.board
    board.figsize = (6, 4)
    save_figure(board.figure(), directory / "curves.png")


def write_classifier_report(
    directory: Path,
    images: npt.NDArray[np.uint8],
    labels: npt.NDArray[np.uint8],
    logits: npt.NDArray[np.float32],
    names: Sequence[str],
) -> None:
    """Draw `confusion.png` and `misclassified.png`, the latter with true and predicted names.

    Args:
        directory: where the pictures go.
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
