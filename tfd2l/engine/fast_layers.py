"""Runs some of Keras' layers by faster operations of TensorFlow, in training.

The results are the same up to rounding. Keras 3 composes batch normalization of images of a dozen
operations, each of which passes over the whole batch; TensorFlow has one that does it all. For
average pooling it is TensorFlow's gradient that is slow: copies do it in half the time.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["fast_layers"]

_MISSING = object()


@contextlib.contextmanager
def fast_layers(layers: Iterable[keras.layers.Layer]) -> Iterator[None]:
    """Inside, those of `layers` that can do so run by faster operations.

    They are Keras' own, neither subclasses nor of settings that these operations lack. Other inputs
    than (n, height, width, channels) float32 take Keras' own way.
    """
    calls = [(layer, _fast_call(layer)) for layer in layers]
    fast = [(vars(layer), call) for layer, call in calls if call is not None]
    before = [attributes.get("call", _MISSING) for attributes, _ in fast]
    # Not by setattr, for which an attribute of a layer may be one that Keras tracks.
    for attributes, call in fast:
        attributes["call"] = call
    try:
        yield
    finally:
        for (attributes, _), call in zip(fast, before, strict=True):
            attributes["call"] = call
            if call is _MISSING:
                del attributes["call"]


def _fast_call(layer: Any) -> Callable[..., tf.Tensor] | None:
    """The method `call` by faster operations; None for a layer without one."""
    kinds = (keras.layers.BatchNormalization, keras.layers.AveragePooling2D)
    if type(layer) not in kinds or layer.compute_dtype != "float32":
        return None
    if type(layer) is keras.layers.BatchNormalization:
        own_statistics = not layer.synchronized and not layer.renorm
        if layer.axis in (-1, 3) and layer.scale and layer.center and own_statistics:
            return _normalization(layer)
        return None
    apart = tuple(layer.strides) == tuple(layer.pool_size)
    return _average_pooling(layer) if apart and layer.data_format == "channels_last" else None


def _are_images(inputs: Any) -> bool:
    return bool(tf.is_tensor(inputs) and inputs.shape.rank == 4 and inputs.dtype == tf.float32)


def _normalization(layer: Any) -> Callable[..., tf.Tensor]:
    """Normalizes images in training by the fused operation."""

    @do_not_convert
    def call(inputs: Any, training: bool | None = None, mask: Any = None) -> tf.Tensor:
        if not (_are_images(inputs) and training and layer.trainable and mask is None):
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


def _average_pooling(layer: Any) -> Callable[..., tf.Tensor]:
    """Averages images whose windows tile them; the gradient gives each pixel its share."""
    height, width = layer.pool_size

    @tf.custom_gradient  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def pooled(images: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # Each share side by side, as often as a window is wide, and the row as often as high.
            shares = tf.concat([upstream / (height * width)] * width, axis=-1)
            rows = tf.reshape(shares, (-1, 1, images.shape[2] * images.shape[3]))
            return tf.reshape(tf.tile(rows, (1, height, 1)), tf.shape(images))

        return tf.nn.avg_pool2d(images, (height, width), (height, width), "VALID"), gradient

    @do_not_convert
    def call(inputs: Any) -> tf.Tensor:
        tiled = _are_images(inputs) and None not in inputs.shape[1:]
        if not tiled or inputs.shape[1] % height or inputs.shape[2] % width:
            return keras.layers.AveragePooling2D.call(layer, inputs)
        return pooled(inputs)

    return call
