"""Reads image files as Fashion-MNIST has them: a light garment that fills a dark, grey square.

Pillow decodes; TensorFlow is not needed. For any bytes the result is a picture of the right size or
an `ImageError`, within 1 GB of memory.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

from tfd2l.common.errors import Tfd2lError
from tfd2l.predict.framing import NO_GARMENT, frame
from tfd2l.predict.garment import TOLERANCE

__all__ = ["MAX_BYTES", "ImageError", "Prepared", "read_image", "read_image_file"]

# The formats that Pillow decodes in C, without allocating memory before the header's size can be
# checked (its WebP decoder does) and without a second format inside (as TIFF and ICO have).
FORMATS = ("PNG", "JPEG", "GIF")
# For a file of nothing but tiny sections Pillow takes 40 times its size in memory, and 0.3 s a MB.
MAX_BYTES = 24 * 2**20
# 67 million, so that a 64-megapixel photograph is read. Four bytes each, and a few copies on the
# way: measured 0.6 GB, and 0.8 GB for a progressive JPEG file, whose coefficients are kept.
MAX_PIXELS = 2**26
MAX_ASPECT = 20
MAX_SIDE = 4096
SMALLER = "Make it smaller: 1,000 pixels a side are more than enough."


class ImageError(Tfd2lError, ValueError):
    """An image can't be read in the form that a model takes."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image in the form that a model takes.

    Attributes:
        pixels: (height, width) uint8, read-only; the ground is dark.
        notes: the changes that were made to its size and greys, in order.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...]

    @property
    def shows_garment(self) -> bool:
        """Something stands out from the ground; if not, a model's answer means nothing."""
        return NO_GARMENT not in self.notes


def read_image_file(path: Path | str, size: tuple[int, int] = (28, 28)) -> Prepared:
    """Read an image file and make it look like an image of Fashion-MNIST; see `read_image`.

    Raises:
        ImageError: as `read_image`; or the file can't be read.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder, "page.png")
        ...     page = Image.new("L", (280, 280), 255)
        ...     page.paste(0, (100, 0, 180, 280))
        ...     page.save(path)
        ...     prepared = d2l.read_image_file(path)
        >>> prepared.pixels.shape
        (28, 28)
        >>> prepared.notes
        ('inverted: the garment was darker than the ground', 'resized to 28 x 28')
    """
    try:
        with Path(path).open("rb") as file:
            # One byte more than allowed shows that the file is too long, without reading all of it.
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"the file can't be read: {error.strerror}. Check its name.") from error
    return read_image(data, size)


def read_image(data: bytes, size: tuple[int, int] = (28, 28)) -> Prepared:
    """Make an encoded image look like one of Fashion-MNIST.

    A grey image that has the size and a dark ground is returned bit for bit. Others are turned
    upright, made grey, inverted if the garment is darker than its ground, and shifted in grey so
    that the ground is 0; those of another size are cropped to the garment (unless that fills the
    image already), resized, and centred on the ground. The ground is a quadratic surface, which
    follows light that falls off; where it has a pattern, all but the garment becomes 0. A note says
    where the crop may be wrong, and where no garment was found.

    Args:
        data: a PNG, JPEG or GIF file of any mode; if it has several pictures, the first is taken.
        size: (height, width) of the result, in pixels.

    Raises:
        ImageError: another format, a damaged file, one of more than `MAX_BYTES` or `MAX_PIXELS` or
            that is more than `MAX_ASPECT` times as long as wide, or one in which nothing is opaque;
            or `size` is not two whole numbers from 1 to `MAX_SIDE`.
    """
    sizes = [*size] if isinstance(size, Sequence) else []
    if len(sizes) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in sizes):
        raise ImageError(
            f"size must be (height, width) in pixels, each from 1 to {MAX_SIDE}; got {size!r}. "
            "Fashion-MNIST has (28, 28)."
        )
    if len(data) > MAX_BYTES:
        raise ImageError(f"an image file may have at most {MAX_BYTES:,} bytes; got more. {SMALLER}")
    notes: list[str] = []
    try:
        pixels = frame(_make_grey(_decode(data), notes), size, notes)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        raise ImageError(
            f"the image can't be decoded: {str(error) or type(error).__name__}. Save it again as "
            "PNG or JPEG."
        ) from error
    pixels.setflags(write=False)
    return Prepared(pixels, tuple(notes))


def _decode(data: bytes) -> Image.Image:
    """Decode the first picture, if its header is acceptable, and turn it upright."""
    try:
        # Reads the header alone.
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"an image must be a {', '.join(FORMATS)} file; this one begins with {data[:12]!r}. "
            "Save it as PNG or JPEG."
        ) from error
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(
            f"an image may have at most {MAX_PIXELS:,} pixels; got {width} x {height}. {SMALLER}"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"an image may be at most {MAX_ASPECT} times as long as wide; got {width} x {height} "
            "(width x height). Crop it to the garment."
        )
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _make_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert the image to mode L; transparent pixels show a white or a black ground."""
    if image.mode != "L":
        notes.append(f"{image.width} x {image.height} {image.mode} made grey")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion clips; for deep colours it takes the upper byte, as here.
        return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if not image.has_transparency_data:
        return image.convert("RGB" if image.mode == "CMYK" else "L").convert("L")
    image = image.convert("RGBA")
    grey, alpha = image.convert("RGB").convert("L"), image.getchannel("A")
    if alpha.getextrema() == (255, 255):
        return grey
    if alpha.getextrema() == (0, 0):
        raise ImageError(
            "an image must show something; all pixels of this one are transparent. Save it with "
            "an opaque garment."
        )
    # White, as a shop's page is and as the data set's photographs were before they were inverted;
    # but a white garment must stand out.
    is_white = ImageStat.Stat(grey, mask=alpha).mean[0] >= 255 - TOLERANCE
    notes.append(f"transparent ground taken as {'black' if is_white else 'white'}")
    return Image.composite(grey, Image.new("L", grey.size, 0 if is_white else 255), alpha)
