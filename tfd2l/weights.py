"""A model's weights in a file: HDF5, an array for each, in order."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Array = np.ndarray[Any, Any]
FORMAT = "tfd2l weights 1"


def write_weights(path: Path, weights: Sequence[Array]) -> None:
    """Write arrays to a file, which appears whole or not at all.

    Raises:
        OSError: it can't be written.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with h5py.File(draft, "w") as file:
            file.attrs["format"] = FORMAT
            for index, array in enumerate(weights):
                # The checksum makes a flipped byte an error when the file is read.
                chunked = {"chunks": True, "fletcher32": True} if array.size else {}
                file.create_dataset(f"{index:05d}", data=array, **(chunked if array.ndim else {}))
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def read_weights(path: Path) -> list[Array]:
    """The arrays of a file that `write_weights` wrote, in order.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no such file, or damaged.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file of weights {str(path)!r}.")
    try:
        with h5py.File(path) as file:
            if file.attrs.get("format") != FORMAT:
                raise ValueError("it was not written by save_weights of a tfd2l model")
            return [file[name][()] for name in sorted(file)]
    except (OSError, RuntimeError, KeyError, ValueError) as error:
        raise ValueError(
            f"{str(path)!r} can't be read as weights: {error}. Save them anew with save_weights."
        ) from error
