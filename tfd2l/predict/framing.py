"""Frames a garment as Fashion-MNIST does: light on black, centred, filling the image.

The thresholds for a garment's size and place were measured on the data set's 70,000 images.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageOps

from tfd2l.predict.garment import MIDDLE, TOLERANCE, Box, Scene, corner_grey, survey

__all__ = ["DOUBT", "NO_GARMENT", "frame"]

# Begins the note that a crop may be wrong; the reason follows.
DOUBT = "cropped to what may be the garment: "
NO_GARMENT = "no garment found: nothing stands out from the ground"
# In all but one in a thousand of the data set's images, the garment is at least this long and at
# most this far off the middle, as fractions of the longer side.
FILLS, OFF_CENTRE = 0.85, 0.075


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
    scene = _plain_scene(grey) if grey.size == size[::-1] else survey(grey)
    if scene.garment is None:
        notes.append(NO_GARMENT)
    if grey.size == size[::-1] and scene.ground.max() <= MIDDLE:
        return np.array(grey)
    if scene.is_darker:
        grey, scene = ImageOps.invert(grey), scene._replace(ground=255 - scene.ground)
        what = "garment was darker than the ground" if scene.garment else "ground was light"
        notes.append(f"inverted: the {what}")
    box: Box = (0.0, 0.0, float(grey.width), float(grey.height))
    if grey.size != size[::-1]:
        box = _crop(grey, scene, size, notes)
    framed = _fit(grey, scene, box, size, notes)
    if scene.ground.round().any():
        lowest, highest = round(scene.ground.min()), round(scene.ground.max())
        greys = f"grey, {lowest}," if lowest == highest else f"greys, {lowest} to {highest},"
        notes.append(f"the ground's {greys} made 0")
    return framed


def _plain_scene(grey: Image.Image) -> Scene:
    """Return the scene of an image that is not to be cropped: its ground is that of its corners."""
    image = np.asarray(grey, np.float64)
    ground = corner_grey(image)
    found = np.abs(image - ground) > TOLERANCE
    everything = np.ones_like(found)
    surface = np.full(image.shape, float(ground))
    if not found.any():
        return Scene(surface, None, ground > MIDDLE, everything, "")
    whole: Box = (0.0, 0.0, float(grey.width), float(grey.height))
    return Scene(surface, whole, bool((image - ground)[found].mean() < 0), everything, "")


def _crop(grey: Image.Image, scene: Scene, size: tuple[int, int], notes: list[str]) -> Box:
    """Return the part of the image that is to fill the frame."""
    whole = (0.0, 0.0, float(grey.width), float(grey.height))
    if scene.garment is None:
        return whole
    left, top, right, bottom = scene.garment
    longer = max(grey.size)
    off = max(abs(left + right - grey.width), abs(top + bottom - grey.height)) / 2
    if (
        round(grey.width * size[0] / size[1]) == grey.height
        and max(right - left, bottom - top) >= FILLS * longer
        and off <= OFF_CENTRE * longer
    ):
        return whole
    if scene.doubt:
        notes.append(f"{DOUBT}{scene.doubt}")
    else:
        notes.append("cropped to the garment")
    return scene.garment


def _fit(
    grey: Image.Image, scene: Scene, box: Box, size: tuple[int, int], notes: list[str]
) -> npt.NDArray[np.uint8]:
    """Resize a part of the image as large as fits, make its ground 0, and centre it on black."""
    height, width = size
    left, top, right, bottom = box
    scale = min(width / (right - left), height / (bottom - top))
    fitted = (
        min(width, max(1, round((right - left) * scale))),
        min(height, max(1, round((bottom - top) * scale))),
    )
    part = _without_ground(_resized(grey, fitted, box), _of_copy(scene.ground, grey, fitted, box))
    part *= _of_copy(scene.mask.astype(np.float64), grey, fitted, box)
    framed = np.zeros(size, np.uint8)
    top_row, left_column = (height - fitted[1]) // 2, (width - fitted[0]) // 2
    rows, columns = slice(top_row, top_row + fitted[1]), slice(left_column, left_column + fitted[0])
    framed[rows, columns] = part.round()
    if fitted != (width, height):
        notes.append("padded to a square" if width == height else "padded")
    if grey.size != (width, height):
        notes.append(f"resized to {height} x {width}")
    return framed


def _resized(image: Image.Image, size: tuple[int, int], box: Box) -> Image.Image:
    # BOX takes means, which restores an image that was enlarged, but it can't enlarge smoothly.
    is_smaller = size[0] < box[2] - box[0]
    return image.resize(size, Image.Resampling.BOX if is_smaller else Image.Resampling.LANCZOS, box)


def _of_copy(
    values: npt.NDArray[np.float64], grey: Image.Image, size: tuple[int, int], box: Box
) -> npt.NDArray[np.float64]:
    """Resize the part of a small copy's values that lies in a box of the image."""
    if np.ptp(values) == 0:
        return np.full(size[::-1], values.flat[0])
    across, down = values.shape[1] / grey.width, values.shape[0] / grey.height
    part = (box[0] * across, box[1] * down, box[2] * across, box[3] * down)
    image = Image.fromarray(values.astype(np.float32))
    return np.asarray(image.resize(size, Image.Resampling.BILINEAR, part), np.float64)


def _without_ground(part: Image.Image, ground: npt.NDArray[np.float64]) -> npt.NDArray[Any]:
    """Shift the greys so that the ground is 0, and stretch them so that 255 stays 255."""
    stretch = 255 / (255 - ground).clip(1)
    return ((np.asarray(part, np.float64) - ground) * stretch).clip(0, 255)
