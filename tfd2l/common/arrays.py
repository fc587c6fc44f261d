"""Saves arrays, with JSON values about them, in one file under a checksum."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from pipelines.basics.files import write_atomically
from pipelines.basics.text import one_line

Array = np.ndarray[Any, Any]
# The first line of a file begins with this and ends with the checksum; an npz of NumPy follows.
FORMAT = b"tfd2l weights 1 sha256:"


def write_weights(path: Path, weights: Sequence[Array], about: Any = None) -> None:
    """Write arrays to a file, which appears whole or not at all.

    Args:
        path: the file.
        weights: arrays of any shapes and of NumPy's own dtypes.
        about: JSON values to save with them.

    Raises:
        OSError: the file can't be written.
    """
    buffer = io.BytesIO()
    arrays = {f"{index:05d}": np.asarray(array) for index, array in enumerate(weights)}
    np.savez(buffer, allow_pickle=False, about=np.array(json.dumps(about)), **arrays)
    content = buffer.getvalue()
    checksum = hashlib.sha256(content).hexdigest().encode()
    write_atomically(path, FORMAT + checksum + b"\n" + content)


def read_weights(path: Path) -> tuple[list[Array], Any]:
    """Read the arrays that `write_weights` wrote, in order, and the JSON values about them.

    The content is interpreted only after its checksum was found right, and then as numbers and
    JSON, never as code.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is of another kind, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {str(path)!r}.")
    first, _, content = path.read_bytes().partition(b"\n")
    if not first.startswith(FORMAT):
        raise ValueError(f"{str(path)!r} is not a file of weights; save_weights writes such files.")
    if first.removeprefix(FORMAT) != hashlib.sha256(content).hexdigest().encode():
        raise ValueError(
            f"{str(path)!r} is damaged: its checksum is not that of its content. Take another "
            "copy of it, or save the weights again."
        )
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            # Ours are not compressed. A compressed one could unpack to a thousand times its length.
            if sum(member.file_size for member in file.zip.infolist()) > len(content):
                raise ValueError("compressed arrays")
            about = json.loads(file["about"].item())
            return [file[name] for name in sorted(file.files) if name != "about"], about
    except Exception as error:  # on strange files NumPy raises almost anything
        raise ValueError(
            f"{str(path)!r} is not a file of weights, though its checksum is right "
            f"({one_line(repr(error), 200)}); save_weights writes such files."
        ) from error
