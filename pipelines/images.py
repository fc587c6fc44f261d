"""Scaling and resizing: the one definition, in the training pipeline and in the exported graph."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.text import shown

# 4096 x 4096 float32 is 64 MiB an image; more is a slip of the keyboard, not a wish.
MAX_SIDE = 4096


def check_size(size: Any) -> tuple[int, int]:
    """Give back `size` as (height, width) in pixels, if it is one.

    Raises:
        ValueError: it is no pair of whole numbers from 1 to `MAX_SIDE`.
    """
    pair = isinstance(size, tuple | list) and len(size) == 2
    if not pair or not all(
        isinstance(side, int | np.integer) and not isinstance(side, bool) and 1 <= side <= MAX_SIDE
        for side in size
    ):
        raise ValueError(
            f"resize must be (height, width) in pixels, each from 1 to {MAX_SIDE}; "
            f"got {shown(size)}. The book's section 4.2 uses (32, 32)."
        )
    return int(size[0]), int(size[1])


@do_not_convert
def to_float(images: tf.Tensor) -> tf.Tensor:
    """Scale uint8 in 0..255 to float32 in [0, 1]; any shape.

    Raises:
        ValueError: `images` is not uint8.
    """
    images = tf.convert_to_tensor(images)
    if images.dtype != tf.uint8:
        raise ValueError(
            f"images must be uint8 in 0..255, before any scaling; got {images.dtype.name}."
        )
    if tf.config.list_logical_devices("GPU"):
        # A product: TensorFlow's graph optimiser makes one of a quotient by a constant, and then
        # a compiled step and an exported model would differ from eager by a rounding.
        return tf.cast(images, tf.float32) * np.float32(1 / 255)
    # The same bits in one pass over memory: a fifth less time for an epoch of softmax regression.
    # There is no kernel of it for GPUs.
    return tf.quantization.dequantize(tf.bitcast(images, tf.quint8), 0.0, 1.0, mode="MIN_COMBINED")


@do_not_convert
def resize(images: tf.Tensor, size: tuple[int, int]) -> tf.Tensor:
    """Resize a batch bilinearly, with antialiasing where it shrinks.

    For fixed sizes that is linear: `A @ image @ B^T` with two small constant matrices. It equals
    `tf.image.resize(..., "bilinear", antialias=True)` within 1e-5; for 256 images of 28 x 28 it
    measured 9 to 20 times as fast on two cores. A side that keeps its length has no product.

    Args:
        images: (n, h, w) float32; n may be unknown when tracing, h and w may not.
        size: (H, W), pixels.

    Returns:
        (n, H, W) float32; in [0, 1] if `images` is, up to float32's rounding.

    Raises:
        ValueError: a bad `size`, a rank other than 3, or h or w unknown.
    """
    height, width = check_size(size)
    images = tf.convert_to_tensor(images)
    if images.shape.rank != 3 or None in images.shape[1:]:
        raise ValueError(
            "images must be (n, height, width) with height and width known; "
            f"got shape {images.shape}."
        )
    rows, columns = images.shape[1:]
    # Whole-batch products in this order and layout: folding n into the rows, or transposing for
    # one large product, measured the same for 28 x 28 to 32, 96 and 224, and is less plain.
    if height != rows:
        images = tf.matmul(_weights(rows, height), images)  # (H, h) @ (n, h, w) -> (n, H, w)
    if width != columns:
        images = tf.matmul(images, _weights(columns, width), transpose_b=True)  # (n, H, W)
    return images


@do_not_convert
def prepare_images(images: tf.Tensor, size: tuple[int, int] | None) -> tf.Tensor:
    """What a model is given: scaled, resized if asked, with a channel.

    Args:
        images: (n, h, w) uint8.
        size: (H, W) in pixels; None keeps (h, w).

    Returns:
        (n, H, W, 1) float32 in [0, 1].

    Raises:
        ValueError: as `to_float` and `resize`.
    """
    scaled = to_float(images)
    if scaled.shape.rank != 3:
        raise ValueError(f"images must be (n, height, width); got shape {scaled.shape}.")
    return (scaled if size is None else resize(scaled, size))[..., tf.newaxis]


@lru_cache(maxsize=64)
def _weights(length: int, new_length: int) -> npt.NDArray[np.float32]:
    """(new_length, length) float32: row i has the weights of new pixel i; its sum is 1.

    NumPy, not a tensor: each graph that uses it gets a constant of its own.
    """
    step = length / new_length
    # A triangle of half-width one old pixel; when shrinking, of one new pixel: the antialias.
    half_width = max(step, 1.0)
    centres = (np.arange(new_length) + 0.5) * step
    distances = np.abs(np.arange(length) + 0.5 - centres[:, None])
    weights = np.maximum(0.0, 1.0 - distances / half_width)
    weights /= weights.sum(axis=1, keepdims=True)
    return weights.astype(np.float32)
