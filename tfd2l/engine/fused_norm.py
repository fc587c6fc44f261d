"""Runs Keras' batch normalization of images by TensorFlow's one fused operation, in training.

Keras 3 composes it of a dozen operations, each of which passes over the whole batch of images. The
results are the same up to rounding.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["fused_batch_norms"]

_MISSING = object()


@contextlib.contextmanager
def fused_batch_norms(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Inside, those of `layers` that are Keras' BatchNormalization normalize images fused.

    This includes no layers of subclasses, and none with other settings than scale, center, epsilon
    and momentum. Other inputs than (n, height, width, channels) float32 take Keras' own way.
    """
    normalizing = [layer for layer in layers if _is_plain(layer)]
    before = [vars(layer).get("call", _MISSING) for layer in normalizing]
    # Not by setattr, for which an attribute of a layer may be one that Keras tracks.
    for layer in normalizing:
        vars(layer)["call"] = _fused_call(layer)
    try:
        yield
    finally:
        for layer, call in zip(normalizing, before, strict=True):
            vars(layer)["call"] = call
            if call is _MISSING:
                del vars(layer)["call"]


def _is_plain(layer: keras.layers.Layer) -> bool:
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.axis in (-1, 3)
        and layer.scale
        and layer.center
        and not layer.synchronized
        and not layer.renorm
        and layer.compute_dtype == "float32"
    )


def _fused_call(layer: Any) -> Callable[..., tf.Tensor]:
    """The method `call` of a layer, for images in training by the fused operation."""

    @do_not_convert
    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        images = tf.is_tensor(inputs) and inputs.shape.rank == 4 and inputs.dtype == tf.float32
        if not (images and training and layer.trainable and mask is None):
            own = keras.layers.BatchNormalization.call
            return own(layer, inputs, training=training, mask=mask)
        outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
            x=inputs, scale=layer.gamma, offset=layer.beta, mean=[], variance=[],
            epsilon=layer.epsilon, is_training=True,
        )  # fmt: skip
        # The operation gives the unbiased variance; Keras averages the biased one.
        count = tf.cast(tf.size(inputs) / tf.shape(inputs)[-1], tf.float32)
        averages = (layer.moving_mean, mean), (layer.moving_variance, variance * (1 - 1 / count))
        for moving, value in averages:
            moving.assign(moving * layer.momentum + value * (1 - layer.momentum))
        return outputs

    return call
