"""pipelines/tfds.py with copies made by tensorflow-datasets, and downloads from this machine."""

from __future__ import annotations

import functools
import gzip
import http.server
import importlib.util
import os
import shutil
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import tfds
from pipelines.idx import UInt8Array, parse_idx, to_idx
from pipelines.idx_files import FILES, AbsentError, DataError, read_directory
from tests.support.warm import run_warm

needs_tfds = pytest.mark.skipif(
    importlib.util.find_spec("tensorflow_datasets") is None, reason="no tensorflow-datasets here"
)


# Has TFDS make its copy of IDX files on this machine, in two shards a split.
BUILD = """
import sys
from pathlib import Path
from unittest import mock
import tensorflow_datasets as tfds
from tensorflow_datasets.image_classification import mnist

files, data_dir = sys.argv[1:3]
mnist._TRAIN_EXAMPLES, mnist._TEST_EXAMPLES = map(int, sys.argv[3:])

def local(self, urls):
    return {key: Path(files, Path(url).stem) for key, url in urls.items()}

with mock.patch.object(tfds.download.DownloadManager, "download_and_extract", local):
    tfds.builder("fashion_mnist", data_dir=data_dir).download_and_prepare(
        download_config=tfds.download.DownloadConfig(num_shards=2)
    )
"""


def build_copy(files: Path, data_dir: Path, num_train: int, num_test: int) -> None:
    ran = run_warm("-c", BUILD, *map(str, (files, data_dir, num_train, num_test)))
    assert ran.returncode == 0, ran.stderr


def examples(n: int) -> tuple[UInt8Array, UInt8Array]:
    random = np.random.default_rng(n)
    return random.integers(0, 256, (n, 28, 28), np.uint8), random.integers(0, 10, n, np.uint8)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of TFDS with a copy of 50 and 7 examples; not to be changed.

    A shard has 25: TFDS' own default would read 16 of one and then 16 of the other.
    """
    files, data_dir = tmp_path_factory.mktemp("files"), tmp_path_factory.mktemp("tfds")
    for name, n in (("train", 50), ("t10k", 7)):
        images, labels = examples(n)
        (files / f"{name}-images-idx3-ubyte").write_bytes(to_idx(images))
        (files / f"{name}-labels-idx1-ubyte").write_bytes(to_idx(labels))
    build_copy(files, data_dir, 50, 7)
    assert len([*data_dir.glob("fashion_mnist/*/*-train.tfrecord-*")]) == 2
    return data_dir


@pytest.mark.parametrize("split", ["train", "test"])
def test_the_order_is_that_of_tensorflow_datasets_own_shuffler(split: str, tmp_path: Path) -> None:
    from tensorflow_datasets.core import shuffle

    shuffler = shuffle.Shuffler(tmp_path, hash_salt=split, disable_shuffling=False)
    for index in range(2000):
        shuffler.add(index, str(index).encode())
    assert tfds.original_order(split, 2000) == [int(data) for _, data in shuffler]


@pytest.mark.slow
@needs_tfds
def test_a_copy_in_shards_is_put_back_into_the_original_order(small: Path, tmp_path: Path) -> None:
    tfds.write_copy(small, tmp_path)
    for name, n in (("train", 50), ("t10k", 7)):
        images, labels = examples(n)
        got = parse_idx((tmp_path / f"{name}-images-idx3-ubyte").read_bytes(), name="images")
        assert np.array_equal(got, images)
        got = parse_idx((tmp_path / f"{name}-labels-idx1-ubyte").read_bytes(), name="labels")
        assert np.array_equal(got, labels)
    # It is not verified before it is read.
    with pytest.raises(DataError, match=r"must have 47040016 bytes.*shape \(50, 28, 28\)"):
        read_directory(tmp_path)


@pytest.mark.slow
@needs_tfds
def test_a_damaged_copy_is_refused_in_one_line_with_the_reason(small: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(small / "fashion_mnist", tmp_path / "fashion_mnist")
    for records in copy.glob("*/*.tfrecord-00001-*"):
        records.write_bytes(records.read_bytes()[:-100])
    with pytest.raises(DataError, match=r"the copy in .*DataLossError.*truncated") as caught:
        tfds.write_copy(tmp_path, tmp_path)
    assert "\n" not in str(caught.value)


@needs_tfds
def test_a_copy_in_another_format_is_refused_with_the_reason(tmp_path: Path) -> None:
    copy = tmp_path / "fashion_mnist/3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    with pytest.raises(DataError, match=r"the copy in .*Error: "):
        tfds.write_copy(tmp_path, tmp_path)


def test_without_a_copy_no_process_is_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tfds, "run", None)
    with pytest.raises(AbsentError, match="fashion_mnist has no data set"):
        tfds.write_copy(tmp_path, tmp_path)


def test_the_environment_or_tensorflow_datasets_names_the_directory(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TFDS_DATA_DIR", "~/elsewhere")
    assert tfds.root() == Path.home() / "elsewhere"
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert tfds.root() == Path.home() / "tensorflow_datasets"


@pytest.mark.long
def test_a_real_copy_made_by_tensorflow_datasets_gives_the_original_bytes(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    files, data_dir, into = tmp_path / "files", tmp_path / "data", tmp_path / "into"
    for directory in (files, into):
        directory.mkdir()
    for name, data in contents.items():
        (files / name).write_bytes(data)
    build_copy(files, data_dir, 60_000, 10_000)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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


def test_a_download_without_tensorflow_datasets_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DataError, match="needs tensorflow-datasets, which is not installed"):
        tfds.download(tmp_path)


def test_the_child_runs_this_package_whatever_the_current_directory_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/tfds.py").write_text("print('not this one'); raise SystemExit(1)")
    copy = tmp_path / "fashion_mnist/3.0.1"
    copy.mkdir(parents=True)
    (copy / "dataset_info.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"the copy in fashion_mnist/3\.0\.1: "):
        # A path that is relative to where the caller is.
        tfds.write_copy(Path(os.curdir), tmp_path)
