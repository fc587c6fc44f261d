"""Finds a garment in a grey photograph: fits the light of the ground, and takes what differs.

The thresholds were chosen by `python -m benchmarks.framing --half tuning` and on the data set's own
images.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

__all__ = ["MIDDLE", "TOLERANCE", "Box", "Scene", "corner_grey", "survey"]

# A ground with a grey value above this is light. No image of the data set has a corner median above
# it; the median of the whole border would be above it in one of 35,000, where a bag touches the
# edges.
MIDDLE = 127
# The garment's grey values differ from the ground's by more than this; less is noise and shade.
TOLERANCE = 30
# Garment and ground are looked for in a copy whose longer side has this many pixels, four times the
# data set's: averaging removes noise, and the search is fast for an image of any size.
COPY_SIDE = 112
# The fit of the ground begins in the four corners, of this share of each side.
CORNER = 0.08
# Pixels so close to the fitted ground are taken for ground in the next round of the fit.
NEAR, ROUNDS = 12.0, 12
# An even ground is taken if it explains at least this share of the pixels that a surface explains,
# with a deviation of at most so many greys.
EVEN, STILL = 0.8, 2.0
# Deviation of the ground from its fit, in greys, and number of places along the edges that differ
# from it, beyond which it has a pattern. The copy is blurred until that is fainter, at most by this
# radius.
QUIET, MAX_CROSSINGS, MAX_BLUR = 4.0, 10, 4
# Parts of the garment, as shares of the largest one: a smaller one is a speck; one so large that
# lies apart may be another thing.
SPECK, SECOND = 0.02, 0.3
# A garment covers at least this share of the image.
MIN_COVER = 0.004

Grey = npt.NDArray[np.float64]
Mask = npt.NDArray[np.bool_]
# Left, top, right and bottom, in pixels.
Box = tuple[float, float, float, float]


class Scene(NamedTuple):
    """Ground and garment of a photograph.

    Attributes:
        ground: (h, w) grey values of the ground in a small copy, also behind the garment.
        garment: the box around the garment, in pixels of the photograph; None if there is none.
        is_darker: the garment is darker than the ground; without a garment, the ground is light.
        mask: (h, w); True where the garment is and around it, or everywhere if the ground has no
            pattern to remove.
        doubt: the reason why the box may be wrong; empty if there is none.
    """

    ground: Grey
    garment: Box | None
    is_darker: bool
    mask: Mask
    doubt: str


def corner_grey(copy: npt.NDArray[Any]) -> int:
    """Return the median grey value of the four corners of an (h, w) image."""
    return int(np.median(copy[_corners(copy.shape, 1 / 28)]))


def survey(grey: Image.Image) -> Scene:
    """Find ground and garment in an image of mode L."""
    copy, ground, spread, radius = _without_pattern(_small_copy(grey))
    difference = copy - ground
    found = np.abs(difference) > max(TOLERANCE, 2.5 * spread)
    if radius and found.any():
        # A blur widens the garment by what lies below a part of its difference.
        found &= np.abs(difference) > np.median(np.abs(difference)[found]) / 3
    # On a ground without a pattern, averaging has removed specks already, and straps are thin.
    found, num_apart = _without_specks(found, SPECK if radius else 0)
    if found.mean() < MIN_COVER:
        return Scene(ground, None, bool(np.median(ground) > MIDDLE), np.ones_like(found), "")
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    down, across = grey.height / len(copy), grey.width / copy.shape[1]
    box = (columns[0] * across, rows[0] * down, (columns[-1] + 1) * across, (rows[-1] + 1) * down)
    doubt = ""
    if spread > QUIET:
        doubt = "the ground is uneven"
    elif num_apart > 1:
        doubt = f"{num_apart} things lie apart from each other"
    elif found[[0, -1]].any() or found[:, [0, -1]].any():
        doubt = "it touches the edge of the image"
    mask = _grown(found, radius + 1) if radius else np.ones_like(found)
    return Scene(ground, box, bool(difference[found].mean() < 0), mask, doubt)


def _without_pattern(small: Grey) -> tuple[Grey, Grey, float, int]:
    """Blur a small copy until its ground has no pattern.

    Returns:
        The copy, its ground, the deviation of the copy from that, and the radius of the blur.
    """
    copy, radius = small, 0
    ground, spread = _fit_ground(copy)
    sharp, is_crossed = (copy, ground, spread, radius), _num_crossings(copy, ground) > MAX_CROSSINGS
    while radius < MAX_BLUR and (spread > QUIET or _num_crossings(copy, ground) > MAX_CROSSINGS):
        radius += 1
        copy = _blurred(small, radius)
        ground, spread = _fit_ground(copy)
    # A blur makes a pattern fainter, but no uneven light.
    is_fainter = is_crossed or spread <= sharp[2] / 2
    return (copy, ground, spread, radius) if is_fainter else sharp


def _num_crossings(copy: Grey, ground: Grey) -> int:
    """Count the runs of pixels along the four edges that differ from the ground.

    A garment makes a few at most, and a pattern many.
    """
    found = np.abs(copy - ground) > TOLERANCE
    around = np.r_[found[0], found[:, -1], found[-1, ::-1], found[::-1, 0]]
    return int((around[1:] & ~around[:-1]).sum())


def _small_copy(grey: Image.Image) -> Grey:
    """Shrink the image until its longer side is at most `COPY_SIDE`; (h, w) grey values."""
    scale = min(1.0, COPY_SIDE / max(grey.size))
    width, height = (max(1, round(side * scale)) for side in grey.size)
    copy = grey.resize((width, height), Image.Resampling.BOX)
    # Averaging makes specks fainter, and the filter removes the rest of them.
    return np.asarray(copy.filter(ImageFilter.MedianFilter(3)) if scale < 1 else copy, np.float64)


def _blurred(copy: Grey, radius: int) -> Grey:
    """Return the means of squares of 2 radius + 1 pixels a side."""
    if not radius:
        return copy
    side = 2 * radius + 1
    padded = np.pad(copy, radius, mode="edge")
    windows = np.lib.stride_tricks.sliding_window_view(padded, (side, side))
    return np.asarray(windows.mean(axis=(2, 3)))


def _corners(shape: tuple[int, ...], share: float) -> Any:
    """Return the index of the four corners, of `share` of each side."""
    rows, columns = (max(1, round(side * share)) for side in shape)
    return np.ix_(np.r_[:rows, -rows:0], np.r_[:columns, -columns:0])


def _fit_ground(copy: Grey) -> tuple[Grey, float]:
    """Fit a quadratic surface to the ground's grey values, beginning in the corners.

    A quadratic follows light that falls off to one side, and from the middle as a lens' does. In
    each round it is fitted to the pixels that are near it, so it grows inwards from the corners and
    stops at the garment, also if that fills most of the image.

    Returns:
        (h, w) the surface, and the standard deviation of the ground from it.
    """
    # Every other pixel will do.
    part = copy[::2, ::2]
    terms, corners = _quadratic_terms(part.shape), _corners(part.shape, CORNER)
    values = part[corners].ravel()
    # A plane first; with absolute errors, as the garment may cover one of the corners.
    plane = _least_absolute(terms[corners].reshape(values.size, -1)[:, :3], values)
    factors, lowest, highest = np.r_[plane, 0, 0, 0], part.min(), part.max()
    ground = (terms @ factors).clip(lowest, highest)
    for _ in range(ROUNDS):
        error = np.abs(part - ground)
        near = error < max(NEAR, 2.5 * _deviation(error[corners]))
        if near.sum() < 2 * terms.shape[-1]:
            break
        before, factors = ground, _least_squares(terms[near], part[near])
        # Beyond the pixels that it was fitted to, a quadratic may run away.
        lowest, highest = part[near].min(), part[near].max()
        ground = (terms @ factors).clip(lowest, highest)
        if np.abs(ground - before).max() < 0.5:
            break
    surface = (_quadratic_terms(copy.shape) @ factors).clip(lowest, highest)
    even = np.full(copy.shape, float(corner_grey(copy)))
    (spread, explained), (even_spread, even_explained) = (
        _explained(copy, each) for each in (surface, even)
    )
    # A surface may follow a garment that is faint at its edge.
    if even_spread <= STILL and even_explained >= EVEN * explained:
        return even, even_spread
    return surface, spread


def _explained(copy: Grey, ground: Grey) -> tuple[float, int]:
    """Return the deviation from a ground of the pixels that it explains, and their number."""
    error = np.abs(copy - ground)
    # Others are the garment's.
    error = error[error < TOLERANCE]
    return (_deviation(error) if error.size else float(TOLERANCE)), error.size


def _quadratic_terms(shape: tuple[int, ...]) -> Grey:
    """Return 1, x, y, x^2, xy and y^2 of each pixel, x and y from -1 to 1; (h, w, 6)."""
    Y, X = np.meshgrid(*(np.linspace(-1, 1, side) for side in shape), indexing="ij")
    return np.stack([np.ones_like(X), X, Y, X * X, X * Y, Y * Y], axis=-1)


def _least_squares(terms: Grey, values: Grey, weights: Grey | None = None) -> Grey:
    """Solve the normal equations, which is ten times as fast as a decomposition of the terms."""
    weighted = terms if weights is None else terms * weights[:, None]
    # In an image of one pixel's width, some terms are equal.
    ridge = 1e-6 * np.eye(terms.shape[1])
    return np.asarray(np.linalg.solve(weighted.T @ terms + ridge, weighted.T @ values))


def _least_absolute(terms: Grey, values: Grey) -> Grey:
    """Minimise the sum of the absolute errors by least squares with weights, ten times."""
    weights = np.ones_like(values)
    for _ in range(10):
        found = _least_squares(terms, values, weights)
        weights = 1 / np.abs(values - terms @ found).clip(1)
    return found


def _deviation(errors: Grey) -> float:
    """Estimate a normal distribution's standard deviation from absolute errors."""
    return 1.4826 * float(np.median(errors))


