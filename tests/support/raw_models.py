"""Exports that take rows of a table, or images in colour, with answers worked by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf

from pipelines.image_folders.decoder import ImageDecoder
from pipelines.outputs import ClassOutput, NumberOutput, Output
from pipelines.raw_inputs import ImageInput, RawInput, TableInput
from tfd2l.export.signatures import export_model

COLOURS = ("blue", "green", "red")
COLOUR_SHAPE = (4, 6, 3)
ROOFS = ("flat", "steep")
_COLUMNS = {"rooms": tf.float32, "roof": tf.string}


class Unchanged(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Returns its inputs, so that the preparation of raw inputs is the answer."""

    def __call__(self, X: Any) -> Any:
        return X

    logits = __call__


def price(row: Mapping[str, Any]) -> Any:
    """10 for each room, 3 rooms where the number is missing, and 5 more for a roof of slate."""
    rooms = tf.where(tf.math.is_nan(row["rooms"]), 3.0, row["rooms"])
    return 10 * rooms + 5 * tf.cast(tf.equal(row["roof"], "Slate"), tf.float32)


def steepness(row: Mapping[str, Any]) -> Any:
    """The logits (30, `price`) of `ROOFS`."""
    prices = price(row)
    return tf.stack([tf.fill(tf.shape(prices), 30.0), prices], axis=1)


def means(images: Any) -> Any:
    """The logits of `COLOURS`: the mean of each channel, in 0..1; grey images are green."""
    pixels = tf.cast(images, tf.float32) / 255
    if images.shape[3:] == (3,):
        return tf.reduce_mean(pixels, [1, 2])[:, ::-1]
    grey = tf.reduce_mean(pixels, [*range(1, pixels.shape.rank)])
    return grey[:, None] * [[0.5, 1.0, 0.25]]


def save_prices(directory: Path, **card: Any) -> Path:
    """A regression of `rooms`, float32, and `roof`, string: `price`."""
    return _save(directory, TableInput(_COLUMNS, price), NumberOutput(), card)


def save_roofs(directory: Path, **card: Any) -> Path:
    """A classifier of the same columns by `steepness`."""
    return _save(directory, TableInput(_COLUMNS, steepness), ClassOutput(ROOFS), card)


def save_colours(directory: Path, shape: tuple[int, ...] = COLOUR_SHAPE, **card: Any) -> Path:
    """A classifier of images by `means`."""
    return _save(directory, ImageInput(shape, means), ClassOutput(COLOURS), card)


def save_files(directory: Path, **card: Any) -> Path:
    """The classifier of images in colour, which also takes encoded files."""
    decoder = ImageDecoder(COLOUR_SHAPE[:2], channels=3)
    raw_input = ImageInput(COLOUR_SHAPE, means, decode=decoder)
    return _save(directory, raw_input, ClassOutput(COLOURS), card)


def _save(directory: Path, raw_input: RawInput, output: Output, card: dict[str, Any]) -> Path:
    """Export, and add the card if there is one."""
    export_model(Unchanged(), directory, raw_input, output)
    if card:
        (directory / "assets.extra").mkdir()
        (directory / "assets.extra/card.json").write_text(json.dumps(card), encoding="utf-8")
    return directory
