"""`python -m benchmarks.framing`: how well garments are found on made photographs.

Garments of Fashion-MNIST lie on grounds of several kinds, in several sizes and places, dark on
light and light on dark. A framing is right if its box and the garment's own overlap by three
quarters (intersection over union). `same class` is the share of photographs for which a model
answers as for the data set's own image. Thresholds were chosen on the first half of the set
(`--half tuning`); the second half is reported.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image, ImageFilter

import tfd2l as d2l
from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tfd2l.common.figures import new_figure, save_figure
from tfd2l.predict.framing import NO_GARMENT, frame
from tfd2l.predict.garment import Box, survey

Array = np.ndarray[Any, Any]
# Overlap from which a framing is right, and the grey difference from which a part is visible.
RIGHT, VISIBLE = 0.75, 25


@dataclass(frozen=True)
class Photograph:
    """A made photograph.

    Attributes:
        grey: the picture.
        original: (28, 28) uint8, the data set's image; None if there is no garment in it.
        box: left, top, right and bottom of what can be seen of the garment, in pixels.
    """

    grey: Image.Image
    original: Array | None
    box: Box | None


def plain(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Return the light of every pixel: 1."""
    return np.ones_like(x * y)


def vignette(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Fall off by 10 to 50 % from the middle to the corners, as a lens does."""
    power = random.uniform(1, 2)
    return np.asarray(1 - random.uniform(0.1, 0.5) * ((x**2 + y**2) / 2) ** power)


def gradient(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Fall off by 10 to 60 % from one side to the other, as beside a window."""
    angle = random.uniform(0, 2 * np.pi)
    along = np.cos(angle) * x + np.sin(angle) * y
    share = (along - along.min()) / np.ptp(along)
    return np.asarray(1 - random.uniform(0.1, 0.6) * share)


def stripes(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Alternate between two greys, 10 to 40 % apart, in any direction."""
    angle, count = random.uniform(0, np.pi), random.uniform(6, 25)
    phase = (np.cos(angle) * x + np.sin(angle) * y) * count * np.pi
    return np.asarray(1 - random.uniform(0.1, 0.4) * (np.sin(phase) > 0))


def checks(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Alternate between two greys, 10 to 40 % apart, in squares."""
    count = random.uniform(5, 20)
    both = (np.sin(x * count * np.pi) > 0) ^ (np.sin(y * count * np.pi) > 0)
    return np.asarray(1 - random.uniform(0.1, 0.4) * both)


def texture(random: np.random.Generator, y: Array, x: Array) -> Array:
    """Vary at random with a deviation of 3 to 12 %, in spots of 1 to 8 pixels, as cloth does."""
    noise = random.normal(128, 40, (x * y).shape).clip(0, 255).astype(np.uint8)
    spots = np.asarray(
        Image.fromarray(noise).filter(ImageFilter.GaussianBlur(random.uniform(0.5, 4))), float
    )
    spots -= spots.mean()
    return np.asarray(1 + random.uniform(0.03, 0.12) * spots / spots.std())


GROUNDS: dict[str, Callable[[np.random.Generator, Array, Array], Array]] = {
    "plain": plain,
    "vignette": vignette,
    "gradient": gradient,
    "stripes": stripes,
    "checks": checks,
    "texture": texture,
}
# A shadow falls on a plain ground.
KINDS = (*GROUNDS, "shadow")


def photograph(kind: str, original: Array | None, random: np.random.Generator) -> Photograph:
    """Make a photograph of 240 x 320 to 480 x 640 pixels, upright or on its side."""
    scale = random.uniform(1, 2)
    height, width = random.permutation([round(240 * scale), round(320 * scale)])
    y, x = np.linspace(-1, 1, height)[:, None], np.linspace(-1, 1, width)[None]
    light = GROUNDS.get(kind, plain)(random, y, x)
    is_dark = random.random() < 0.5
    level, ink = (random.uniform(25, 70), random.uniform(190, 250)) if is_dark else (
        random.uniform(190, 250), random.uniform(10, 60)
    )  # fmt: skip
    cover = np.zeros((height, width))
    if original is not None:
        side = round(random.uniform(0.35, 0.9) * min(height, width))
        top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
        large = Image.fromarray(original).resize((side, side), Image.Resampling.BICUBIC)
        cover[top : top + side, left : left + side] = np.asarray(large, float) / 255
    ground = level * light * (shade(cover, random) if kind == "shadow" else 1)
    # The light falls on the garment too, a texture does not.
    lit = light if kind in ("vignette", "gradient") else 1
    clean = ground + cover * (ink * lit - ground)
    noisy = clean + random.normal(0, random.uniform(1, 4), clean.shape)
    grey = Image.fromarray(noisy.clip(0, 255).round().astype(np.uint8))
    seen = np.abs(clean - ground) > VISIBLE
    return Photograph(grey, original, box_of(seen) if original is not None else None)


def shade(cover: Array, random: np.random.Generator) -> Array:
    """Return the light beside a garment that throws a soft shadow, 10 to 35 % darker."""
    side = max(cover.shape)
    # Away by 2 to 6 % of the picture's side.
    away = [round(random.uniform(0.02, 0.06) * side * sign) for sign in random.choice([-1, 1], 2)]
    moved = np.roll(cover > 0.1, away, (0, 1))
    soft = Image.fromarray(moved.astype(np.uint8) * 255).filter(
        ImageFilter.GaussianBlur(0.015 * side)
    )
    return np.asarray(1 - random.uniform(0.1, 0.35) * np.asarray(soft, float) / 255)


def box_of(seen: Array) -> Box:
    """Return the box around the pixels."""
    rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
    return columns[0], rows[0], columns[-1] + 1, rows[-1] + 1


def overlap(one: Box, other: Box) -> float:
    """Return the intersection over union of two boxes."""
    both = max(0.0, min(one[2], other[2]) - max(one[0], other[0])) * max(
        0.0, min(one[3], other[3]) - max(one[1], other[1])
    )
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return both / (areas - both)


def made_set(images: Array, per_kind: int, seed: int) -> Iterator[tuple[str, Photograph]]:
    """Yield photographs of each kind, and a quarter as many grounds without a garment."""
    for number, kind in enumerate(KINDS):
        random = np.random.default_rng([seed, number])
        for original in images[random.choice(len(images), per_kind, replace=False)]:
            yield kind, photograph(kind, original, random)
        for _ in range(per_kind // 4 if kind != "shadow" else 0):
            yield f"{kind}, no garment", photograph(kind, None, random)


@dataclass
class Score:
    """Counts for one kind of photograph."""

    total: int = 0
    right: int = 0
    unsure: int = 0
    sure_and_wrong: int = 0
    same_class: int = 0


def scores(
    photographs: list[tuple[str, Photograph]], answers: Callable[[Array], Array]
) -> dict[str, Score]:
    """Frame the photographs and compare with what is in them."""
    found: dict[str, Score] = {}
    framed = [(kind, one, *framing(one)) for kind, one in photographs]
    seen = answers(np.stack([pixels for _, _, pixels, _ in framed]))
    true = answers(
        np.stack([np.zeros((28, 28), np.uint8) if one.original is None else one.original
                  for _, one, _, _ in framed])
    )  # fmt: skip
    for (kind, one, _, notes), answer, wanted in zip(framed, seen, true, strict=True):
        score = found.setdefault(kind, Score())
        is_unsure = any("may be" in note for note in notes)
        is_right = is_framed_right(one, notes)
        score.total += 1
        score.right += is_right
        score.unsure += is_unsure
        score.sure_and_wrong += not is_right and not is_unsure
        score.same_class += bool(answer == wanted)
    return found


def framing(one: Photograph) -> tuple[Array, list[str]]:
    """Return the pixels as a model sees them, and the notes."""
    notes: list[str] = []
    return frame(one.grey, (28, 28), notes), notes


def is_framed_right(one: Photograph, notes: list[str]) -> bool:
    """Compare the box with the garment's, or with none."""
    if one.box is None:
        return NO_GARMENT in notes
    garment = survey(one.grey).garment
    return garment is not None and overlap(garment, one.box) >= RIGHT


def trained() -> Callable[[Array], Array]:
    """Train an MLP for three epochs; return a function from (n, 28, 28) uint8 to class ids."""
    keras.utils.set_random_seed(0)
    model = d2l.MLP(10, 256, lr=0.1)
    d2l.Trainer(max_epochs=3).fit(model, d2l.FashionMNIST(batch_size=256))
    return lambda images: np.asarray(model(prepare_images(images, None))).argmax(axis=1)


def draw(photographs: list[tuple[str, Photograph]], path: Path) -> None:
    """Draw the first photographs of each kind, what was found in them, and what the model sees."""
    columns = 3
    figure = new_figure((3.2 * columns, 1.7 * len(KINDS)))
    axes = figure.subplots(len(KINDS), 2 * columns, squeeze=False)
    for kind, row in zip(KINDS, axes, strict=True):
        chosen = [one for name, one in photographs if name == kind][:columns]
        for one, left, right in zip(chosen, row[::2], row[1::2], strict=True):
            pixels, notes = framing(one)
            left.imshow(one.grey, cmap="gray", vmin=0, vmax=255)
            right.imshow(pixels, cmap="gray", vmin=0, vmax=255)
            garment = survey(one.grey).garment
            if garment is not None:
                x, y = (garment[0], garment[2]), (garment[1], garment[3])
                left.plot([*x, *x[::-1], x[0]], [y[0], y[0], y[1], y[1], y[0]], linewidth=1)
            left.set_title(kind, fontsize="small")
            right.set_title("unsure" if any("may be" in n for n in notes) else "", fontsize="small")
    for each in axes.flat:
        each.set_axis_off()
    save_figure(figure, path)


def main() -> None:
    """Make the set, frame it and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.framing", description=__doc__)
    parser.add_argument("--half", choices=("tuning", "reported"), default="reported")
    parser.add_argument("--per-kind", type=int, default=200, help="photographs of each kind (200)")
    parser.add_argument("--picture", type=Path, help="also draw some, to a .png")
    options = parser.parse_args()
    half = options.half == "reported"
    images = fashion_mnist.load(download=False).val_images[5000 * half : 5000 + 5000 * half]
    photographs = list(made_set(images, options.per_kind, seed=1 + half))
    if options.picture:
        draw(photographs, options.picture)
    print("| ground | right | called unsure | wrong and not called so | same class |")
    print("|---|---|---|---|---|")
    for kind, score in scores(photographs, trained()).items():
        shares = [score.right, score.unsure, score.sure_and_wrong]
        cells = [f"{100 * count / score.total:.0f} %" for count in shares]
        same = "" if "no garment" in kind else f"{100 * score.same_class / score.total:.0f} %"
        print(f"| {kind} | {' | '.join(cells)} | {same} |")


if __name__ == "__main__":
    main()