def _without_specks(found: Mask, share: float) -> tuple[Mask, int]:
    """Remove connected parts below a share of the largest; also count large ones that lie apart."""
    labels = _connected(found)
    names, sizes = np.unique(labels[found], return_counts=True)
    if not len(names):
        return found, 0
    largest = sizes.max()
    boxes: list[tuple[slice, slice]] = []
    for name in names[sizes >= SECOND * largest]:
        rows, columns = np.nonzero(labels == name)
        box = slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)
        if not any(_meet(box, other) for other in boxes):
            boxes.append(box)
    return np.isin(labels, names[sizes >= share * largest]), len(boxes)


def _meet(one: tuple[slice, slice], other: tuple[slice, slice]) -> bool:
    return all(a.start < b.stop and b.start < a.stop for a, b in zip(one, other, strict=True))


def _connected(found: Mask) -> npt.NDArray[np.int64]:
    """Give each connected part a number of its own, and all else 0.

    Each run of pixels in a row takes the highest number in it, then each run in a column, until
    nothing changes.
    """
    labels = np.where(found, np.arange(1, found.size + 1).reshape(found.shape), 0)
    while True:
        spread = _highest_of_runs(_highest_of_runs(labels).T).T
        if (spread == labels).all():
            return labels
        labels = spread


def _highest_of_runs(labels: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Give all pixels of a run in a row, without a 0 between, the highest number in it."""
    # A column of zeros ends the runs of each row.
    flat = np.pad(labels, ((0, 0), (0, 1))).ravel()
    starts = np.flatnonzero(np.diff(flat > 0, prepend=not flat[0]))
    lengths = np.diff(starts, append=flat.size)
    highest = np.repeat(np.maximum.reduceat(flat, starts), lengths)
    return highest.reshape(len(labels), -1)[:, :-1]


def _grown(found: Mask, pixels: int) -> Mask:
    """Add a margin of so many pixels."""
    image = Image.fromarray(found.astype(np.uint8))
    return np.asarray(image.filter(ImageFilter.MaxFilter(2 * pixels + 1))) > 0
