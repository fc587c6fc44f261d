"""Reads image files in the form that a model takes: of its size and channels, framed or not.

Pillow decodes; TensorFlow is not needed. For any bytes the result is a picture of the right size or
an `ImageError`, within 1 GB of memory.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps, ImageStat, UnidentifiedImageError

from pipelines.basics.file_kinds import kind_of
from tfd2l.common.errors import Tfd2lError
from tfd2l.predict.framing import DOUBT, NO_GARMENT, frame
from tfd2l.predict.garment import TOLERANCE

if TYPE_CHECKING:
    from pipelines.raw_inputs import Framing

__all__ = ["FRAMINGS", "MAX_BYTES", "ImageError", "Prepared", "read_image", "read_image_file"]

FRAMINGS: tuple[Framing, ...] = ("garment", "none")
# The formats that Pillow decodes in C, without allocating memory before the header's size can be
# checked and without a second format inside (as TIFF and ICO have). A WebP file's size is read
# here, as Pillow's decoder allocates memory when it opens the file.
FORMATS = ("PNG", "JPEG", "GIF", "BMP", "WEBP")
# For a file of nothing but tiny sections Pillow takes 40 times its size in memory, and 0.3 s a MB.
MAX_BYTES = 24 * 2**20
# 67 million, so that a 64-megapixel photograph is read. Four bytes each, and a few copies on the
# way: measured 0.6 GB, and 0.8 GB for a progressive JPEG file, whose coefficients are kept.
MAX_PIXELS = 2**26
# Pillow's WebP decoder holds four copies of four bytes a pixel: measured 0.8 GB.
MAX_WEBP_PIXELS = 2**25
MAX_ASPECT = 20
MAX_SIDE = 4096
SMALLER = "Make it smaller: 1,000 pixels a side are more than enough."


class ImageError(Tfd2lError, ValueError):
    """An image can't be read in the form that a model takes."""


@dataclass(frozen=True, eq=False)
class Prepared:
    """An image in the form that a model takes.

    Attributes:
        pixels: (height, width) uint8, or (height, width, 3) in colour; read-only.
        notes: the changes that were made to its size and greys, in order.
    """

    pixels: npt.NDArray[np.uint8]
    notes: tuple[str, ...]

    @property
    def shows_garment(self) -> bool:
        """False if a garment was looked for and not found; a model's answer means nothing then."""
        return NO_GARMENT not in self.notes

    @property
    def doubt(self) -> str:
        """The reason why the crop to the garment may be wrong; empty if there is none."""
        doubts = [note.removeprefix(DOUBT) for note in self.notes if note.startswith(DOUBT)]
        return doubts[0] if doubts else ""


def read_image_file(
    path: Path | str,
    size: tuple[int, int] = (28, 28),
    *,
    channels: int = 1,
    framing: Framing = "garment",
) -> Prepared:
    """Read an image file in the form that a model takes; see `read_image`.

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
        ...     framed = d2l.read_image_file(path)
        ...     resized = d2l.read_image_file(path, (48, 64), channels=3, framing="none")
        >>> framed.pixels.shape
        (28, 28)
        >>> framed.notes
        ('inverted: the garment was darker than the ground', 'resized to 28 x 28')
        >>> resized.pixels.shape
        (48, 64, 3)
    """
    try:
        with Path(path).open("rb") as file:
            # One byte more than allowed shows that the file is too long, without reading all of it.
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise ImageError(f"the file can't be read: {error.strerror}. Check its name.") from error
    return read_image(data, size, channels=channels, framing=framing)


def read_image(
    data: bytes,
    size: tuple[int, int] = (28, 28),
    *,
    channels: int = 1,
    framing: Framing = "garment",
) -> Prepared:
    """Decode an image, turn it upright as its EXIF data say, and give it a size and channels.

    With framing 'none' it is resized to the size, stretched if need be, by bilinear interpolation
    with antialiasing, as training resizes; nothing is cropped or inverted. What is transparent
    becomes white.

    With framing 'garment' the image is made to look like one of Fashion-MNIST. A grey image that
    has the size and a dark ground is returned bit for bit. Others are made grey, inverted if the
    garment is darker than its ground, and shifted in grey so that the ground is 0; those of another
    size are cropped to the garment (unless that fills the image already), resized, and centred on
    the ground. The ground is a quadratic surface, which follows light that falls off; where it has
    a pattern, all but the garment becomes 0. A note says where the crop may be wrong, and where no
    garment was found.

    Args:
        data: a PNG, JPEG, GIF, BMP or WebP file of any mode; if it has several pictures, the first
            is taken.
        size: (height, width) of the result, in pixels.
        channels: 1 for grey, 3 for colour (RGB); a garment is always grey.
        framing: 'garment' or 'none'.

    Raises:
        ImageError: another format, a damaged file, one of more than `MAX_BYTES` or `MAX_PIXELS` or
            that is more than `MAX_ASPECT` times as long as wide, or one in which nothing is opaque;
            `size` is not two whole numbers from 1 to `MAX_SIDE`, or `channels` and `framing` don't
            go together.
    """
    _check_form(size, channels, framing)
    if len(data) > MAX_BYTES:
        raise ImageError(f"an image file may have at most {MAX_BYTES:,} bytes; got more. {SMALLER}")
    notes: list[str] = []
    try:
        # No name keeps a copy that is done with.
        if framing == "garment":
            pixels = frame(_make_grey(_decode(data), notes), size, notes)
        else:
            pixels = _resized(_make_plain(_decode(data), notes), size, channels, notes)
    except ImageError:
        raise
    except Exception as error:  # Pillow's decoders raise almost anything on damaged files
        raise ImageError(
            f"the image can't be decoded: {str(error) or type(error).__name__}. Save it again as "
            "PNG or JPEG."
        ) from error
    pixels.setflags(write=False)
    return Prepared(pixels, tuple(notes))


