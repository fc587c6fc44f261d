"""Frames a garment as Fashion-MNIST does: light on black, centred, filling the image.

The thresholds for ground and garment, and for a garment's size and place, were measured on the data
set's 70,000 images.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

__all__ = ["TOLERANCE", "frame"]

# A ground with a grey value above this is light. No image of the data set has a corner median above
# it; the median of the whole border would be above it in one of 35,000, where a bag touches the
# edges.
MIDDLE = 127
# The garment's grey values differ from the ground's by more than this; less is noise and shade.
TOLERANCE = 30
# Garment and ground are looked for in a copy whose longer side has this many pixels, four times the
# data set's: averaging removes noise, and the search is fast for an image of any size.
COPY_SIDE = 112
# In all but one in a thousand of the data set's images, the garment is at least this long and at
# most this far off the middle, as fractions of the longer side.
FILLS, OFF_CENTRE = 0.85, 0.075

# Left, top, right and bottom, in pixels.
Box = tuple[float, float, float, float]


class _Scene(NamedTuple):
    """Grey value of the ground, and the box around all other pixels; None if there are none.

    `is_darker` is True if the garment is darker than the ground; without a garment, if the ground
    is light.
    """

    ground: int
    garment: Box | None
    is_darker: bool


def frame(grey: Image.Image, size: tuple[int, int], notes: list[str]) -> npt.NDArray[np.uint8]:
    """Invert an image if need be, crop it, resize it, centre it and make the ground 0.

    An image that has the size is neither cropped nor resized; if its ground is dark, as in the data
    set's own images, it is returned bit for bit.

    Args:
        grey: an image of mode L.
        size: (height, width) of the result, in pixels.
        notes: a list to which each change is appended.

    Returns:
        (height, width) uint8.
    """
    ground, garment, is_darker = _survey(grey)
    has_size = grey.size == size[::-1]
    if garment is None:
        notes.append("no garment found: nothing stands out from the ground")
    if has_size and ground <= MIDDLE:
        return np.array(grey)
    if is_darker:
        grey, ground = ImageOps.invert(grey), 255 - ground
        what = "ground was light" if garment is None else "garment was darker than the ground"
        notes.append(f"inverted: the {what}")
    if has_size:
        framed = np.array(grey)
    else:
        framed = _fit(grey, _crop(grey, garment, size, notes), ground, size, notes)
    if not ground:
        return framed
    notes.append(f"the ground's grey, {ground}, made 0")
    shifted = (framed.astype(np.float64) - ground) * (255 / (255 - ground))
    return shifted.clip(0, 255).round().astype(np.uint8)


def _survey(grey: Image.Image) -> _Scene:
    """Find ground and garment."""
    copy = _small_copy(grey)
    ground = _ground(copy)
    difference = copy - ground
    found = abs(difference) > TOLERANCE
    if not found.any():
        return _Scene(ground, None, ground > MIDDLE)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    down, across = grey.height / len(copy), grey.width / copy.shape[1]
    box = (columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down)
    return _Scene(ground, box, bool(difference[found].mean() < 0))


def _small_copy(grey: Image.Image) -> npt.NDArray[np.int64]:
    """Shrink the image until its longer side is at most `COPY_SIDE`; (h, w) grey values."""
    scale = min(1.0, COPY_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    copy = grey.resize((width, height), Image.Resampling.BOX)
    # Averaging makes specks fainter, and the filter removes the rest of them.
    return np.asarray(copy.filter(ImageFilter.MedianFilter(3)) if scale < 1 else copy, np.int64)


def _ground(copy: npt.NDArray[np.int64]) -> int:
    """Return the ground's grey value: the median of the four corners."""
    rows, columns = (max(1, side // 28) for side in copy.shape)
    corners = copy[np.ix_(np.r_[:rows, -rows:0], np.r_[:columns, -columns:0])]
    return int(np.median(corners))


def _crop(grey: Image.Image, garment: Box | None, size: tuple[int, int], notes: list[str]) -> Box:
    """Return the part of the image that is to fill the frame."""
    whole = (0.0, 0.0, float(grey.width), float(grey.height))
    if garment is None:
        return whole
    left, top, right, bottom = garment
    longer = max(grey.size)
    off = max(abs(left + right - grey.width), abs(top + bottom - grey.height)) / 2
    if (
        round(grey.width * size[0] / size[1]) == grey.height
        and max(right - left, bottom - top) >= FILLS * longer
        and off <= OFF_CENTRE * longer
    ):
        return whole
    notes.append("cropped to the garment")
    return garment


def _fit(
    grey: Image.Image, box: Box, ground: int, size: tuple[int, int], notes: list[str]
) -> npt.NDArray[np.uint8]:
    """Resize a part of the image as large as fits, in the middle of a ground of (height, width)."""
    height, width = size
    left, top, right, bottom = box
    scale = min(width / (right - left), height / (bottom - top))
    fitted = (
        min(width, max(1, round((right - left) * scale))),
        min(height, max(1, round((bottom - top) * scale))),
    )
    # BOX takes means, which restores an image that was enlarged, but it can't enlarge smoothly.
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.LANCZOS
    framed = Image.new("L", (width, height), ground)
    corner = ((width - fitted[0]) // 2, (height - fitted[1]) // 2)
    framed.paste(grey.resize(fitted, how, box=box), corner)
    if fitted != (width, height):
        notes.append("padded to a square" if width == height else "padded")
    notes.append(f"resized to {height} x {width}")
    return np.array(framed)
