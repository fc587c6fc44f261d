"""Image files as Fashion-MNIST has them: a light garment that fills a small, dark, grey square.

Pillow decodes; TensorFlow is not needed. Whatever the bytes are, there is a picture of the right
size or an `ImageError`, within some seconds and 1 GB of memory.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, ImageOps, ImageStat, UnidentifiedImageError

from tfd2l.common.errors import Tfd2lError
from tfd2l.predict.framing import TOLERANCE, frame

__all__ = ["ImageError", "Prepared", "read_image", "read_image_file"]

# Those that Pillow decodes in C, without allocating before the header's size can be checked (its
# WebP decoder does) and without a second format inside (as TIFF and ICO have).
FORMATS = ("PNG", "JPEG", "GIF")
# Of nothing but tiny sections Pillow makes 40 times as much in memory, and needs 0.3 s for each MB.
MAX_BYTES = 24 * 2**20
# Four bytes each, and a few copies on the way: measured 0.45 GB.
MAX_PIXELS = 50_000_000
# JPEG's decoder makes a picture of an eighth, a quarter or half the side without the whole one, so
# 108 million pixels took 0.06 GB and 0.2 s. Of a file with several scans it keeps up to eight bytes
# for each pixel: measured 0.97 GB.
MAX_JPEG_PIXELS = 120_000_000
# The longer side that a JPEG file is read at, at least: far more than the model sees of a garment.
JPEG_SIDE = 2048
# A JPEG file may go over its pixels in many scans; ten are usual, and this is some six seconds.
MAX_SCANNED_PIXELS = 10**10
SCAN = b"\xff\xda"
MAX_ASPECT = 20
MAX_SIDE = 4096
UInt8Array = npt.NDArray[np.uint8]
# Filters of Python's warnings belong to the process, not to a thread.
_WARNINGS_LOCK = threading.Lock()


class ImageError(Tfd2lError, ValueError):
    """The bytes are no image that can be used; the text has the rule, the value and the remedy."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image as a model takes it.

    Attributes:
        pixels: (height, width) uint8, read-only; the ground is dark.
        notes: what was done to it, in order; empty if nothing.
    """

    pixels: UInt8Array
    notes: tuple[str, ...]


def read_image_file(path: Path | str, size: tuple[int, int] = (28, 28)) -> Prepared:
    """`read_image` of a file.

    Raises:
        ImageError: as `read_image`; or the file can't be read.
        ValueError: as `read_image`.
    """
    try:
        with Path(path).open("rb") as file:
            # One byte more than allowed shows that there is more, without reading how much.
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ImageError(f"the file can't be read: {reason}. Check its name.") from error
    return read_image(data, size)


def read_image(data: bytes, size: tuple[int, int] = (28, 28)) -> Prepared:
    """Make an encoded image look like one of Fashion-MNIST.

    A grey image that has the size and a dark ground is returned bit for bit. Others are turned
    upright, made grey, inverted if the garment is darker than its ground, and shifted in grey so
    that the ground is 0; those of another size are cropped to the garment (unless that fills the
    image already), resized, and centred on the ground. The ground's grey is the median of the four
    corners.

    Args:
        data: a PNG, JPEG or GIF file of any mode; of several pictures in it the first is taken.
        size: (height, width) of the result, in pixels.

    Raises:
        ImageError: no such image, a damaged one, one of more than `MAX_BYTES` or `MAX_PIXELS`
            (`MAX_JPEG_PIXELS` for JPEG) or that is more than `MAX_ASPECT` times as long as wide, or
            one in which nothing is opaque.
        ValueError: `size` is not two numbers from 1 to `MAX_SIDE`.
    """
    size = (*size,)
    if len(size) != 2 or not all(isinstance(n, int) and 1 <= n <= MAX_SIDE for n in size):
        raise ValueError(
            f"size must be (height, width) in pixels, each from 1 to {MAX_SIDE}; got {size!r}. "
            "Fashion-MNIST has (28, 28)."
        )
    _check_bytes(data)
    notes: list[str] = []
    with _pillow_errors():
        pixels = frame(_make_grey(_decode(data, notes), notes), size, notes)
    pixels.setflags(write=False)
    return Prepared(pixels, tuple(notes))


def _check_bytes(data: bytes) -> None:
    """Raise ImageError for what needs no decoder to be refused."""
    formats = ", ".join(FORMATS)
    if not data:
        raise ImageError(f"an image file has content; got 0 bytes. Give a {formats} file.")
    if len(data) > MAX_BYTES:
        raise ImageError(
            f"an image file may have at most {MAX_BYTES:,} bytes; got more. Make it smaller: the "
            "model sees few pixels."
        )


@contextmanager
def _pillow_errors() -> Iterator[None]:
    """Turn all that Pillow may say of its input, warnings included, into ImageError."""
    # Recorded, not made errors: other threads' warnings come by here too.
    with _WARNINGS_LOCK, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except ImageError:
            raise
        except Image.DecompressionBombError as error:
            raise _too_large(f"got more than {2 * (Image.MAX_IMAGE_PIXELS or 0):,}") from error
        except Exception as error:  # on damaged files its decoders raise almost anything
            raise ImageError(
                f"the image is damaged and can't be decoded: {str(error) or type(error).__name__}. "
                "Save it again as PNG or JPEG."
            ) from error
        # The number of pixels has its own bounds here.
        own = [
            one
            for one in caught
            if Path(one.filename).parent.name == "PIL"
            and not issubclass(one.category, Image.DecompressionBombWarning)
        ]
    if own:
        raise ImageError(f"the image is damaged: {own[0].message}. Save it again as PNG or JPEG.")


def _decode(data: bytes, notes: list[str]) -> Image.Image:
    """The first picture, upright, after its header was found acceptable."""
    try:
        # Reads the header alone.
        image: Image.Image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"an image must be a {', '.join(FORMATS)} file; this one begins with {data[:12]!r}. "
            "Save it as PNG or JPEG."
        ) from error
    _check_size(image, data.count(SCAN))
    if getattr(image, "is_animated", False):
        image.seek(0)
        notes.append("the first of several pictures")
    _load(image, notes)
    # 1 is upright; other numbers mean nothing.
    if (orientation := image.getexif().get(ExifTags.Base.Orientation)) in range(2, 9):
        notes.append(f"turned upright (EXIF orientation {orientation})")
        return ImageOps.exif_transpose(image)
    return image


def _check_size(image: Image.Image, num_scans: int) -> None:
    """Raise ImageError for what would take too long or too much memory, or is a strip."""
    width, height = image.size
    is_jpeg = image.format in ("JPEG", "MPO")
    if width * height > (MAX_JPEG_PIXELS if is_jpeg else MAX_PIXELS):
        raise _too_large(f"got {width} x {height}")
    if is_jpeg and num_scans * width * height > MAX_SCANNED_PIXELS:
        raise ImageError(
            f"a JPEG file may go over {MAX_SCANNED_PIXELS:,} pixels in all its scans; got "
            f"{num_scans:,} scans of {width} x {height}. Save it again as PNG or JPEG."
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"an image may be at most {MAX_ASPECT} times as long as wide; got {width} x {height} "
            "(width x height). Crop it to the garment."
        )


def _too_large(what: str) -> ImageError:
    return ImageError(
        f"an image may have at most {MAX_PIXELS:,} pixels, and {MAX_JPEG_PIXELS:,} in a JPEG file; "
        f"{what}. Make it smaller: 1,000 pixels a side are more than enough."
    )


def _load(image: Image.Image, notes: list[str]) -> None:
    """Decode the pixels; fewer of them where the format has them at lower resolution, as JPEG."""
    width, height = image.size
    longer = max(width, height)
    # Other formats leave it.
    image.draft(None, (width * JPEG_SIDE // longer, height * JPEG_SIDE // longer))
    if image.size != (width, height):
        notes.append(f"{width} x {height} read as {image.width} x {image.height}")
    image.load()


def _make_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """The image in mode L, on a ground where it is transparent."""
    if image.mode != "L":
        notes.append(f"{image.width} x {image.height} {image.mode} made grey")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips; the upper byte is what it takes of deep colours.
        values = np.asarray(image)
        grey = Image.fromarray((values >> 8).astype(np.uint8))
        key = image.info.get("transparency")
        alpha = None if key is None else Image.fromarray((values != key).astype(np.uint8) * 255)
    elif image.has_transparency_data:
        image = image.convert("RGBA")
        grey, alpha = image.convert("RGB").convert("L"), image.getchannel("A")
    else:
        grey, alpha = image.convert("RGB" if image.mode == "CMYK" else "L").convert("L"), None
    if alpha is None or alpha.getextrema() == (255, 255):
        return grey
    if alpha.getextrema() == (0, 0):
        raise ImageError(
            "an image must show something; all pixels of this one are transparent. Save it with "
            "an opaque garment."
        )
    # White, as a shop's page is and as the data set's photographs were before they were inverted;
    # but a white garment must stand out.
    black = ImageStat.Stat(grey, mask=alpha).mean[0] >= 255 - TOLERANCE
    notes.append(f"transparent ground taken as {'black' if black else 'white'}")
    return Image.composite(grey, Image.new("L", grey.size, 0 if black else 255), alpha)