def _check_form(size: tuple[int, int], channels: int, framing: str) -> None:
    sizes = [*size] if isinstance(size, Sequence) else []
    if len(sizes) != 2 or not all(type(n) is int and 1 <= n <= MAX_SIDE for n in sizes):
        raise ImageError(
            f"size must be (height, width) in pixels, each from 1 to {MAX_SIDE}; got {size!r}. "
            "Fashion-MNIST has (28, 28)."
        )
    if (channels, framing) not in ((1, "garment"), (1, "none"), (3, "none")):
        raise ImageError(
            "an image is read with 1 channel (grey), or with framing 'none' also with 3 (colour); "
            f"got {channels!r} channels and framing {framing!r}."
        )


def _decode(data: bytes) -> Image.Image:
    """Decode the first picture, if its header is acceptable, and turn it upright."""
    if (size := _webp_size(data)) is not None:
        _check_size(*size, MAX_WEBP_PIXELS)
    try:
        # Reads the header alone, but for WebP.
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageError(
            f"an image must be a PNG, JPEG, GIF, BMP or WebP file; this is {kind_of(data)}. Save "
            "it as PNG or JPEG."
        ) from error
    _check_size(*image.size, MAX_PIXELS)
    image.load()
    ImageOps.exif_transpose(image, in_place=True)
    return image


def _webp_size(data: bytes) -> tuple[int, int] | None:
    """Read width and height from the header of a WebP file; None for other files.

    Source: RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1.
    """
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP":
        return None

    def number(start: int, length: int) -> int:
        return int.from_bytes(data[start : start + length], "little")

    kind = data[12:16]
    if kind == b"VP8X":
        return number(24, 3) + 1, number(27, 3) + 1
    if kind == b"VP8L":
        bits = number(21, 4)
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return number(26, 2) & 0x3FFF, number(28, 2) & 0x3FFF


def _check_size(width: int, height: int, max_pixels: int) -> None:
    if width * height > max_pixels:
        raise ImageError(
            f"an image may have at most {max_pixels:,} pixels; got {width} x {height}. {SMALLER}"
        )
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(
            f"an image may be at most {MAX_ASPECT} times as long as wide; got {width} x {height} "
            "(width x height). Crop it."
        )


def _make_plain(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert the image to mode L or RGB; what is transparent becomes white."""
    if image.mode.startswith("I;16"):
        image = _upper_bytes(image)
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
        if alpha.getextrema() != (255, 255):
            notes.append("transparent pixels made white")
            ground = Image.new("RGB", image.size, "white")
            ground.paste(image, mask=alpha)
            image = ground
    return image if image.mode in ("L", "RGB") else image.convert("RGB")


def _resized(
    image: Image.Image, size: tuple[int, int], channels: int, notes: list[str]
) -> npt.NDArray[np.uint8]:
    """Stretch an image of mode L or RGB to the size, then make it grey or colour."""
    height, width = size
    if image.size != (width, height):
        notes.append(f"{image.width} x {image.height} resized to {height} x {width}")
        # Pillow's filter widens with the scale, as `antialias=True` in TensorFlow.
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    if image.mode != "L" and channels == 1:
        notes.append("made grey")
    return np.array(image.convert("L" if channels == 1 else "RGB"))


def _make_grey(image: Image.Image, notes: list[str]) -> Image.Image:
    """Convert the image to mode L; transparent pixels show a white or a black ground."""
    if image.mode != "L":
        notes.append(f"{image.width} x {image.height} {image.mode} made grey")
    if image.mode.startswith("I;16"):
        return _upper_bytes(image)
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


def _upper_bytes(image: Image.Image) -> Image.Image:
    # Pillow's own conversion clips; for deep colours it takes the upper byte, as here.
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
