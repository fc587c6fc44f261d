"""Finds, verifies and loads Fashion-MNIST.

60,000 and 10,000 grey images of 28 x 28 pixels in ten classes, by Xiao, Rasul and Vollgraf (2017).
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from platformdirs import user_cache_path

from pipelines import tfds
from pipelines.basics.debian import DebianPackageError, unpack_package
from pipelines.idx import UInt8Array, parse_idx
from pipelines.idx_files import FILES, AbsentError, DataError, read_directory, write_directory

__all__ = ["DEBIAN_PACKAGE", "LABELS", "Arrays", "cache_dir", "dataset", "load"]

LABELS = (
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
)
DEBIAN_PACKAGE = "dataset-fashion-mnist"
_PACKAGED_DIR = "usr/share/datasets/fashion-mnist"
DEBIAN_DIR = Path("/", _PACKAGED_DIR)
_NEEDED = (
    f"A data directory has the four files {', '.join(file.name for file in FILES)}, "
    "each as it is or with .gz."
)
# Where torchvision keeps the files below its `root`.
_TORCHVISION_DIR = Path("FashionMNIST/raw")


@dataclass(frozen=True, eq=False)
class Arrays:
    """The verified data, in the original order.

    Attributes:
        train_images: (60000, 28, 28) uint8, read-only.
        train_labels: (60000,) uint8 in 0..9, read-only.
        val_images: (10000, 28, 28) uint8, read-only.
        val_labels: (10000,) uint8 in 0..9, read-only.
        source: the place that the data came from, in one line.
        sha256: the hash of each file's decompressed bytes, by the file's name.
    """

    train_images: UInt8Array
    train_labels: UInt8Array
    val_images: UInt8Array
    val_labels: UInt8Array
    source: str
    sha256: dict[str, str]


def load(
    data_dir: Path | str | None = None,
    *,
    download: bool = True,
    say: Callable[[str], None] | None = None,
) -> Arrays:
    """Find Fashion-MNIST, verify its SHA-256 and load it.

    If a directory is given, no other place is searched. Otherwise these are, in this order: the
    project's cache, the directory of Debian's package, a copy made by tensorflow-datasets, a
    download by tensorflow-datasets, Debian's package fetched without root. Data from anywhere but
    the cache is kept in the cache. TensorFlow is not imported.

    Args:
        data_dir: a directory with the four IDX files, each plain or `.gz`; None means
            $TFD2L_DATA_DIR, if that is set.
        download: use the network if no copy is on this machine.
        say: called with one line before a slow step, when bad files are passed over, and when the
            cache can't be written.

    Raises:
        DataError: the given directory lacks good files, or no source has the data.
    """
    given = data_dir if data_dir is not None else os.environ.get("TFD2L_DATA_DIR") or None
    if given is not None:
        return _load_directory(given)
    say = say if say is not None else _say_nothing
    cache = cache_dir()
    reasons = []
    for source in _sources(cache):
        if source.downloads and not download:
            continue
        if source.notice:
            say(source.notice)
        try:
            contents = source.read()
        except DataError as error:
            reasons.append(f"{source.name}: {error}")
            if not isinstance(error, AbsentError):
                say(f"Fashion-MNIST is not taken from {source.name}: {error}")
            continue
        if source.to_keep:
            _keep(cache, contents, say)
        return _arrays(contents, source.name)
    raise DataError(
        "Fashion-MNIST was not found. Tried:\n"
        + "".join(f"  - {reason}\n" for reason in reasons)
        + f"Install Debian's package {DEBIAN_PACKAGE}, or set TFD2L_DATA_DIR. {_NEEDED}"
    )


def dataset(
    images: UInt8Array,
    labels: UInt8Array,
    batch_size: int,
    *,
    resize: tuple[int, int] | None = None,
    shuffle: bool,
    seed: int = 0,
    sequence: int = 0,
) -> Any:
    """Make a `tf.data.Dataset` of batches for a model.

    It shuffles the examples afresh for each pass, batches them, scales and resizes whole batches
    in parallel, and prefetches.

    Args:
        images: (n, h, w) uint8.
        labels: (n,) uint8.
        batch_size: images in a batch; the last batch of a pass may be smaller.
        resize: (H, W) in pixels; None keeps (h, w).
        shuffle: give every pass a fresh order, as training needs it; see `batched`.
        seed: an integer from which the orders derive.
        sequence: see `batched`.

    Returns:
        A data set of (k, H, W, 1) float32 in [0, 1] and (k,) int32.

    Raises:
        ValueError: a bad `resize`, `batch_size` or `seed`, or images and labels that differ in
            number.

    Example:
        >>> images, labels = np.zeros((10, 28, 28), np.uint8), np.arange(10, dtype=np.uint8)
        >>> for X, y in dataset(images, labels, batch_size=8, resize=(32, 32), shuffle=True):
        ...     print(X.shape, X.dtype.name, y.dtype.name)
        (8, 32, 32, 1) float32 int32
        (2, 32, 32, 1) float32 int32
    """
    from pipelines.batching import batched
    from pipelines.images import check_size, prepare_images

    size = None if resize is None else check_size(resize)
    return batched(
        [images, labels.astype(np.int32)],
        batch_size,
        shuffle=shuffle,
        seed=seed,
        sequence=sequence,
        prepare=lambda X, y: (prepare_images(X, size), y),
    )


def cache_dir() -> Path:
    """Return the cache of verified files, below $TFD2L_CACHE_DIR or the user's cache directory."""
    named = os.environ.get("TFD2L_CACHE_DIR")
    base = _expanded(named) if named else user_cache_path("tfd2l")
    return base / "fashion-mnist"


