"""A reader's own images as a data module: a folder with one sub-folder for each class."""

from __future__ import annotations

import hashlib
import os
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import tensorflow as tf
from platformdirs import user_cache_path

from pipelines.basics.numbers import real_number, whole_number
from pipelines.batching import batched
from pipelines.image_folders.decoder import ImageDecoder
from pipelines.image_folders.files import DecodedImages, decode_files, tensor_of
from pipelines.image_folders.listing import ImageFolderError, ImageListing, list_images, some_of
from pipelines.images import check_size, to_float
from pipelines.outputs import ClassOutput
from pipelines.raw_inputs import ImageInput
from tfd2l.book.data_modules.labelled_images import LabelledImages

__all__ = ["ImageFolder"]

# The part of the machine's memory that images may take; more are kept in a file.
MEMORY_SHARE = 0.25


class ImageFolder(LabelledImages):
    """Images in folders: `photos/<label>/1.jpg`, or `photos/train/<label>/` and `photos/val/...`.

    JPEG, PNG, GIF (its first frame), BMP and WebP files are read when the object is made, all of
    them, so that a broken one is found before the training. Each is turned upright as its EXIF
    header says, made grey or RGB, stretched to `resize`, and kept as uint8. Transparent parts
    become white, in a GIF black. An exported graph decodes JPEG, PNG and GIF files in the same way,
    but does not read EXIF headers; clients convert other files to PNG.

    Images that take more than `memory_limit` bytes are kept in a temporary file, which the system
    loads page by page and drops when memory is short. Orders and batches are the same.

    Attributes:
        labels: the names of the classes, as their folders, sorted; the index is the class id.
        train: images (num_train, H, W) or (num_train, H, W, 3) uint8, and class ids int32.
        val: the same for validation, where there may be none.
        skipped: broken files that were passed over, by their paths below the root.
        fingerprint: a hash of the names and contents of all images, wherever the folder lies.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as photos:
        ...     for label, colour in (("blue", (0, 0, 255)), ("red", (255, 0, 0))):
        ...         Path(photos, label).mkdir()
        ...         for number in range(5):
        ...             path = Path(photos, label, f"{number}.png")
        ...             Image.new("RGB", (30, 20), colour).save(path)
        ...     data = d2l.ImageFolder(photos, batch_size=8, resize=(4, 6))
        >>> data.labels, data.num_train, data.num_val
        (('blue', 'red'), 8, 2)
        >>> [(X.shape, y.shape) for X, y in data.train_dataloader()]
        [(TensorShape([8, 4, 6, 3]), TensorShape([8]))]
    """

    root: str | Path
    resize: tuple[int, int]
    channels: int
    val_share: float
    skip_broken: bool

    def __init__(
        self,
        root: str | Path,
        batch_size: int = 64,
        resize: tuple[int, int] = (64, 64),
        channels: int = 3,
        val_share: float = 0.2,
        seed: int = 0,
        skip_broken: bool = False,
        memory_limit: int | None = None,
        cache: str | Path | None = None,
    ) -> None:
        """List, split, read and decode the images.

        Args:
            root: the folder; see `pipelines.image_folders.listing.list_images` for its layouts.
            batch_size: images in a batch.
            resize: (height, width) of the images in a batch, pixels.
            channels: 1 makes all images grey, 3 makes them RGB.
            val_share: share of each class for validation, if there is no folder for it; 0 is none.
            seed: a whole number of at least 0, for the split and for the order of each epoch.
            skip_broken: go on without files that can't be read; `skipped` lists them.
            memory_limit: bytes that the decoded images may take in memory; by default a quarter of
                the memory that the machine or the container has.
            cache: a directory for the temporary file of larger sets; by default $TFD2L_CACHE_DIR,
                or the user's cache directory.

        Raises:
            ValueError: a number is out of range.
            ImageFolderError: no such folder, another layout, fewer than two classes, a class
                without images, or broken files.
            OSError: the temporary file can't be written.
        """
        super().__init__(root)
        batch_size, resize = whole_number("batch_size", batch_size), check_size(resize)
        if channels not in (1, 3) or isinstance(channels, bool):
            raise ValueError(f"channels must be 1 (grey) or 3 (RGB); got {channels!r}.")
        val_share = real_number("val_share", val_share, maximum=1)
        seed = whole_number("seed", seed, minimum=0)
        if memory_limit is None:
            memory_limit = int(MEMORY_SHARE * _memory_bytes())
        self.save_hyperparameters(ignore=["memory_limit", "cache"])
        listing = list_images(root, val_share=val_share, seed=seed)
        self.labels = listing.labels
        for note in listing.notes:
            warnings.warn(note, stacklevel=2)
        self._decoder = ImageDecoder(resize, int(channels))
        number = len(listing.train) + len(listing.val)
        size = number * resize[0] * resize[1] * channels
        self._in_file = size > whole_number("memory_limit", memory_limit, minimum=0, maximum=2**63)
        self._read(listing, _cache_directory(cache) if self._in_file else None)

    def _read(self, listing: ImageListing, directory: Path | None) -> None:
        """Read and decode the images, into a file in a directory or into memory."""
        train = decode_files(listing.train, self._decoder, directory=directory)
        val = decode_files(listing.val, self._decoder, directory=directory)
        self.train, self.val = (train.images, train.labels), (val.images, val.labels)
        self.num_train, self.num_val = len(train.labels), len(val.labels)
        self.fingerprint = _fingerprint(train.hashes | val.hashes)
        self.skipped = sorted(train.broken | val.broken)
        self._report_broken(train.broken | val.broken, listing, train)

    def _report_broken(
        self, broken: dict[str, str], listing: ImageListing, train: DecodedImages
    ) -> None:
        if not broken:
            return
        reasons = [f"{name} ({broken[name]})" for name in self.skipped]
        if not self.skip_broken:
            raise ImageFolderError(
                f"{len(broken)} of the images in {self.root} can't be read: {some_of(reasons)}. "
                "Mend or remove them, or go on without them by skip_broken=True."
            )
        counts = Counter(train.labels.tolist())
        empty = [label for number, label in enumerate(listing.labels) if not counts[number]]
        if empty:
            raise ImageFolderError(
                f"all training images of {some_of(empty)} in {self.root} are broken: "
                f"{some_of(reasons)}. Add good ones, or remove the class."
            )
        warnings.warn(
            f"{len(broken)} broken images are passed over: {some_of(reasons)}.", stacklevel=4
        )

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        """Make batches of (k, H, W, channels) float32 in [0, 1] and (k,) int32 class ids.

        Returns None for validation if there are no images for it.
        """
        images, class_ids = self.train if train else self.val
        if not len(images):
            return None
        loader = batched(
            [tensor_of(images), class_ids],
            self.batch_size,
            shuffle=train,
            seed=self.seed,
            sequence=self.next_sequence() if train else 0,
            prepare=lambda X, y: (self._prepare(X), y),
        )
        if self._in_file and tf.config.list_logical_devices("GPU"):
            # A fit would copy all images to the GPU.
            del loader.indexed_batches
        return loader

    def raw_input(self) -> ImageInput:
        """Images as `train` has them, or encoded files of any size, without further framing."""
        return ImageInput(self._decoder.shape, self._prepare, framing="none", decode=self._decoder)

    def output(self) -> ClassOutput:
        """The classes."""
        return ClassOutput(self.labels)

    def raw_examples(self, limit: int | None = None) -> tuple[dict[str, Any], Any]:
        """`image`, (n, H, W) or (n, H, W, 3) uint8, and class ids, (n,) int32, of the validation.

        Without validation images, those of the training.
        """
        images, class_ids = self.val if self.num_val else self.train
        return {"image": images[:limit]}, class_ids[:limit]

    def describe(self) -> dict[str, Any]:
        """Name, seed, source, sizes, images by class, skipped files and the fingerprint."""
        train, val = (Counter(class_ids.tolist()) for _, class_ids in (self.train, self.val))
        return super().describe() | {
            "source": f"the folder {self.root}",
            "resize": [*self.resize],
            "channels": self.channels,
            "val_share": self.val_share,
            "num_train": {label: train[number] for number, label in enumerate(self.labels)},
            "num_val": {label: val[number] for number, label in enumerate(self.labels)},
            "skipped": self.skipped,
            "fingerprint": self.fingerprint,
        }

    def _prepare(self, images: tf.Tensor) -> tf.Tensor:
        scaled = to_float(images)
        return scaled[..., tf.newaxis] if self.channels == 1 else scaled


def _fingerprint(hashes: dict[str, bytes]) -> str:
    """Hash names and contents, in the order of the names."""
    total = hashlib.sha256()
    for name in sorted(hashes):
        # A name has no null character, and a hash has a fixed length.
        total.update(os.fsencode(name) + b"\0" + hashes[name].ljust(32, b"\0"))
    return total.hexdigest()


def _memory_bytes() -> int:
    """Return the memory of the machine, or of the container if that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        return min(total, int(Path("/sys/fs/cgroup/memory.max").read_text()))
    except (OSError, ValueError):  # no such file, or "max"
        return total


def _cache_directory(cache: str | Path | None) -> Path:
    named = cache if cache is not None else os.environ.get("TFD2L_CACHE_DIR")
    directory = Path(named).expanduser() if named else user_cache_path("tfd2l")
    directory.mkdir(parents=True, exist_ok=True)
    return directory
