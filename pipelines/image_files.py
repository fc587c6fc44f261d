"""Decodes image files for training, by the same code that an exported graph decodes them by."""

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

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.files import read_regular
from pipelines.basics.text import one_line
from pipelines.image_folder import ImageFile

__all__ = ["DecodedImages", "ImageDecoder", "decode_files", "empty_images", "tensor_of"]

UInt8Array = npt.NDArray[np.uint8]
# Files in one call of the decoder. Their bytes, and those of the next call's, are in memory.
_FILES_AT_ONCE = 32
_MAX_FILE_BYTES = 2**30
_UPRIGHT = 1
# The files that the graph decodes.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n", b"GIF8")
# What a file with an orientation has: EXIF of JPEG, PNG or WebP, or XMP, as Pillow reads them.
_ORIENTATION_MARKS = (b"Exif", b"eXIf", b"EXIF", b"Raw profile type exif", b"tiff:Orientation")
# Luma of Rec. 601, as JPEG and Pillow have it.
_GREY_WEIGHTS = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class ImageDecoder:
    """Decodes one JPEG, PNG or GIF file of any size, by TensorFlow's operations.

    The image is stretched to `size`, bilinearly and with antialiasing, and rounded. What the alpha
    of a PNG makes transparent becomes white; 16 bits a channel become their upper 8. Of a GIF the
    first frame is taken, black where it is transparent. EXIF headers are not read: a client turns a
    photograph upright.

    Attributes:
        size: (H, W) in pixels.
        channels: 1 for grey, 3 for red, green and blue.

    Example:
        >>> encoded = tf.io.encode_png(tf.fill((4, 6, 3), tf.constant(200, tf.uint8)))
        >>> print(ImageDecoder(size=(1, 2), channels=1)(encoded).numpy())
        [[200 200]]
    """

    size: tuple[int, int]
    channels: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(H, W) of grey images, (H, W, 3) of colour."""
        return self.size if self.channels == 1 else (*self.size, self.channels)

    @do_not_convert
    def __call__(self, content: tf.Tensor, orientation: Any = None) -> tf.Tensor:
        """Decode a file.

        Args:
            content: () string.
            orientation: () integer from 1 to 8 of an EXIF header; by default upright.

        Returns:
            `shape` uint8.

        Raises:
            tf.errors.InvalidArgumentError: another format, or a broken file.
        """
        pixels = _decode_rgb(content)
        size = tf.constant(self.size)
        if orientation is not None:
            size = tf.where(_lies_on_its_side(orientation), size[::-1], size)
        # Most files of a data set of small images have the size already.
        scaled = tf.cond(
            tf.reduce_all(tf.equal(tf.shape(pixels)[:2], size)),
            lambda: tf.cast(pixels, tf.float32),
            lambda: tf.image.resize(pixels, size, antialias=True),
        )
        if orientation is not None:
            # After the resizing, which is the same for rows and columns: to turn a photograph of 12
            # megapixels takes 0.3 s, twice as long as all else.
            scaled = _turned_upright(scaled, orientation)
        if self.channels == 1:
            scaled = tf.reduce_sum(scaled * tf.constant(_GREY_WEIGHTS), axis=-1)
        return tf.ensure_shape(tf.saturate_cast(tf.round(scaled), tf.uint8), self.shape)


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
    orientation: int = _UPRIGHT
    sha256: bytes = b""
    failure: str = ""


def _read_ahead(files: Sequence[ImageFile]) -> Iterator[list[_Read]]:
    """Yield some files at a time, while threads read the next ones."""
    chunks = [files[i : i + _FILES_AT_ONCE] for i in range(0, len(files), _FILES_AT_ONCE)]
    with ThreadPoolExecutor() as pool:
        ahead: list[Future[_Read]] = []
        for chunk in [*chunks, ()]:
            ready, ahead = ahead, [pool.submit(_read, file) for file in chunk]
            yield [future.result() for future in ready]


def _read(file: ImageFile) -> _Read:
    try:
        content = read_regular(file.path, _MAX_FILE_BYTES)
    except OSError as error:
        return _Read(file, failure=error.strerror or str(error))
    sha256 = hashlib.sha256(content).digest()
    to_convert = content.startswith(b"BM") or (content[:4], content[8:12]) == (b"RIFF", b"WEBP")
    if not to_convert and not content.startswith(_SIGNATURES):
        begin = f"it begins with {content[:12]!r}" if content else "it is empty"
        failure = f"not a JPEG, PNG, GIF, BMP or WebP file: {begin}"
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
        return _UPRIGHT
    try:
        with Image.open(io.BytesIO(content)) as image:
            found: Any = image.getexif().get(0x0112)
    except Exception:  # as above; the image itself may be sound
        return _UPRIGHT
    return int(found) if found in range(1, 9) else _UPRIGHT


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


def _decode_rgb(content: tf.Tensor) -> tf.Tensor:
    """Decode a file: () string -> (h, w, 3) uint8."""
    begin = tf.strings.substr(content, 0, 4)

    def gif() -> tf.Tensor:
        # Of BMP files TensorFlow ignores the palette, and TensorFlow Serving 2.20 is not known to
        # have a decoder of WebP.
        rule = "an image file must be JPEG, PNG or GIF; convert it to PNG"
        with tf.control_dependencies([tf.debugging.Assert(tf.equal(begin, b"GIF8"), [rule])]):
            return tf.io.decode_gif(content)[0]

    return tf.cond(
        tf.io.is_jpeg(content),
        # The default method may differ between builds of TensorFlow.
        lambda: tf.io.decode_jpeg(content, channels=3, dct_method="INTEGER_ACCURATE"),
        lambda: tf.cond(
            tf.equal(begin, b"\x89PNG"),
            # Asked for four channels, it invents a wrong alpha for images of 1, 2 and 4 bits.
            lambda: _on_white(tf.io.decode_png(content, channels=0)),
            gif,
        ),
    )


def _on_white(pixels: tf.Tensor) -> tf.Tensor:
    """Put an image with or without alpha on white: (h, w, 1 to 4) uint8 -> (h, w, 3) uint8."""
    channels = tf.shape(pixels)[-1]
    is_grey, has_alpha = channels < 3, tf.equal(channels % 2, 0)

    def colours() -> tf.Tensor:
        return tf.gather(pixels, tf.where(is_grey, [0, 0, 0], [0, 1, 2]), axis=-1)

    def mixed() -> tf.Tensor:
        opaque = tf.cast(pixels[..., channels - 1 :], tf.float32) / 255.0
        dark = 255.0 - tf.cast(colours(), tf.float32)
        return tf.saturate_cast(tf.round(255.0 - dark * opaque), tf.uint8)

    return tf.cond(has_alpha, mixed, colours)


def _lies_on_its_side(orientation: Any) -> tf.Tensor:
    return tf.greater_equal(orientation, 5)


def _turned_upright(pixels: tf.Tensor, orientation: Any) -> tf.Tensor:
    """Undo an EXIF orientation, 1 to 8: (h, w, 3) -> (h, w, 3), or (w, h, 3) from 5 on."""
    by_columns = [1, 0, 2]
    turns = (
        lambda: pixels,
        lambda: pixels[:, ::-1],
        lambda: pixels[::-1, ::-1],
        lambda: pixels[::-1],
        lambda: tf.transpose(pixels, by_columns),
        lambda: tf.transpose(pixels[::-1], by_columns),
        lambda: tf.transpose(pixels[::-1, ::-1], by_columns),
        lambda: tf.transpose(pixels[:, ::-1], by_columns),
    )
    return tf.switch_case(tf.convert_to_tensor(orientation, tf.int32) - 1, dict(enumerate(turns)))
