"""Reads and writes IDX, the format of the MNIST family: a big-endian header, then the bytes.

offset 0   two zero bytes
offset 2   code of the element type; 0x08 is uint8
offset 3   rank r
offset 4   r dimensions, four bytes each
then       the elements, last dimension fastest
"""

from __future__ import annotations

import math
import struct

import numpy as np
import numpy.typing as npt

from pipelines.basics.errors import Tfd2lError

__all__ = ["IdxError", "UInt8Array", "parse_idx", "to_idx"]

UInt8Array = npt.NDArray[np.uint8]

_UINT8 = 0x08
_MAGIC_BYTES = 4
_DIMENSION_BYTES = 4
_RANKS = (1, 3)
_REMEDY = "The file is damaged or is not what its name says: get it again."


class IdxError(Tfd2lError, ValueError):
    """The bytes are not an IDX file of labels or of images."""


def parse_idx(data: bytes, *, name: str) -> UInt8Array:
    """Read labels or images from the bytes of a decompressed IDX file.

    Every number in the header is checked against the length of `data` before an array is made,
    so that a header with absurd dimensions costs nothing.

    Args:
        data: the whole file.
        name: the file's name in errors.

    Returns:
        (n,) uint8 labels or (n, height, width) uint8 images: a read-only view of `data`.

    Raises:
        IdxError: the magic, the type, the rank, the dimensions or the length are wrong.

    Example:
        >>> data = to_idx(np.array([9, 0, 3], np.uint8))
        >>> data.hex(" ")
        '00 00 08 01 00 00 00 03 09 00 03'
        >>> parse_idx(data, name="labels").tolist()
        [9, 0, 3]

    Source: the format's description on the MNIST page of LeCun, Cortes and Burges.
    """
    if len(data) < _MAGIC_BYTES:
        raise _error(name, "an IDX file starts with 4 bytes of magic", f"{len(data)} bytes")
    zeros, code, rank = struct.unpack_from(">HBB", data)
    if zeros != 0:
        raise _error(name, "an IDX file starts with two zero bytes", data[:2].hex(" "))
    if code != _UINT8:
        raise _error(name, "the element type must be 0x08 (uint8)", f"0x{code:02x}")
    if rank not in _RANKS:
        raise _error(name, "the rank must be 1 (labels) or 3 (images)", str(rank))
    start = _MAGIC_BYTES + rank * _DIMENSION_BYTES
    if len(data) < start:
        raise _error(name, f"the header of rank {rank} has {start} bytes", f"{len(data)} bytes")
    shape = struct.unpack_from(f">{rank}I", data, _MAGIC_BYTES)
    # Python's integers: the product of three 32-bit dimensions does not fit into 64 bits.
    expected = start + math.prod(shape)
    if len(data) != expected:
        raise _error(
            name, f"dimensions {shape} need a file of {expected} bytes", f"{len(data)} bytes"
        )
    try:
        return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)
    except ValueError:
        # If one dimension is 0, the others may be too large for NumPy.
        raise _error(name, "an empty array's dimensions must be small", str(shape)) from None


def to_idx(array: UInt8Array) -> bytes:
    """Write labels or images as the bytes of an IDX file: the inverse of `parse_idx`.

    Args:
        array: (n,) or (n, height, width) uint8.

    Raises:
        ValueError: `array` has another type or rank.
    """
    if array.dtype != np.uint8 or array.ndim not in _RANKS:
        raise ValueError(
            f"an IDX file holds uint8 of rank 1 or 3; got {array.dtype} of rank {array.ndim}."
        )
    header = struct.pack(f">HBB{array.ndim}I", 0, _UINT8, array.ndim, *array.shape)
    return header + array.tobytes()


def _error(name: str, rule: str, value: str) -> IdxError:
    return IdxError(f"{name}: {rule}; got {value}. {_REMEDY}")
