"""Gets Fashion-MNIST from tensorflow-datasets (TFDS): from an existing copy, or by a download.

TFDS runs in a child process. So TensorFlow does not start in the caller's, which may still have to
choose its devices; nothing is printed; and the time is bounded.

    python -m pipelines.tfds copy|reach|download ...
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from pipelines.basics.processes import ProgramError, run
from pipelines.basics.text import one_line
from pipelines.idx import to_idx
from pipelines.idx_files import FILES, AbsentError, DataError

__all__ = ["URL", "download", "original_order", "root", "write_copy"]

# TFDS, like the authors' own page, gets the files from here; Debian's are the same ones.
URL = "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
_REACH_TIMEOUT_S = 10.0
_DOWNLOAD_TIMEOUT_S = 600.0
_COPY_TIMEOUT_S = 120.0


def root() -> Path:
    """Return the directory of TFDS' data sets: $TFDS_DATA_DIR, or ~/tensorflow_datasets."""
    return Path(os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets").expanduser()


def write_copy(data_dir: Path, into: Path) -> None:
    """Write the newest copy of Fashion-MNIST in TFDS' directory as four IDX files.

    They have the original order, but are not verified.

    Raises:
        AbsentError: there is no copy.
        DataError: the copy can't be read.
    """
    copies = sorted(path.parent for path in data_dir.glob("fashion_mnist/*/dataset_info.json"))
    if not copies:
        raise AbsentError(f"{data_dir}/fashion_mnist has no data set")
    _run_child(
        ["copy", str(copies[-1].resolve()), str(into.resolve())],
        _COPY_TIMEOUT_S,
        f"the copy in {copies[-1]}",
    )


def download(into: Path, url: str = URL) -> None:
    """Download the four `.gz` files with TFDS.

    Raises:
        DataError: TFDS is not installed, the host can't be reached within 10 s, or the download
            fails.
    """
    if importlib.util.find_spec("tensorflow_datasets") is None:
        raise DataError("the download needs tensorflow-datasets, which is not installed")
    # TFDS tries ten times and has no time limit of its own.
    _run_child(["reach", url], _REACH_TIMEOUT_S, f"{url} can't be reached")
    _run_child(["download", url, str(into)], _DOWNLOAD_TIMEOUT_S, f"the download from {url}")


def _run_child(arguments: list[str], timeout_s: float, purpose: str) -> None:
    command = [sys.executable, "-m", __name__, *arguments]
    # In the directory above this package: -m searches there first.
    above = Path(__file__).resolve().parent.parent
    env = {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        outcome = run(command, timeout_s=timeout_s, cwd=above, env=env)
    except ProgramError as error:
        raise DataError(f"{purpose}: {error}") from error
    if outcome.status != 0:
        lines = outcome.output.strip().splitlines() or [f"status {outcome.status}"]
        raise DataError(f"{purpose}: {lines[-1]}")


def main(arguments: Sequence[str]) -> int:
    """Do the child's work; if it fails, the last line of the output is the reason."""
    works: dict[str, Callable[..., None]] = {
        "copy": _convert, "reach": _reach, "download": _download
    }  # fmt: skip
    name, *rest = arguments
    try:
        works[name](*rest)
    except Exception as error:  # of any of the libraries below; the parent turns it into DataError
        print(one_line(f"{type(error).__name__}: {error}", 300))  # noqa: T201  # the parent reads it
        return 1
    return 0


def _convert(copy: str, into: str) -> None:
    """Write both splits as IDX files in the original order."""
    import tensorflow_datasets as tfds

    builder = tfds.builder_from_directory(copy)
    # Shard after shard, so that the examples come in the order of the split.
    one_by_one = tfds.ReadConfig(interleave_cycle_length=1)
    for split, name in (("train", "train"), ("test", "t10k")):
        tensors = builder.as_dataset(split=split, batch_size=-1, read_config=one_by_one)
        images, labels = tensors["image"].numpy()[..., 0], tensors["label"].numpy()
        back = np.argsort(original_order(split, len(labels)))
        Path(into, f"{name}-images-idx3-ubyte").write_bytes(to_idx(images[back]))
        Path(into, f"{name}-labels-idx1-ubyte").write_bytes(to_idx(labels[back].astype(np.uint8)))


def original_order(split: str, n: int) -> list[int]:
    """Return the original index of each of the n examples of a split, in TFDS' order.

    TFDS keys an example of the MNIST family by its index, and sorts the split by the MD5 of the
    split's name followed by the key (its core/hashing.py, shuffle.py and split_builder.py).
    """
    salted = hashlib.md5(split.encode(), usedforsecurity=False)

    def hashed(index: int) -> bytes:
        digest = salted.copy()
        digest.update(str(index).encode())
        return digest.digest()

    return sorted(range(n), key=hashed)


def _reach(url: str) -> None:
    """Request the head of a file; any answer but an error will do."""
    request = urllib.request.Request(f"{url}{FILES[-1].name}.gz", method="HEAD")  # noqa: S310  # TFDS' own
    with urllib.request.urlopen(request, timeout=_REACH_TIMEOUT_S):  # noqa: S310  # the same
        pass


def _download(url: str, into: str) -> None:
    """Download with TFDS' own manager, which names the files in its own way."""
    import tensorflow_datasets as tfds

    manager = tfds.download.DownloadManager(download_dir=Path(into, "tfds"))
    paths = manager.download({file.name: f"{url}{file.name}.gz" for file in FILES})
    for name, path in paths.items():
        Path(path).rename(Path(into, f"{name}.gz"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
