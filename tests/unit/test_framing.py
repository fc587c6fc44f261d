"""Garments on plain grounds, worked by hand, and what the data set's own images measure."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipelines import fashion_mnist
from tfd2l.framing import MIDDLE, frame, is_ready

Array = np.ndarray[Any, Any]


def framed(image: Array, size: tuple[int, int] = (28, 28)) -> tuple[Array, list[str]]:
    notes: list[str] = []
    return frame(Image.fromarray(image.astype(np.uint8)), size, notes), notes


def page(ground: int, garment: int, shape: tuple[int, int] = (112, 84)) -> Array:
    """A garment 56 high and 28 wide, off the middle of a page."""
    image = np.full(shape, ground)
    image[20:76, 50:78] = garment
    return image


@pytest.mark.parametrize(
    ("ground", "garment", "expected"),
    [
        (0, 200, 200),
        (255, 55, 200),
        # Lighter than a middling ground of 100: (200 - 100) * 255 / 155 = 164.5.
        (100, 200, 165),
        # Darker than it: inverted 155 and 210, (210 - 155) * 255 / 100 = 140.25.
        (100, 45, 140),
        # Lighter than a light ground: (250 - 155) * 255 / 100 = 242.25.
        (155, 250, 242),
    ],
)
def test_a_garment_is_cropped_centred_and_light_on_black(
    ground: int, garment: int, expected: int
) -> None:
    found, notes = framed(page(ground, garment))
    # 56 x 28 becomes 28 x 14, with 7 columns on either side.
    image = np.zeros((28, 28), int)
    image[:, 7:21] = expected
    np.testing.assert_array_equal(found, image)
    inverted = ["inverted: the garment was darker than the ground"] if garment < ground else []
    left = ground if garment > ground else 255 - ground
    made_black = [f"the ground's grey, {left}, made 0"] if left else []
    steps = ["cropped to the garment", "padded to a square", "resized to 28 x 28"]
    assert notes == [*inverted, *steps, *made_black]


def test_a_garment_that_fills_the_image_keeps_its_place() -> None:
    image = np.zeros((280, 280), int)
    # 250 of 280 high, and 10 above the middle.
    image[5:255, 100:180] = 90
    found, notes = framed(image)
    assert notes == ["resized to 28 x 28"]
    # Ten rows make one: half of the first is garment, and half of the last.
    expected = np.zeros((28, 28), int)
    expected[1:25, 10:18] = 90
    expected[[0, 25], 10:18] = 45
    np.testing.assert_array_equal(found, expected)


def test_small_images_are_enlarged_smoothly() -> None:
    image = np.zeros((7, 7), int)
    image[:, 2:5] = 200
    found, _ = framed(image)
    middle = found[14].astype(int)
    assert middle[14] > 150
    assert middle[2] == 0
    # The edge is a slope, no step.
    assert len({*middle[4:10].tolist()}) >= 4


def test_noise_specks_and_shade_are_no_garment() -> None:
    random = np.random.default_rng(0)
    clean, _ = framed(page(255, 55, (448, 448)))
    image = page(235, 55, (448, 448)) + random.normal(0, 8, (448, 448))
    # A shade of 40 across the page, and black specks.
    image -= np.linspace(0, 40, 448)
    image[random.integers(0, 448, 20), random.integers(0, 448, 20)] = 0
    found, notes = framed(image.clip(0, 255))
    assert "cropped to the garment" in notes
    # The same rows and columns, up to the half pixel that a blurred edge leaves open.
    np.testing.assert_array_equal(found[3:25, 9:19] > 100, clean[3:25, 9:19] > 100)
    assert found[:, :6].max() < 60
    assert found[:, 22:].max() < 60


@pytest.mark.parametrize("grey", [0, 120, 130, 255])
def test_without_a_garment_that_is_said(grey: int) -> None:
    found, notes = framed(np.full((50, 40), grey))
    assert "no garment found: nothing stands out from the ground" in notes
    assert not found.any()


def test_images_of_the_size_are_inverted_and_no_more() -> None:
    image = np.full((28, 28), 240)
    image[10:12, 5:9] = 30
    found, notes = framed(image)
    np.testing.assert_array_equal(found, 255 - image)
    assert notes == ["inverted: the garment was darker than the ground"]
    assert not is_ready(Image.fromarray(image.astype(np.uint8)), (28, 28))
    assert is_ready(Image.fromarray(found), (28, 28))
    assert not is_ready(Image.fromarray(found), (28, 32))


def test_the_data_sets_images_are_ready_and_framed(fashion: fashion_mnist.Arrays) -> None:
    images = fashion.train_images[::20]
    corners = images[:, [0, 0, -1, -1], [0, -1, 0, -1]]
    assert np.median(corners, axis=1).max() <= MIDDLE
    kept = 0
    for image in images[:1000]:
        assert is_ready(Image.fromarray(image), (28, 28))
        # As an image of another size it keeps its place, but for one in a thousand.
        notes: list[str] = []
        frame(Image.fromarray(image).resize((56, 56), Image.Resampling.NEAREST), (28, 28), notes)
        kept += notes[0] != "cropped to the garment"
    assert kept >= 995
