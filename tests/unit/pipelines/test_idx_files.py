"""pipelines/idx_files.py on the real files, intact and damaged."""

from __future__ import annotations

import gzip
import hashlib
import os
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from pipelines import idx_files
from pipelines.idx_files import FILES, AbsentError, DataError, read_directory, write_directory

TRAIN_IMAGES, TRAIN_LABELS, T10K_IMAGES, T10K_LABELS = (file.name for file in FILES)


@pytest.fixture(scope="session")
def originals(contents: dict[str, bytes], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The four real files, decompressed; not to be changed."""
    directory = tmp_path_factory.mktemp("originals")
    for name, data in contents.items():
        (directory / name).write_bytes(data)
    return directory


@pytest.fixture
def directory(tmp_path: Path, originals: Path) -> Path:
    """Links to the four real files; tests replace them and never write into them."""
    for original in originals.iterdir():
        (tmp_path / original.name).hardlink_to(original)
    return tmp_path


def swap(directory: Path, one: str, other: str) -> None:
    (directory / one).rename(directory / "between")
    (directory / other).rename(directory / one)
    (directory / "between").rename(directory / other)


def removed(path: Path) -> Path:
    path.unlink()
    return path


def replace_by_gz(directory: Path, name: str, data: bytes) -> None:
    removed(directory / name)
    (directory / f"{name}.gz").write_bytes(data)


def change(directory: Path, name: str, function: Callable[[bytes], bytes]) -> None:
    data = function((directory / name).read_bytes())
    removed(directory / name).write_bytes(data)


def flipped(data: bytes, at: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def test_the_files_are_read_as_they_are(directory: Path, contents: dict[str, bytes]) -> None:
    assert read_directory(directory) == contents


def test_the_files_are_read_from_gz(directory: Path, contents: dict[str, bytes]) -> None:
    for name in (TRAIN_LABELS, T10K_IMAGES, T10K_LABELS):
        replace_by_gz(directory, name, gzip.compress(contents[name], compresslevel=1))
    assert read_directory(directory) == contents


def test_the_listed_sizes_and_hashes_are_those_of_the_bytes(contents: dict[str, bytes]) -> None:
    for file in FILES:
        assert len(contents[file.name]) == file.size_bytes
        assert hashlib.sha256(contents[file.name]).hexdigest() == file.sha256


def test_an_empty_or_missing_directory_counts_as_absent(tmp_path: Path) -> None:
    with pytest.raises(AbsentError, match="has none of the files"):
        read_directory(tmp_path)
    with pytest.raises(AbsentError, match="there is no directory .*no/such"):
        read_directory(tmp_path / "no" / "such")


# Each damage, the file that must be named, and the rule and the value that the error must have.
DAMAGES: dict[str, tuple[Callable[[Path], object], str, str]] = {
    "a file is missing": (
        lambda d: removed(d / T10K_LABELS),
        T10K_LABELS,
        "must have all four files; .* is missing",
    ),
    "train and t10k images are swapped": (
        lambda d: swap(d, TRAIN_IMAGES, T10K_IMAGES),
        TRAIN_IMAGES,
        "must hold train-images-idx3-ubyte; got",
    ),
    "train and t10k labels are swapped": (
        lambda d: swap(d, TRAIN_LABELS, T10K_LABELS),
        TRAIN_LABELS,
        "must hold train-labels-idx1-ubyte; got t10k-labels-idx1-ubyte",
    ),
    "images and labels are swapped": (
        lambda d: swap(d, T10K_IMAGES, T10K_LABELS),
        T10K_IMAGES,
        "must hold t10k-images-idx3-ubyte; got t10k-labels-idx1-ubyte",
    ),
    "it is empty": (
        lambda d: change(d, T10K_LABELS, lambda data: b""),
        T10K_LABELS,
        "starts with 4 bytes of magic; got 0 bytes",
    ),
    "it is cut short": (
        lambda d: change(d, TRAIN_IMAGES, lambda data: data[:20_000_000]),
        TRAIN_IMAGES,
        r"need a file of 47040016 bytes; got 20000000 bytes",
    ),
    "it has one byte less": (
        lambda d: change(d, T10K_LABELS, lambda data: data[:-1]),
        T10K_LABELS,
        "need a file of 10008 bytes; got 10007 bytes",
    ),
    "it has one byte more": (
        lambda d: change(d, TRAIN_LABELS, lambda data: data + b"\0"),
        TRAIN_LABELS,
        "must have 60008 bytes, decompressed; got more",
    ),
    "it has fewer labels, and says so": (
        lambda d: change(d, T10K_LABELS, lambda data: b"\0\0\x08\x01\0\0\0\x02\x01\x02"),
        T10K_LABELS,
        r"must have 10008 bytes, decompressed; got 10 bytes, shape \(2,\)",
    ),
    "its magic is wrong": (
        lambda d: change(d, T10K_IMAGES, lambda data: b"\0\0\x0d" + data[3:]),
        T10K_IMAGES,
        r"element type must be 0x08 \(uint8\); got 0x0d",
    ),
    "its header claims 2**31 images": (
        lambda d: change(d, T10K_IMAGES, lambda data: data[:4] + b"\x80\0\0\0" + data[8:]),
        T10K_IMAGES,
        r"dimensions \(2147483648, 28, 28\) need a file of",
    ),
    "one bit of one pixel is flipped": (
        lambda d: change(d, TRAIN_IMAGES, lambda data: flipped(data, 30_000_000)),
        TRAIN_IMAGES,
        "must have SHA-256 c59f468a.*, decompressed; got [0-9a-f]{64}",
    ),
    "two labels are exchanged": (
        lambda d: change(d, T10K_LABELS, lambda data: data[:8] + data[9:7:-1] + data[10:]),
        T10K_LABELS,
        "must have SHA-256 0402a96d.*, decompressed; got [0-9a-f]{64}",
    ),
    "a .gz is a page of HTML": (
        lambda d: replace_by_gz(d, T10K_LABELS, b"<html>404 Not Found</html>"),
        f"{T10K_LABELS}.gz",
        r"can't be read: Not a gzipped file \(b'<h'\)",
    ),
    "a .gz is cut short": (
        lambda d: replace_by_gz(d, T10K_LABELS, gzip.compress(bytes(range(256)) * 30)[:-12]),
        f"{T10K_LABELS}.gz",
        "can't be read: Compressed file ended before",
    ),
    "a .gz has a wrong checksum": (
        lambda d: replace_by_gz(d, T10K_LABELS, flipped(gzip.compress(b"any"), -8)),
        f"{T10K_LABELS}.gz",
        "can't be read: CRC check failed",
    ),
    "a .gz has a damaged middle": (
        lambda d: replace_by_gz(
            d, T10K_LABELS, gzip.compress(b"any")[:10] + b"\xff" * 20 + gzip.compress(b"any")[10:]
        ),
        f"{T10K_LABELS}.gz",
        "can't be read: Error -3",
    ),
    "it is a directory": (
        lambda d: removed(d / T10K_LABELS).mkdir(),
        T10K_LABELS,
        "must have all four files; .* is missing",
    ),
    "it is a pipe that nobody writes to": (
        lambda d: os.mkfifo(removed(d / T10K_LABELS)),
        T10K_LABELS,
        "must have all four files; .* is missing",
    ),
    "it is a link to itself": (
        lambda d: removed(d / T10K_LABELS).symlink_to(d / T10K_LABELS),
        T10K_LABELS,
        "must have all four files; .* is missing",
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_refused_by_name_with_the_rule_and_the_value(
    directory: Path, damage: str
) -> None:
    do_damage, name, rule = DAMAGES[damage]
    do_damage(directory)
    with pytest.raises(DataError, match=rule) as caught:
        read_directory(directory)
    assert not isinstance(caught.value, AbsentError)
    assert name in str(caught.value)
    assert str(directory) in str(caught.value)


def test_errors_can_use_another_name_than_that_of_a_temporary_directory(directory: Path) -> None:
    change(directory, T10K_LABELS, lambda data: data[:-1])
    with pytest.raises(DataError, match=r"^t10k-labels-idx1-ubyte: "):
        read_directory(directory, name=Path())


def test_a_gzip_bomb_is_read_up_to_the_expected_size_only(directory: Path) -> None:
    bomb = gzip.compress(bytes(200_000_000), compresslevel=1)
    replace_by_gz(directory, TRAIN_LABELS, bomb)
    file = FILES[1]
    tracemalloc.start()
    with pytest.raises(DataError, match="must have 60008 bytes, decompressed; got more"):
        idx_files._read(directory / f"{TRAIN_LABELS}.gz", file, directory)
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 2_000_000


def test_what_is_written_is_read_back_and_nothing_else_is_there(
    tmp_path: Path, contents: dict[str, bytes]
) -> None:
    write_directory(tmp_path / "a" / "b", contents)
    assert {path.name for path in (tmp_path / "a" / "b").iterdir()} == set(contents)
    assert read_directory(tmp_path / "a" / "b") == contents


def test_old_files_of_killed_processes_are_removed_and_young_ones_stay(tmp_path: Path) -> None:
    old, young = (tmp_path / f".file.{digit * 16}.tfd2l" for digit in "0f")
    for unfinished in (old, young):
        unfinished.write_bytes(b"a part")
    two_hours_ago = time.time() - 7200
    os.utime(old, (two_hours_ago, two_hours_ago))
    write_directory(tmp_path, {"file": b"whole"})
    assert {path.name for path in tmp_path.iterdir()} == {"file", young.name}
