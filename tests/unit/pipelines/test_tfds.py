"""pipelines/tfds.py against what tensorflow-datasets itself does, on this machine alone."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib.util
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import tfds
from pipelines.fashion_mnist import Arrays
from pipelines.idx import UInt8Array, parse_idx, to_idx
from pipelines.idx_files import FILES, AbsentError, DataError, read_directory

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="session")
def contents(fashion: Arrays) -> dict[str, bytes]:
    """The real bytes of the four files."""
    arrays = (
        fashion.train_images, fashion.train_labels, fashion.val_images, fashion.val_labels,
    )  # fmt: skip
    return {file.name: to_idx(array) for file, array in zip(FILES, arrays, strict=True)}


def examples(n: int, seed: int) -> tuple[UInt8Array, UInt8Array]:
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (n, 28, 28), np.uint8)
    return images, random.integers(0, 10, n, np.uint8)


def write_records(path: Path, images: UInt8Array, labels: UInt8Array) -> None:
    """Records as TFDS writes them: a PNG and a label each."""
    import tensorflow as tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for image, label in zip(images, labels, strict=True):
            png = tf.io.encode_png(image[..., np.newaxis]).numpy()
            features = {
                "image": tf.train.Feature(bytes_list=tf.train.BytesList(value=[png])),
                "label": tf.train.Feature(int64_list=tf.train.Int64List(value=[int(label)])),
            }
            example = tf.train.Example(features=tf.train.Features(feature=features))
            writer.write(example.SerializeToString())


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy with 25 and 7 examples, sorted as TFDS sorts them; the former in two shards."""
    from tensorflow_datasets.core import hashing

    monkeypatch.setattr(tfds, "_SPLITS", {"train": ("train", 25), "test": ("t10k", 7)})
    copy = tmp_path / "fashion_mnist" / "3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    for split, n, bounds in (("train", 25, (0, 12, 25)), ("test", 7, (0, 7))):
        images, labels = examples(n, seed=n)
        order = sorted(range(n), key=hashing.Hasher(split).hash_key)
        assert order != list(range(n))
        last = len(bounds) - 1
        for shard in range(last):
            name = f"fashion_mnist-{split}.tfrecord-{shard:05}-of-{last:05}"
            part = order[bounds[shard] : bounds[shard + 1]]
            write_records(copy / name, images[part], labels[part])
    return copy


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_order_is_that_of_tensorflow_datasets_own_shuffler(split: str, tmp_path: Path) -> None:
    from tensorflow_datasets.core import shuffle

    shuffler = shuffle.Shuffler(tmp_path, hash_salt=split, disable_shuffling=False)
    for index in range(2000):
        shuffler.add(index, str(index).encode())
    assert tfds.original_order(split, 2000) == [int(data) for _, data in shuffler]


def test_a_copy_in_shards_is_put_back_into_the_original_order(small: Path, tmp_path: Path) -> None:
    into = tmp_path / "into"
    into.mkdir()
    tfds._convert(small, into)
    for name, n in (("train", 25), ("t10k", 7)):
        images, labels = examples(n, seed=n)
        got = parse_idx((into / f"{name}-images-idx3-ubyte").read_bytes(), name="images")
        assert np.array_equal(got, images)
        got = parse_idx((into / f"{name}-labels-idx1-ubyte").read_bytes(), name="labels")
        assert np.array_equal(got, labels)


@pytest.mark.parametrize("n", [24, 26])
def test_a_copy_with_another_number_of_examples_is_refused(
    small: Path, tmp_path: Path, n: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "_SPLITS", {"train": ("train", n)})
    with pytest.raises(ValueError, match=f"the split train must have {n} examples; got 25"):
        tfds._convert(small, tmp_path)


def test_a_small_copy_is_refused_in_one_line_by_the_process_that_reads_it(
    small: Path, tmp_path: Path
) -> None:
    with pytest.raises(DataError) as caught:
        tfds.write_copy(tmp_path, tmp_path)
    assert str(caught.value) == (
        f"the copy in {small}: ValueError: the split train must have 60000 examples; got 25"
    )


