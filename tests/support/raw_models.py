"""SavedModels that take rows of a table, or images in colour, with answers worked by hand."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

COLOURS = ("blue", "green", "red")
COLOUR_SHAPE = (4, 6, 3)
ROOFS = ("flat", "steep")
Outputs = dict[str, tf.Tensor]


def price(rooms: Any, roof: Any) -> Any:
    """10 for each room, 3 rooms where the number is missing, and 5 more for a roof of slate."""
    rooms = tf.where(tf.math.is_nan(rooms), 3.0, rooms)
    return 10 * rooms + 5 * tf.cast(tf.equal(roof, "Slate"), tf.float32)


def save_prices(directory: Path, **card: Any) -> Path:
    """A regression of `rooms`, float32, and `roof`, string: `price`."""

    def predict(rooms: tf.Tensor, roof: tf.Tensor) -> Outputs:
        return {"prediction": price(rooms, roof)}

    def regress(inputs: tf.Tensor) -> Outputs:
        return {"outputs": predict(**_columns(inputs))["prediction"]}

    return _save(directory, predict, _COLUMNS, {"regress": regress}, card)


def save_roofs(directory: Path, **card: Any) -> Path:
    """A classifier of the same columns: steep with more than 30, by its logits (30, `price`)."""

    def predict(rooms: tf.Tensor, roof: tf.Tensor) -> Outputs:
        prices = price(rooms, roof)
        return _classes(tf.stack([tf.fill(tf.shape(prices), 30.0), prices], axis=1), ROOFS)

    def classify(inputs: tf.Tensor) -> Outputs:
        return _ranked(predict(**_columns(inputs)), ROOFS)

    return _save(directory, predict, _COLUMNS, {"classify": classify}, card)


def save_colours(directory: Path, shape: tuple[int, ...] = COLOUR_SHAPE, **card: Any) -> Path:
    """A classifier of images: the logit of each colour is the mean of its channel, in 0..1."""

    def predict(image: tf.Tensor) -> Outputs:
        pixels = tf.cast(tf.ensure_shape(image, [None, *shape]), tf.float32) / 255
        if shape[2:] == (3,):
            logits = tf.reduce_mean(pixels, [1, 2])[:, ::-1]
        else:
            # Of grey ones the one mean stands for all colours; they are green.
            means = tf.reduce_mean(tf.reshape(pixels, [-1, int(np.prod(shape))]), 1, keepdims=True)
            logits = means * [[0.5, 1.0, 0.25]]
        return _classes(logits, COLOURS)

    def classify(inputs: tf.Tensor) -> Outputs:
        feature = {"image": tf.io.FixedLenFeature([], tf.string)}
        data = tf.io.decode_raw(tf.io.parse_example(inputs, feature)["image"], tf.uint8)
        pixels = tf.ensure_shape(data, [None, int(np.prod(shape))])
        return _ranked(predict(tf.reshape(pixels, [-1, *shape])), COLOURS)

    image = [tf.TensorSpec((None, *shape), tf.uint8, name="image")]
    return _save(directory, predict, image, {"classify": classify}, card)


def save_files(directory: Path, **card: Any) -> Path:
    """The classifier of `save_colours` with a signature `predict_bytes` instead of `classify`."""
    height, width, channels = COLOUR_SHAPE

    def decode(data: tf.Tensor) -> tf.Tensor:
        image = tf.io.decode_image(data, channels, expand_animations=False)
        return tf.image.resize(image, (height, width), antialias=True)

    def of_pixels(pixels: tf.Tensor) -> Outputs:
        return _classes(tf.reduce_mean(tf.cast(pixels, tf.float32) / 255, [1, 2])[:, ::-1], COLOURS)

    def predict_bytes(image_bytes: tf.Tensor) -> Outputs:
        spec = tf.TensorSpec(COLOUR_SHAPE, tf.float32)
        return of_pixels(tf.map_fn(decode, image_bytes, fn_output_signature=spec))

    def predict(image: tf.Tensor) -> Outputs:
        return of_pixels(tf.ensure_shape(image, [None, *COLOUR_SHAPE]))

    image = [tf.TensorSpec((None, *COLOUR_SHAPE), tf.uint8, name="image")]
    return _save(directory, predict, image, {"predict_bytes": predict_bytes}, card)


_COLUMNS = [
    tf.TensorSpec((None,), tf.float32, name="rooms"),
    tf.TensorSpec((None,), tf.string, name="roof"),
]


def _columns(examples: tf.Tensor) -> dict[str, tf.Tensor]:
    features = {
        "rooms": tf.io.FixedLenFeature([], tf.float32, default_value=float("nan")),
        "roof": tf.io.FixedLenFeature([], tf.string, default_value=""),
    }
    return dict(tf.io.parse_example(examples, features))


def _classes(logits: tf.Tensor, labels: Sequence[str]) -> Outputs:
    class_id = tf.argmax(logits, -1)
    probabilities = tf.nn.softmax(logits)
    label = tf.gather(tf.constant([*labels]), class_id)
    return {
        "logits": logits, "probabilities": probabilities, "class_id": class_id, "label": label,
    }  # fmt: skip


def _ranked(answers: Outputs, labels: Sequence[str]) -> Outputs:
    scores, order = tf.math.top_k(answers["probabilities"], k=len(labels))
    return {"classes": tf.gather(tf.constant([*labels]), order), "scores": scores}


def _save(
    directory: Path,
    predict: Callable[..., Outputs],
    specs: list[tf.TensorSpec],
    others: dict[str, Callable[..., Outputs]],
    card: dict[str, Any],
) -> Path:
    """Save the functions as signatures, and the card if there is one."""
    module = tf.Module()
    signatures = {"serving_default": tf.function(predict, specs, autograph=False)}
    for name, function in others.items():
        [argument] = inspect.signature(function).parameters
        strings = [tf.TensorSpec((None,), tf.string, name=argument)]
        signatures[name] = tf.function(function, strings, autograph=False)
    module.functions = [*signatures.values()]
    tf.saved_model.save(module, str(directory), signatures=signatures)
    if card:
        (directory / "assets.extra").mkdir()
        (directory / "assets.extra/card.json").write_text(json.dumps(card), encoding="utf-8")
    return directory