@dataclass(frozen=True)
class _Source:
    """A place to get the files from; one on the network has a notice to announce it."""

    name: str
    read: Callable[[], dict[str, bytes]]
    to_keep: bool = True
    notice: str = ""

    @property
    def downloads(self) -> bool:
        return bool(self.notice)


def _sources(cache: Path) -> list[_Source]:
    """List the sources in order; each `read` returns verified bytes or raises DataError."""
    tfds_root = tfds.root()
    return [
        _Source(f"the cache {cache}", lambda: read_directory(cache), to_keep=False),
        _Source(f"Debian's package in {DEBIAN_DIR}", lambda: read_directory(DEBIAN_DIR)),
        _Source(
            f"the copy of tensorflow-datasets in {tfds_root}",
            lambda: _read_written_by(lambda into: tfds.write_copy(tfds_root, into)),
        ),
        _Source(
            "a download by tensorflow-datasets",
            lambda: _read_written_by(tfds.download),
            notice="Fashion-MNIST is not on this machine: trying to download 30 MB.",
        ),
        _Source(
            f"Debian's package {DEBIAN_PACKAGE}, fetched",
            lambda: _read_written_by(
                lambda into: unpack_package(DEBIAN_PACKAGE, into), below=_PACKAGED_DIR
            ),
            notice=f"Fetching Debian's package {DEBIAN_PACKAGE}, 30 MB, without installing it.",
        ),
    ]


def _read_written_by(write: Callable[[Path], None], below: str = "") -> dict[str, bytes]:
    """Have `write` fill a temporary directory, and read the files there, or at `below` in it."""
    try:
        with tempfile.TemporaryDirectory(prefix="fashion-mnist-") as directory:
            write(Path(directory))
            return read_directory(Path(directory, below), name=Path())
    except (OSError, DebianPackageError) as error:
        raise DataError(str(error)) from error


def _load_directory(path: Path | str) -> Arrays:
    """Load the files from the given directory, or from torchvision's layout below it."""
    directory = _expanded(path)
    reasons = []
    for place in (directory, directory / _TORCHVISION_DIR):
        try:
            return _arrays(read_directory(place), f"the directory {place}")
        except AbsentError as error:
            reasons.append(str(error))
    raise DataError(f"{reasons[0]}. {_NEEDED}")


def _expanded(path: Path | str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise DataError(f"{path} must name a directory: {error}") from error


def _keep(cache: Path, contents: Mapping[str, bytes], say: Callable[[str], None]) -> None:
    """Fill the cache; if that fails, say so, for the data is there all the same."""
    try:
        write_directory(cache, contents)
    except OSError as error:
        say(f"The cache {cache} can't be written, so the next run must find the data anew: {error}")


def _arrays(contents: Mapping[str, bytes], source: str) -> Arrays:
    train_images, train_labels, val_images, val_labels = (
        parse_idx(contents[file.name], name=file.name) for file in FILES
    )
    return Arrays(
        train_images,
        train_labels,
        val_images,
        val_labels,
        source=source,
        sha256={file.name: file.sha256 for file in FILES},
    )


def _say_nothing(line: str) -> None:
    pass