def test_a_copy_in_another_format_is_refused_with_the_reason(tmp_path: Path) -> None:
    copy = tmp_path / "fashion_mnist/3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"no records fashion_mnist-train\.tfrecord-\*; another"):
        tfds.write_copy(tmp_path, tmp_path)


def test_no_copy_is_absent_and_starts_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "run", None)
    with pytest.raises(AbsentError, match="fashion_mnist has no data set"):
        tfds.write_copy(tmp_path, tmp_path)


def test_its_place_is_that_of_the_environment_or_of_tensorflow_datasets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", "~/elsewhere")
    assert tfds.root() == Path.home() / "elsewhere"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert tfds.root() == Path.home() / "tensorflow_datasets"


BUILD = """
import sys
from pathlib import Path
from unittest import mock
import tensorflow_datasets as tfds

def local(self, urls):
    return {key: Path(sys.argv[1], Path(url).stem) for key, url in urls.items()}

with mock.patch.object(tfds.download.DownloadManager, "download_and_extract", local):
    tfds.builder("fashion_mnist", data_dir=sys.argv[2]).download_and_prepare()
"""


@pytest.mark.long
def test_a_real_copy_made_by_tensorflow_datasets_gives_the_original_bytes(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    files, data_dir, into = tmp_path / "files", tmp_path / "data", tmp_path / "into"
    for directory in (files, into):
        directory.mkdir()
    for name, data in contents.items():
        (files / name).write_bytes(data)
    subprocess.run([sys.executable, "-c", BUILD, files, data_dir], check=True, timeout=300)
    tfds.write_copy(data_dir, into)
    # read_directory verifies the SHA-256.
    assert read_directory(into) == contents


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, Path]]:
    """The address of a server on this machine, and the directory it serves."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    directory = tmp_path / "served"
    directory.mkdir()
    handler = functools.partial(Quiet, directory=str(directory))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/", directory
        server.shutdown()
        thread.join()


needs_tfds = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_datasets") is None, reason="no tensorflow-datasets here"
)


@needs_tfds
def test_the_four_files_are_downloaded(
    served: tuple[str, Path], tmp_path: Path, contents: dict[str, bytes]
) -> None:
    url, directory = served
    for name, data in contents.items():
        (directory / f"{name}.gz").write_bytes(gzip.compress(data, compresslevel=1))
    into = tmp_path / "into"
    into.mkdir()
    tfds.download(into, url)
    assert read_directory(into) == contents


@needs_tfds
def test_a_download_that_breaks_off_is_an_error_of_one_line(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    url, directory = served
    (directory / f"{FILES[-1].name}.gz").write_bytes(b"only this one is there")
    with pytest.raises(DataError, match=r"the download from .*DownloadError: .*404") as caught:
        tfds.download(tmp_path, url)
    assert "\n" not in str(caught.value)


@needs_tfds
def test_a_host_that_refuses_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/"
    with pytest.raises(DataError, match=f"{url} can't be reached: .*refused") as caught:
        tfds.download(tmp_path, url)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@needs_tfds
def test_a_host_that_accepts_and_never_answers_takes_bounded_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(tfds, "_REACH_TIMEOUT_S", 1.0)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        with pytest.raises(DataError, match=r"can't be reached: .* took longer than 1 s"):
            tfds.download(tmp_path, url)


def test_without_tensorflow_datasets_the_reason_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs tensorflow-datasets, which is not installed"):
        tfds.download(tmp_path)


def test_the_working_process_is_the_library_s_own_wherever_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/tfds.py").write_text("print('not this one'); raise SystemExit(1)")
    copy = tmp_path / "fashion_mnist/3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match="another format"):
        # A path that is relative to where the caller is.
        tfds.write_copy(Path(os.curdir), tmp_path)
