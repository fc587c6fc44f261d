"""Reads and decodes image files into one array, in memory or in a temporary file."""

from __future__ import annotations

import hashlib
import io
import math
import mmap
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf
from PIL import Image

from pipelines.basics.file_kinds import kind_of
from pipelines.basics.files import read_regular
from pipelines.basics.text import one_line
from pipelines.image_folders.decoder import SIGNATURES, UPRIGHT, ImageDecoder
from pipelines.image_folders.listing import ImageFile

__all__ = ["DecodedImages", "decode_files", "empty_images", "tensor_of"]

UInt8Array = npt.NDArray[np.uint8]
# Files in one call of the decoder. Their bytes, and those of the next call's, are in memory.
_FILES_AT_ONCE = 32
_MAX_FILE_BYTES = 2**30
# What a file with an orientation has: EXIF of JPEG, PNG or WebP, or XMP, as Pillow reads them.
_ORIENTATION_MARKS = (b"Exif", b"eXIf", b"EXIF", b"Raw profile type exif", b"tiff:Orientation")


@dataclass(frozen=True, eq=False)
class DecodedImages:
    """The images of some files.

    Attributes:
        images: (n, *shape) uint8, of the files that can be read.
        labels: (n,) int32 class ids.
        broken: the reason for each other file, by its name.
        hashes: the SHA-256 of each file's bytes, by its name.
    """

    images: UInt8Array
    labels: npt.NDArray[np.int32]
    broken: dict[str, str]
    hashes: dict[str, bytes]


def decode_files(
    files: Sequence[ImageFile], decoder: ImageDecoder, *, directory: Path | None = None
) -> DecodedImages:
    """Read and decode image files: JPEG, PNG, GIF, BMP and WebP.

    Photographs are turned upright as their EXIF headers say. Pillow converts BMP and WebP, which
    the graph does not take, to PNG first.

    Args:
        files: the files, in the order of the result.
        decoder: decodes a file.
        directory: the place of a temporary file that holds the images instead of memory. It has no
            name, and is gone with the array.

    Raises:
        OSError: the disk has no room for the temporary file.
    """
    images = empty_images(len(files), decoder.shape, directory)
    labels: list[int] = []
    broken: dict[str, str] = {}
    hashes: dict[str, bytes] = {}
    for read in _read_ahead(files):
        hashes.update((one.file.name, one.sha256) for one in read)
        good = [one for one in read if not one.failure]
        try:
            decoded = _decode_all(decoder, good)
        except tf.errors.OpError:
            read = [replace(one, failure=one.failure or _failure(decoder, one)) for one in read]
            good = [one for one in read if not one.failure]
            decoded = _decode_all(decoder, good)
        broken.update((one.file.name, one.failure) for one in read if one.failure)
        images[len(labels) : len(labels) + len(good)] = decoded
        labels += [one.file.label for one in good]
    return DecodedImages(images[: len(labels)], np.array(labels, np.int32), broken, hashes)


def empty_images(count: int, shape: tuple[int, ...], directory: Path | None) -> UInt8Array:
    """Make an array (count, *shape) in memory, or in a nameless temporary file in `directory`.

    Raises:
        OSError: the disk has no room.
    """
    size = math.prod((count, *shape))
    if not size:
        return np.empty((count, *shape), np.uint8)
    # A mapping begins at a page, so that `tensor_of` needs no copy.
    if directory is None:
        memory = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        return np.frombuffer(memory, np.uint8).reshape(count, *shape)
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            # Otherwise a full disk would kill the process when a page is written.
            os.posix_fallocate(file.fileno(), 0, size)
            memory = mmap.mmap(file.fileno(), size)
    except OSError as error:
        raise OSError(
            error.errno, f"no room for {size:,} bytes of images: {error.strerror}", str(directory)
        ) from error
    return np.frombuffer(memory, np.uint8).reshape(count, *shape)


