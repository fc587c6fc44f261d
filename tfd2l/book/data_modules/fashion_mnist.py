"""Fashion-MNIST as a data module. D2L 4.2."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines import fashion_mnist
from pipelines.basics.numbers import whole_number
from pipelines.images import check_size, prepare_images
from pipelines.outputs import ClassOutput
from pipelines.raw_inputs import ImageInput
from tfd2l.book.data_modules.labelled_images import LabelledImages

__all__ = ["FashionMNIST"]


class FashionMNIST(LabelledImages):
    """Fashion-MNIST: 60,000 and 10,000 grey images of 28 x 28 pixels in ten classes.

    Attributes:
        train: images (60000, 28, 28) uint8 and labels (60000,) uint8.
        val: images (10000, 28, 28) uint8 and labels (10000,) uint8.
        source: the place that the data came from, in one line.
        sha256: the hash of each file's decompressed bytes, by the file's name.

    Source: D2L 4.2.
    """

    labels = tuple(fashion_mnist.LABELS)
    resize: tuple[int, int]

    def __init__(
        self,
        batch_size: int = 64,
        resize: tuple[int, int] = (28, 28),
        root: str | Path | None = None,
        seed: int = 0,
        arrays: fashion_mnist.Arrays | None = None,
    ) -> None:
        """Find, verify and load the data.

        Args:
            batch_size: images in a batch.
            resize: (height, width) of the images in a batch, pixels.
            root: a directory with the files; None searches all the usual places.
            seed: a whole number of at least 0, from which the order of each epoch derives.
            arrays: data that is loaded already; then nothing is searched.

        Raises:
            ValueError: a number is out of range.
            DataError: the data can't be found, or is not Fashion-MNIST.
        """
        super().__init__(root)
        batch_size, resize = whole_number("batch_size", batch_size), check_size(resize)
        seed = whole_number("seed", seed, minimum=0)
        self.save_hyperparameters(ignore=["arrays"])
        arrays = fashion_mnist.load(root) if arrays is None else arrays
        self.train = (arrays.train_images, arrays.train_labels)
        self.val = (arrays.val_images, arrays.val_labels)
        self.source, self.sha256 = arrays.source, arrays.sha256

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        """Make batches of (k, height, width, 1) float32 in [0, 1] and (k,) int32 in [0, 10)."""
        images, labels = self.train if train else self.val
        return fashion_mnist.dataset(
            images,
            labels,
            self.batch_size,
            resize=self.resize,
            shuffle=train,
            seed=self.seed,
            sequence=self.next_sequence() if train else 0,
        )

    def raw_input(self) -> ImageInput:
        """Grey images of 28 x 28 pixels; a photograph is framed as the data set's images are."""
        shape = tuple(self.train[0].shape[1:])
        return ImageInput(shape, lambda images: prepare_images(images, self.resize), "garment")

    def output(self) -> ClassOutput:
        """The ten classes."""
        return ClassOutput(self.labels)

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """`image`, (n, 28, 28) uint8, and class ids, (n,) uint8, of the validation."""
        images, labels = self.val
        return {"image": images[:limit]}, labels[:limit]

    def describe(self) -> dict[str, Any]:
        """Name, seed, source and hashes of the files."""
        return super().describe() | {"source": self.source, "sha256": self.sha256}
