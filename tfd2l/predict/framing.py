"""A garment on a plain ground, as Fashion-MNIST has it: light on black, centred, filling the frame.

What counts as ground and as garment, and how large and how central a garment is, was measured on
the data set's 70,000 images.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter, ImageOps

__all__ = ["TOLERANCE", "frame"]

# Of 0..255; a ground above it is light. In none of the data set's images the median of the corners
# is, while one in 35,000 has a bag along most of its edges.
MIDDLE = 127
# Grey values of the garment differ from the ground's by more than this; less is noise and shade.
TOLERANCE = 30
# Garment and ground are found in a copy whose longer side has four times the data set's pixels:
# averaging removes noise, and nothing large is searched.
COPY_SIDE = 112
# Of the longer side: how long a garment is at least, and how far off its middle at most, in all but
# one in a thousand of the data set's images.
FILLS, OFF_CENTRE = 0.85, 0.075

# Left, top, right and bottom, in pixels.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class _Scene:
    """What was found in an image.

    Attributes:
        ground: the ground's grey.
        garment: where there is something else; None if nowhere.
        is_darker: whether that is darker than the ground; without a garment, whether it would be.
    """

    ground: int
    garment: Box | None
    is_darker: bool


def frame(grey: Image.Image, size: tuple[int, int], notes: list[str]) -> npt.NDArray[np.uint8]:
    """Invert if need be, crop, resize, centre and make the ground 0.

    An image that has the size is neither cropped nor resized; with a dark ground, as the data set's
    own have, it is given back bit for bit.

    Args:
        grey: mode L.
        size: (height, width) of the result, in pixels.
        notes: what was done is added.

    Returns:
        (height, width) uint8.
    """
    scene = _survey(grey)
    ground, has_size = scene.ground, grey.size == size[::-1]
    if scene.garment is None:
        notes.append("no garment found: nothing stands out from the ground")
    if has_size and ground <= MIDDLE:
        return np.array(grey)
    if scene.is_darker:
        grey, ground = ImageOps.invert(grey), 255 - ground
        what = "ground was light" if scene.garment is None else "garment was darker than the ground"
        notes.append(f"inverted: the {what}")
    if has_size:
        framed = np.array(grey)
    else:
        framed = _fit(grey, _crop(grey, scene.garment, size, notes), ground, size, notes)
    if not ground:
        return framed
    notes.append(f"the ground's grey, {ground}, made 0")
    shifted = (framed.astype(np.float64) - ground) * (255 / (255 - ground))
    shifted.clip(0, 255, out=shifted)
    return shifted.round().astype(np.uint8)


def _survey(grey: Image.Image) -> _Scene:
    """Find garment and ground."""
    copy = _small_copy(grey)
    ground = _ground(copy)
    difference = copy - ground
    found = abs(difference) > TOLERANCE
    if not found.any():
        return _Scene(ground, None, ground > MIDDLE)
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    down, across = grey.height / len(copy), grey.width / copy.shape[1]
    box = (columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down)
    garment = (float(box[0]), float(box[1]), float(box[2]), float(box[3]))
    return _Scene(ground, garment, bool(difference[found].mean() < 0))


def _small_copy(grey: Image.Image) -> npt.NDArray[np.int64]:
    """(h, w) the image with its longer side at most `COPY_SIDE`."""
    scale = min(1.0, COPY_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    copy = grey.resize((width, height), Image.Resampling.BOX)
    # Averaging makes specks fainter; this removes what is left of them.
    return np.asarray(copy.filter(ImageFilter.MedianFilter(3)) if scale < 1 else copy, np.int64)


def _ground(copy: npt.NDArray[np.int64]) -> int:
    """The grey of the ground: the median of the corners."""
    rows, columns = (max(1, side // 28) for side in copy.shape)
    corners = [copy[:rows, :columns], copy[:rows, -columns:]]
    corners += [copy[-rows:, :columns], copy[-rows:, -columns:]]
    return int(np.median(np.concatenate([corner.ravel() for corner in corners])))


def _crop(grey: Image.Image, garment: Box | None, size: tuple[int, int], notes: list[str]) -> Box:
    """Which part of the image is to fill the frame."""
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
    """A part of the image as large as fits, in the middle of a ground of (height, width)."""
    height, width = size
    left, top, right, bottom = box
    scale = min(width / (right - left), height / (bottom - top))
    fitted = (
        min(width, max(1, round((right - left) * scale))),
        min(height, max(1, round((bottom - top) * scale))),
    )
    # The mean of the pixels gives back an image that was enlarged; it would not enlarge smoothly.
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.LANCZOS
    framed = Image.new("L", (width, height), ground)
    framed.paste(
        grey.resize(fitted, how, box=box), ((width - fitted[0]) // 2, (height - fitted[1]) // 2)
    )
    if fitted != (width, height):
        notes.append("padded to a square" if width == height else "padded")
    notes.append(f"resized to {height} x {width}")
    return np.array(framed)
