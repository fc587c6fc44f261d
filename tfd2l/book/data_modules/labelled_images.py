"""The base of data modules of labelled images: the names of classes, and pictures of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tfd2l.book.data import DataModule
from tfd2l.book.plotting import show_images

__all__ = ["LabelledImages"]


class LabelledImages(DataModule):
    """Images in classes.

    Attributes:
        labels: the names of the classes by class id.
    """

    labels: tuple[str, ...]

    def text_labels(self, indices: Any) -> list[str]:
        """Return the names of class ids.

        Args:
            indices: (n,) integers in [0, len(labels)): a sequence, array or tensor.
        """
        return [self.labels[int(index)] for index in indices]

    def visualize(
        self, batch: Any, nrows: int = 1, ncols: int = 8, labels: Sequence[str] = ()
    ) -> None:
        """Show the first images of a batch in a grid.

        Args:
            batch: images (n, height, width, channels) float32 in [0, 1] and class ids (n,) integer.
            nrows: rows of the grid.
            ncols: columns of the grid.
            labels: titles of the images; by default the names of their classes.

        Source: D2L 4.2.3.
        """
        X, y = batch
        # A notebook's column shows eight inches without scrolling.
        scale = min(1.5, 8 / ncols)
        show_images(X, nrows, ncols, titles=labels or self.text_labels(y), scale=scale)
