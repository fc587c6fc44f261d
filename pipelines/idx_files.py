"""Reads, verifies and writes the four files of Fashion-MNIST in a directory."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.files import remove_temporary_files, write_atomically
from pipelines.idx import IdxError, parse_idx

__all__ = ["FILES", "AbsentError", "DataError", "IdxFile", "read_directory", "write_directory"]

_REMEDY = "Remove it and get it again."
# A killed process leaves its unfinished file behind; one this old has no writer any more.
_STALE_S = 3600.0


class DataError(Tfd2lError):
    """The data can't be found, or is not what it should be."""


class AbsentError(DataError):
    """A place has no data, as opposed to wrong data."""


@dataclass(frozen=True)
class IdxFile:
    """The usual name of a file, and the size and hash of its decompressed bytes."""

    name: str
    size_bytes: int
    sha256: str


FILES = (
    IdxFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    IdxFile(
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    IdxFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    IdxFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def read_directory(directory: Path, *, name: Path | None = None) -> dict[str, bytes]:
    """Read and verify the four files, each decompressed or as `.gz`.

    Args:
        directory: holds the files.
        name: the directory's name in errors, if its own would tell the user nothing.

    Returns:
        The decompressed bytes by the file's name without `.gz`.

    Raises:
        AbsentError: there is no such directory, or all of the files are missing.
        DataError: a file is missing, can't be read, or is not the one that its name says.
    """
    name = directory if name is None else name
    if not directory.is_dir():
        raise AbsentError(f"there is no directory {name}")
    paths = {file.name: _find(directory, file.name) for file in FILES}
    if not any(paths.values()):
        raise AbsentError(f"{name} has none of the files")
    return {file.name: _read(paths[file.name], file, name) for file in FILES}


def write_directory(directory: Path, contents: Mapping[str, bytes]) -> None:
    """Write the files decompressed into `directory`, each of them atomically.

    Processes may do this at the same time: they write equal bytes, and the last one's stay.

    Args:
        directory: made if need be.
        contents: the bytes by the file's name.

    Raises:
        OSError: no permission, no room, and the like; no unfinished file is left.
    """
    directory.mkdir(parents=True, exist_ok=True)
    remove_temporary_files(directory, older_than_s=_STALE_S)
    for name, data in contents.items():
        write_atomically(directory / name, data)


def _find(directory: Path, name: str) -> Path | None:
    for path in (directory / name, directory / f"{name}.gz"):
        try:
            # Only a regular file: opening a pipe would wait for ever.
            if path.is_file():
                return path
        except OSError as error:
            raise DataError(f"{path} can't be read: {error}") from error
    return None


def _read(path: Path | None, file: IdxFile, directory: Path) -> bytes:
    """Return the verified decompressed bytes of one file; errors name `directory`."""
    if path is None:
        raise DataError(f"{directory} must have all four files; {file.name}[.gz] is missing.")
    label = directory / path.name
    # One byte more than allowed shows that there is more, without reading how much.
    limit = file.size_bytes + 1
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as stream:
            data = stream.read(limit)
    except (OSError, EOFError, zlib.error) as error:
        # Also gzip's own: not a gzip file, a wrong checksum, a file that ends too early.
        raise DataError(f"{label} can't be read: {error}. {_REMEDY}") from error
    digest = hashlib.sha256(data).hexdigest()
    if digest != file.sha256:
        raise DataError(_explain_mismatch(label, file, data, digest))
    return data


def _explain_mismatch(label: Path, file: IdxFile, data: bytes, digest: str) -> str:
    """Say which rule `data` breaks first, with the value and the remedy."""
    for other in FILES:
        if digest == other.sha256:
            return f"{label} must hold {file.name}; got {other.name}. Give it its own name."
    size = f"{label} must have {file.size_bytes} bytes, decompressed"
    if len(data) > file.size_bytes:
        return f"{size}; got more. {_REMEDY}"
    try:
        shape = parse_idx(data, name=str(label)).shape
    except IdxError as error:
        return str(error)
    if len(data) != file.size_bytes:
        return f"{size}; got {len(data)} bytes, shape {shape}. {_REMEDY}"
    return f"{label} must have SHA-256 {file.sha256}, decompressed; got {digest}. {_REMEDY}"
