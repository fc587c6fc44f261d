"""The picture of images and the probabilities of their likeliest classes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tfd2l.predict.framing import NO_GARMENT
from tfd2l.predict.images import Prepared
from tfd2l.predict.picture import LabelledImage, prediction_figure

NOISE = np.random.default_rng(0).integers(0, 256, (4, 28, 28)).astype(np.uint8)


def labelled(name: str, image: np.ndarray[Any, Any]) -> LabelledImage:
    return LabelledImage(name, Prepared(image, ()), ["b$ag", "co^at$"], [0.75, 0.25])


def test_each_image_has_its_bars() -> None:
    figure = prediction_figure(
        [labelled(f"dir/{index}$_$.png", image) for index, image in enumerate(NOISE)]
    )
    # Two rows of three pairs.
    assert len(figure.axes) == 12
    image, bars = figure.axes[6:8]
    np.testing.assert_array_equal(image.images[0].get_array(), NOISE[3])
    # As grey as it is, not stretched to the darkest and lightest pixel.
    assert image.images[0].get_clim() == (0, 255)
    assert image.get_title() == "3$_$.png"
    lengths = [patch.get_path().get_extents(patch.get_transform()).width for patch in bars.patches]
    assert lengths[0] == pytest.approx(3 * lengths[1])
    assert [text.get_text() for text in bars.get_yticklabels()] == ["b$ag", "co^at$"]
    assert bars.get_title() == "b$ag 0.750"
    assert not figure.axes[9].axison
    figure.canvas.draw()


def test_the_bars_of_an_image_without_a_garment_have_no_answer_for_a_title() -> None:
    empty = LabelledImage("wall.png", Prepared(NOISE[0], (NO_GARMENT,)), ["bag"], [0.99])
    assert prediction_figure([empty]).axes[1].get_title() == "no garment found"


def test_a_long_name_is_cut_and_an_unprintable_one_escaped() -> None:
    figure = prediction_figure([labelled("x" * 30, NOISE[0]), labelled("a\nb.png", NOISE[1])])
    assert figure.axes[0].get_title() == "x" * 21 + "..."
    assert figure.axes[2].get_title() == "a b.png"