def tensor_of(images: UInt8Array) -> tf.Tensor:
    """Return an array of `empty_images`, from its first image on, as a tensor of the same memory.

    The system loads the pages of a file when they are read, and drops them when memory is short.
    """
    return tf.experimental.dlpack.from_dlpack(images.__dlpack__())


@lru_cache(maxsize=8)
def _compiled(decoder: ImageDecoder) -> Any:
    """The decoder for many files: (n,) string and (n,) int32 orientations -> (n, *shape) uint8."""
    function = tf.function(
        lambda contents, orientations: tf.map_fn(
            lambda file: decoder(*file),
            (contents, orientations),
            fn_output_signature=tf.TensorSpec(decoder.shape, tf.uint8),
            # So many decoded files of any size are in memory.
            parallel_iterations=os.cpu_count() or 1,
        ),
        autograph=False,
    )
    return function.get_concrete_function(
        tf.TensorSpec([None], tf.string), tf.TensorSpec([None], tf.int32)
    )


@dataclass(frozen=True)
class _Read:
    """A file with its bytes, as the decoder takes them, or the reason that they can't be read."""

    file: ImageFile
    content: bytes = b""
    orientation: int = UPRIGHT
    sha256: bytes = b""
    failure: str = ""


def _read_ahead(files: Sequence[ImageFile]) -> Iterator[list[_Read]]:
    """Yield some files at a time, while threads read the next ones."""
    chunks = [files[i : i + _FILES_AT_ONCE] for i in range(0, len(files), _FILES_AT_ONCE)]
    with ThreadPoolExecutor() as pool:
        ahead: list[Future[_Read]] = []
        for chunk in [*chunks, ()]:
            ready, ahead = ahead, [pool.submit(_read, file) for file in chunk]
            if ready:
                yield [future.result() for future in ready]


def _read(file: ImageFile) -> _Read:
    try:
        content = read_regular(file.path, _MAX_FILE_BYTES)
    except OSError as error:
        return _Read(file, failure=error.strerror or str(error))
    sha256 = hashlib.sha256(content).digest()
    to_convert = content.startswith(b"BM") or (content[:4], content[8:12]) == (b"RIFF", b"WEBP")
    if not to_convert and not content.startswith(SIGNATURES):
        failure = f"not a JPEG, PNG, GIF, BMP or WebP file, but {kind_of(content)}"
        return _Read(file, sha256=sha256, failure=failure)
    orientation = _orientation(content)
    try:
        content = _as_png(content) if to_convert else content
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        failure = one_line(str(error), 200) or type(error).__name__
        return _Read(file, sha256=sha256, failure=failure)
    return _Read(file, content, orientation, sha256)


def _orientation(content: bytes) -> int:
    if not any(mark in content for mark in _ORIENTATION_MARKS):
        return UPRIGHT
    try:
        with Image.open(io.BytesIO(content)) as image:
            found: Any = image.getexif().get(0x0112)
    except Exception:  # as above; the image itself may be sound
        return UPRIGHT
    return int(found) if found in range(1, 9) else UPRIGHT


def _as_png(content: bytes) -> bytes:
    with Image.open(io.BytesIO(content), formats=("BMP", "WEBP")) as image:
        mode = "RGBA" if image.has_transparency_data else "RGB"
        png = io.BytesIO()
        image.convert(mode).save(png, "PNG", compress_level=1)
    return png.getvalue()


def _decode_all(decoder: ImageDecoder, read: Sequence[_Read]) -> UInt8Array:
    contents = tf.constant([one.content for one in read], tf.string)
    orientations = tf.constant([one.orientation for one in read], tf.int32)
    images: UInt8Array = _compiled(decoder)(contents, orientations).numpy()
    return images


def _failure(decoder: ImageDecoder, one: _Read) -> str:
    """Return TensorFlow's reason why a file can't be decoded; empty if it can."""
    try:
        decoder(tf.constant(one.content), one.orientation)
    except tf.errors.OpError as error:
        return one_line(re.sub(r"\{\{.*?\}\}|\[Op:.*", "", error.message), 200)
    return ""
