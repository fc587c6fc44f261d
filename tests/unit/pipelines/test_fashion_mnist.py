"""pipelines/fashion_mnist.py: the real data, every source, and a cache that survives accidents."""

from __future__ import annotations

import gzip
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from pipelines import fashion_mnist, tfds
from pipelines.basics.debian import DebianPackageError
from pipelines.basics.files import is_temporary
from pipelines.fashion_mnist import LABELS, Arrays, cache_dir, load
from pipelines.idx_files import FILES, DataError, IdxFile
from tests.support import ROOT

TRAIN_IMAGES = FILES[0].name


@pytest.fixture(scope="session")
def files(contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the four decompressed files; not to be changed."""
    directory = tmp_path_factory.mktemp("files")
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    return directory


@pytest.fixture(autouse=True)
def nothing_here(fashion: Arrays, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every place is empty, and the network is away, until a test puts something there."""
    monkeypatch.delenv("TFD2L_DATA_DIR", raising=False)
    monkeypatch.setenv("TFD2L_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "tfds"))
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", tmp_path / "debian")

    def no_download(into: Path) -> None:
        raise DataError("the host is away")

    def no_package(name: str, into: Path) -> None:
        raise DebianPackageError("the mirror is away")

    monkeypatch.setattr(tfds, "download", no_download)
    monkeypatch.setattr(fashion_mnist, "unpack_package", no_package)


def copy_files(files: Path, into: Path) -> Path:
    into.mkdir(parents=True)
    for file in FILES:
        shutil.copy(files / file.name, into)
    return into


def same(one: Arrays, other: Arrays) -> bool:
    names = ("train_images", "train_labels", "val_images", "val_labels")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_the_arrays_have_the_documented_shapes_and_types(fashion: Arrays) -> None:
    assert fashion.train_images.shape == (60000, 28, 28)
    assert fashion.train_labels.shape == (60000,)
    assert fashion.val_images.shape == (10000, 28, 28)
    assert fashion.val_labels.shape == (10000,)
    for array in (
        fashion.train_images,
        fashion.train_labels,
        fashion.val_images,
        fashion.val_labels,
    ):
        assert array.dtype == np.uint8
        assert not array.flags.writeable
    assert fashion.sha256 == {file.name: file.sha256 for file in FILES}


@pytest.mark.slow
def test_the_data_are_fashion_mnist_as_it_was_published(fashion: Arrays) -> None:
    assert np.bincount(fashion.train_labels).tolist() == [6000] * 10
    assert np.bincount(fashion.val_labels).tolist() == [1000] * 10
    # The first picture is an ankle boot, as everywhere; mean and deviation as commonly quoted.
    assert LABELS[fashion.train_labels[0]] == "ankle boot"
    assert fashion.train_images.mean() / 255 == pytest.approx(0.2860, abs=5e-5)
    assert fashion.train_images.std() / 255 == pytest.approx(0.3530, abs=5e-5)


def test_there_are_ten_labels_in_the_book_s_order_and_words() -> None:
    expected = "t-shirt trouser pullover dress coat sandal shirt sneaker bag ankle boot"
    assert len(LABELS) == 10
    assert " ".join(LABELS) == expected


def test_a_given_directory_is_used_and_the_cache_stays_empty(fashion: Arrays, files: Path) -> None:
    got = load(files)
    assert same(got, fashion)
    assert got.source == f"the directory {files}"
    assert not cache_dir().exists()


@pytest.mark.slow
def test_the_files_may_be_gz_and_the_directory_a_string(
    fashion: Arrays, files: Path, tmp_path: Path
) -> None:
    for file in FILES:
        packed = gzip.compress((files / file.name).read_bytes(), compresslevel=1)
        (tmp_path / f"{file.name}.gz").write_bytes(packed)
    assert same(load(str(tmp_path)), fashion)


def test_torchvision_s_layout_is_found_below_the_directory(
    fashion: Arrays, files: Path, tmp_path: Path
) -> None:
    raw = copy_files(files, tmp_path / "root" / "FashionMNIST" / "raw")
    got = load(tmp_path / "root")
    assert same(got, fashion)
    assert got.source == f"the directory {raw}"


def test_the_environment_names_the_directory_and_the_argument_wins(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFD2L_DATA_DIR", str(files))
    assert load().source == f"the directory {files}"
    with pytest.raises(DataError, match="there is no directory .*elsewhere"):
        load(tmp_path / "elsewhere")


def test_an_empty_variable_counts_as_unset(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy_files(files, tmp_path / "debian")
    monkeypatch.setenv("TFD2L_DATA_DIR", "")
    assert load().source.startswith("Debian's package in ")


def test_a_given_directory_with_bad_files_is_an_error_though_other_sources_are_good(
    files: Path, tmp_path: Path
) -> None:
    copy_files(files, tmp_path / "debian")
    given = copy_files(files, tmp_path / "given")
    (given / TRAIN_IMAGES).write_bytes(b"\0\0\x08\x03 and so on")
    with pytest.raises(DataError, match=f"{given / TRAIN_IMAGES}: ") as caught:
        load(given)
    assert "get it again" in str(caught.value)


@pytest.mark.parametrize("given", ["", "no/such", "~no-such-user/data"])
def test_a_directory_without_files_is_an_error_that_names_the_files(
    given: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError) as caught:
        load(given)
    message = str(caught.value)
    assert TRAIN_IMAGES in message or "must name a directory" in message


def put_a_tfds_copy(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write_copy(data_dir: Path, into: Path) -> None:
        shutil.copytree(files, into, dirs_exist_ok=True)

    monkeypatch.setattr(tfds, "write_copy", write_copy)


def put_a_download(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        tfds, "download", lambda into: shutil.copytree(files, into, dirs_exist_ok=True)
    )


def put_a_fetched_package(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unpack(name: str, into: Path) -> None:
        assert name == "dataset-fashion-mnist"
        shutil.copytree(files, into / "usr/share/datasets/fashion-mnist")

    monkeypatch.setattr(fashion_mnist, "unpack_package", unpack)


def put_debian_s_directory(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", files)


SOURCES: list[tuple[str, Callable[[Path, pytest.MonkeyPatch], None]]] = [
    ("Debian's package in", put_debian_s_directory),
    ("the copy of tensorflow-datasets in", put_a_tfds_copy),
    ("a download by tensorflow-datasets", put_a_download),
    ("Debian's package dataset-fashion-mnist, fetched", put_a_fetched_package),
]


@pytest.mark.slow
@pytest.mark.parametrize("first", range(len(SOURCES)))
def test_the_first_source_that_has_the_data_is_used_and_kept_for_the_next_time(
    fashion: Arrays, files: Path, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    with monkeypatch.context() as present:
        for _, put in SOURCES[first:]:
            put(files, present)
        got = load()
    assert got.source.startswith(SOURCES[first][0])
    assert same(got, fashion)
    again = load()
    assert again.source == f"the cache {cache_dir()}"
    assert same(again, fashion)


def test_a_slow_step_is_announced_and_a_quick_one_is_not(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    put_a_fetched_package(files, monkeypatch)
    load(say=said.append)
    download, away, package = said
    assert "trying to download" in download
    assert away.endswith("not taken from a download by tensorflow-datasets: the host is away")
    assert "Fetching Debian's package dataset-fashion-mnist" in package
    said.clear()
    load(say=said.append)
    assert said == []


def test_without_downloads_only_this_machine_is_searched(
    fashion: Arrays, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_a_fetched_package(files, monkeypatch)
    said: list[str] = []
    with pytest.raises(DataError) as caught:
        load(download=False, say=said.append)
    assert said == []
    assert "fetched" not in str(caught.value)
    put_a_tfds_copy(files, monkeypatch)
    assert same(load(download=False), fashion)


def test_a_bad_source_is_passed_over_and_named(
    fashion: Arrays, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = copy_files(files, tmp_path / "debian") / TRAIN_IMAGES
    bad.write_bytes(bad.read_bytes()[:-1])
    put_a_tfds_copy(files, monkeypatch)
    said: list[str] = []
    got = load(say=said.append)
    assert same(got, fashion)
    assert got.source.startswith("the copy of tensorflow-datasets")
    assert len(said) == 1
    assert f"{bad}: dimensions (60000, 28, 28) need a file of 47040016 bytes" in said[0]


def test_if_no_source_works_the_error_lists_each_with_its_reason(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        load()
    first, *tried, remedy = str(caught.value).splitlines()
    assert first == "Fashion-MNIST was not found. Tried:"
    assert tried == [
        f"  - the cache {cache_dir()}: there is no directory {cache_dir()}",
        f"  - Debian's package in {tmp_path}/debian: there is no directory {tmp_path}/debian",
        f"  - the copy of tensorflow-datasets in {tmp_path}/tfds: "
        f"{tmp_path}/tfds/fashion_mnist has no data set",
        "  - a download by tensorflow-datasets: the host is away",
        "  - Debian's package dataset-fashion-mnist, fetched: the mirror is away",
    ]
    assert "TFD2L_DATA_DIR" in remedy


def test_a_full_disk_for_temporary_files_is_a_reason_and_no_crash(
    files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(into: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tfds, "download", no_room)
    put_a_fetched_package(files, monkeypatch)
    said: list[str] = []
    assert load(say=said.append).source.endswith("fetched")
    assert any("No space left on device" in line for line in said)


@pytest.mark.slow
def test_debian_s_real_package_is_fetched_without_installing_it(
    fashion: Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.basics.debian import unpack_package

    if shutil.which("apt-get") is None:
        pytest.skip("no apt-get here")
    monkeypatch.setattr(fashion_mnist, "unpack_package", unpack_package)
    try:
        got = load()
    except DataError as error:
        if "can't be had" not in str(error):
            raise
        pytest.skip(f"the package can't be had here: {str(error).splitlines()[-2]}")
    assert same(got, fashion)


@pytest.mark.slow
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_bad_file_in_the_cache_is_named_and_replaced(
    fashion: Arrays, files: Path, monkeypatch: pytest.MonkeyPatch, file: IdxFile
) -> None:
    bad = copy_files(files, cache_dir()) / file.name
    bad.write_bytes(bad.read_bytes()[:-1] + b"\xff")
    put_debian_s_directory(files, monkeypatch)
    said: list[str] = []
    assert same(load(say=said.append), fashion)
    assert len(said) == 1
    assert f"not taken from the cache {cache_dir()}: {bad} must have SHA-256" in said[0]
    assert hashlib.sha256(bad.read_bytes()).hexdigest() == file.sha256
    assert load(say=said.append).source.startswith("the cache")
    assert len(said) == 1


def test_a_bad_cache_is_never_trusted_even_if_there_is_nothing_else(files: Path) -> None:
    bad = copy_files(files, cache_dir()) / TRAIN_IMAGES
    bad.write_bytes(bad.read_bytes()[:-1] + b"\xff")
    with pytest.raises(DataError, match=f"{bad} must have SHA-256"):
        load()


def test_the_environment_or_the_user_s_cache_directory_holds_the_cache(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert cache_dir() == tmp_path / "cache" / "fashion-mnist"
    monkeypatch.delenv("TFD2L_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_dir() == tmp_path / "xdg" / "tfd2l" / "fashion-mnist"


def test_if_the_cache_cannot_be_made_a_line_says_so_and_the_data_is_loaded(
    fashion: Arrays, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cache").write_text("a file where the directory should be")
    put_debian_s_directory(files, monkeypatch)
    said: list[str] = []
    assert same(load(say=said.append), fashion)
    assert len(said) == 1
    assert said[0].startswith(f"The cache {cache_dir()} can't be written")


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system in memory as the cache, with the options given."""
    if os.geteuid() != 0:
        pytest.skip("only root can mount a small file system")
    point = tmp_path / "cache"
    point.mkdir()

    def mount(options: str) -> Path:
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "tmpfs", point], capture_output=True, text=True
        )
        if done.returncode != 0:
            pytest.skip(f"a file system can't be mounted here: {done.stderr.strip()}")
        return point

    yield mount
    subprocess.run(["umount", point], capture_output=True)


@pytest.mark.parametrize(
    ("options", "reason"),
    [("size=20m", "No space left on device"), ("ro", "Read-only file system")],
)
def test_if_the_cache_cannot_be_written_a_line_says_so_and_the_data_is_loaded(
    fashion: Arrays,
    files: Path,
    mounted: Callable[[str], Path],
    monkeypatch: pytest.MonkeyPatch,
    options: str,
    reason: str,
) -> None:
    point = mounted(options)
    put_debian_s_directory(files, monkeypatch)
    said: list[str] = []
    assert same(load(say=said.append), fashion)
    assert len(said) == 1
    assert reason in said[0]
    # No part of a file is left, under any name.
    assert [path for path in point.rglob("*") if path.is_file()] == []


# A process that fills the cache from the directory it is given.
FILL = """
import sys
from pathlib import Path
from pipelines import fashion_mnist

fashion_mnist.DEBIAN_DIR = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
print(fashion_mnist.load().source)
"""


def start_filling(files: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", FILL, files],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.slow
def test_a_kill_at_any_instant_of_filling_leaves_no_half_file(
    fashion: Arrays, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha256 = {file.name: file.sha256 for file in FILES}
    cut_short = 0
    for delay_s in (0.0, 0.002, 0.005, 0.01, 0.02, 0.04):
        shutil.rmtree(cache_dir(), ignore_errors=True)
        with start_filling(files) as process:
            go(process)
            # Wait for the first file, and from then on a little longer each time.
            while not any(cache_dir().glob("*")) and process.poll() is None:
                time.sleep(0.0005)
            time.sleep(delay_s)
            process.send_signal(signal.SIGKILL)
        for path in cache_dir().iterdir():
            if is_temporary(path):
                cut_short += 1
            else:
                assert hashlib.sha256(path.read_bytes()).hexdigest() == sha256[path.name]
    # At least one kill came while a file was being written.
    assert cut_short > 0
    with monkeypatch.context() as present:
        put_debian_s_directory(files, present)
        assert same(load(), fashion)
    assert load().source.startswith("the cache")


@pytest.mark.slow
def test_processes_that_fill_the_cache_at_once_all_succeed(fashion: Arrays, files: Path) -> None:
    processes = [start_filling(files) for _ in range(3)]
    for process in processes:
        go(process)
    for process in processes:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        assert output.startswith(("Debian's package in", "the cache"))
    assert {path.name for path in cache_dir().iterdir()} == {file.name for file in FILES}
    assert same(load(), fashion)


def test_loading_imports_no_tensorflow_and_importing_does_nothing(
    files: Path, tmp_path: Path
) -> None:
    code = (
        "import sys, os\n"
        "from pathlib import Path\n"
        "from pipelines import fashion_mnist\n"
        "assert not Path(os.environ['TFD2L_CACHE_DIR']).exists()\n"
        "fashion_mnist.load(sys.argv[1])\n"
        "heavy = {'tensorflow', 'tensorflow_datasets', 'keras', 'matplotlib'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, files], cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")
