"""Fashion-MNIST from tensorflow-datasets (TFDS): an existing copy, or a download.

Both run in a process of their own. So TensorFlow does not start in the caller's, where it may yet
have to be told which devices to use; nothing is printed; and the time is bounded.

    python -m pipelines.tfds copy|download ...
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from pipelines.basics.processes import ProgramError, run
from pipelines.idx import UInt8Array, to_idx
from pipelines.idx_files import FILES, AbsentError, DataError

# Where TFDS, like the authors' own page, gets the files; Debian's are the same ones.
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_REACH_TIMEOUT_S = 10.0
_DOWNLOAD_TIMEOUT_S = 600.0
_COPY_TIMEOUT_S = 120.0
_SPLITS = {"train": ("train", 60_000), "test": ("t10k", 10_000)}


def root() -> Path:
    """Where TFDS keeps its data sets: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def write_copy(data_dir: Path, into: Path) -> None:
    """Write the IDX files of the newest copy of Fashion-MNIST that TFDS has made in `data_dir`.

    Raises:
        AbsentError: there is no copy.
        DataError: it can't be read.
    """
    copies = sorted(path.parent for path in data_dir.glob("fashion_mnist/*/dataset_info.json"))
    if not copies:
        raise AbsentError(f"{data_dir}/fashion_mnist has no data set")
    _work(
        ["copy", str(copies[-1].resolve()), str(into)], _COPY_TIMEOUT_S, f"the copy in {copies[-1]}"
    )


def download(into: Path, url: str = URL) -> None:
    """Have TFDS download the four `.gz` files.

    Raises:
        DataError: the host can't be reached (within about 10 s), TFDS is not installed, or the
            download failed.
    """
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise DataError("the download needs tensorflow-datasets, which is not installed")
    # TFDS tries ten times and has no time limit of its own.
    _work(["reach", url], _REACH_TIMEOUT_S, f"{url} can't be reached")
    _work(["download", url, str(into)], _DOWNLOAD_TIMEOUT_S, f"the download from {url}")


def _work(arguments: list[str], timeout_s: float, what: str) -> None:
    command = [sys.executable, "-m", __name__, *arguments]
    # From the directory above this package: -m finds it there before anything else.
    above = Path(__file__).resolve().parent.parent
    env = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        outcome = run(command, timeout_s=timeout_s, cwd=above, env=env)
    except ProgramError as error:
        raise DataError(f"{what}: {error}") from error
    if outcome.status != 0:
        lines = outcome.output.strip().splitlines() or [f"status {outcome.status}"]
        raise DataError(f"{what}: {lines[-1]}")


def original_order(split: str, n: int) -> list[int]:
    """The original index of each example of a TFDS split, in the order on disk.

    TFDS keys an example of the MNIST family by its index, and sorts the split by the MD5 of the
    split's name followed by the key (its core/hashing.py, shuffle.py and split_builder.py).
    """
    salted = hashlib.md5(split.encode(), usedforsecurity=False)

    def hashed(index: int) -> bytes:
        digest = salted.copy()
        digest.update(str(index).encode())
        return digest.digest()

    return sorted(range(n), key=hashed)


def _convert(copy: Path, into: Path) -> None:
    """Write the IDX files of both splits of a copy, in the original order."""
    for split, (name, n) in _SPLITS.items():
        # The shards in the order of their numbers, one after the other: the order of the keys.
        shards = sorted(str(path) for path in copy.glob(f"fashion_mnist-{split}.tfrecord-*"))
        if not shards:
            raise ValueError(f"no records fashion_mnist-{split}.tfrecord-*; another format?")
        images, labels = _decode(shards)
        if len(labels) != n:
            raise ValueError(f"the split {split} must have {n} examples; got {len(labels)}")
        back = np.argsort(original_order(split, n))
        (into / f"{name}-images-idx3-ubyte").write_bytes(to_idx(images[back]))
        (into / f"{name}-labels-idx1-ubyte").write_bytes(to_idx(labels[back]))


def _decode(shards: list[str]) -> tuple[UInt8Array, UInt8Array]:
    """Images (n, 28, 28) and labels (n,) of the records, in the order on disk."""
    import tensorflow as tf

    features = {
        "image": tf.io.FixedLenFeature((), tf.string),
        "label": tf.io.FixedLenFeature((), tf.int64),
    }

    def decode(record: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        example = tf.io.parse_single_example(record, features)
        image = tf.io.decode_png(example["image"], channels=1)
        return tf.ensure_shape(image, (28, 28, 1)), tf.cast(example["label"], tf.uint8)

    records = tf.data.TFRecordDataset(shards)
    decoded = records.map(decode, num_parallel_calls=tf.data.AUTOTUNE).batch(1000)
    parts = list(decoded.as_numpy_iterator())
    images = np.concatenate([part for part, _ in parts])[..., 0]
    return images, np.concatenate([part for _, part in parts])


def _fetch(url: str, into: Path) -> None:
    """Download with TFDS's own manager, which names the files in its own way."""
    import tensorflow_datasets as tfds

    manager = tfds.download.DownloadManager(download_dir=into / "tfds")
    paths = manager.download({file.name: f"{url}{file.name}.gz" for file in FILES})
    for name, path in paths.items():
        Path(path).rename(into / f"{name}.gz")


def _reach(url: str) -> None:
    """Ask for the file's head; an answer that is no error will do."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310  # the address above
    with urllib.request.urlopen(request, timeout=_REACH_TIMEOUT_S):  # noqa: S310
        pass


def main(arguments: Sequence[str]) -> int:
    """Do one piece of work; the last line of the output is the reason if it can't be done."""
    try:
        match arguments:
            case ["copy", copy, into]:
                _convert(Path(copy), Path(into))
            case ["download", url, into]:
                _fetch(url, Path(into))
            case ["reach", url]:
                _reach(f"{url}{FILES[-1].name}.gz")
            case _:
                raise ValueError(f"unknown work {arguments!r}")
    except Exception as error:  # of the many libraries below; the reader's process words it
        print(f"{type(error).__name__}: {' '.join(str(error).split())[:300]}")  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
