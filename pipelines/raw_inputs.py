"""Raw inputs of a model, as files and clients have them, and their preparation inside a graph.

A data module describes its raw inputs by an object of this module. An export puts the preparation
into its graph, so that a served model takes raw inputs and can't drift from training.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
import tensorflow as tf

__all__ = ["FeatureInput", "Framing", "ImageInput", "Raw", "RawInput", "TableInput"]

Array = np.ndarray[Any, Any]
# A tensor or an array for each raw input, with the examples on its first axis.
Raw = Mapping[str, Any]
Framing = Literal["garment", "none"]


class RawInput(Protocol):
    """The raw inputs of a model."""

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """Dtype and shape of each raw input, by its name; the first axis is the batch."""

    def prepare(self, raw: Raw) -> Any:
        """Return the model's inputs for a batch of raw inputs, by TensorFlow's operations."""

    def parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Read raw inputs from serialised `tf.train.Example`s, (n,) string."""

    def features(self, raw: Raw, row: int) -> dict[str, tf.train.Feature]:
        """Return one row of raw inputs as the features of a `tf.train.Example`."""


@dataclass(frozen=True)
class ImageInput:
    """Images as raw pixels, one input `image`.

    In a `tf.train.Example` the bytes feature `image` has the pixels of one image, row by row. With
    `decode` an image may also come as an encoded file of any size, in the bytes feature
    `image_bytes`.

    Attributes:
        shape: (height, width) of grey images, or (height, width, channels), in pixels.
        preprocess: (n, *shape) uint8 -> the model's inputs.
        framing: the change that a client makes to a photograph: 'garment' crops, inverts and
            centres it as Fashion-MNIST does, 'none' resizes it alone.
        decode: an encoded file, () string -> `shape` uint8; None if only raw pixels are taken.
    """

    shape: tuple[int, ...]
    preprocess: Callable[[tf.Tensor], Any]
    framing: Framing = "none"
    decode: Callable[[tf.Tensor], tf.Tensor] | None = None

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """`image`, (n, *shape) uint8."""
        return {"image": tf.TensorSpec((None, *self.shape), tf.uint8, name="image")}

    def prepare(self, raw: Raw) -> Any:
        """Preprocess `image`."""
        return self.preprocess(raw["image"])

    def parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Read pixels or, with `decode`, encoded files."""
        decode = self.decode
        if decode is None:
            feature = {"image": tf.io.FixedLenFeature([], tf.string)}
            pixels = tf.io.decode_raw(tf.io.parse_example(examples, feature)["image"], tf.uint8)
            # Otherwise twice the pixels would count as two images.
            pixels = tf.ensure_shape(pixels, [None, int(np.prod(self.shape))])
            return {"image": tf.reshape(pixels, [-1, *self.shape])}
        missing = tf.io.FixedLenFeature([], tf.string, default_value="")
        both = tf.io.parse_example(examples, {"image": missing, "image_bytes": missing})
        return {
            "image": self._batch(
                lambda parts: tf.cond(
                    tf.equal(parts[1], ""),
                    lambda: self._pixels(parts[0]),
                    lambda: decode(parts[1]),
                ),
                (both["image"], both["image_bytes"]),
            )
        }

    def decoded(self, image_bytes: tf.Tensor) -> tf.Tensor:
        """Decode encoded files, (n,) string, to (n, *shape) uint8."""
        return self._batch(self.decode, image_bytes)

    def features(self, raw: Raw, row: int) -> dict[str, tf.train.Feature]:
        """The pixels of one image."""
        pixels = np.asarray(raw["image"][row]).tobytes()
        return {"image": tf.train.Feature(bytes_list={"value": [pixels]})}

    def _pixels(self, raw: tf.Tensor) -> tf.Tensor:
        """The pixels of one image, () string -> `shape` uint8."""
        flat = tf.ensure_shape(tf.io.decode_raw(raw, tf.uint8), [int(np.prod(self.shape))])
        return tf.reshape(flat, self.shape)

    def _batch(self, function: Any, elements: Any) -> tf.Tensor:
        spec = tf.TensorSpec(self.shape, tf.uint8)
        return tf.map_fn(function, elements, fn_output_signature=spec)


@dataclass(frozen=True)
class TableInput:
    """Rows of a table, one input for each column.

    A number that is missing is NaN, a text that is missing is empty; in a `tf.train.Example` a
    missing value's feature is left out.

    Attributes:
        columns: the dtype of each column, float32 or string, by its name.
        preprocess: (n,) tensors by column name -> (n, d) float32.
        sample: two different rows that `preprocess` takes, with which an export tries the model;
            None if it takes any texts.
        choices: the known values of each column of categories, by its name.
        takes_missing: False if `preprocess` refuses missing values.
    """

    columns: Mapping[str, tf.DType]
    preprocess: Callable[[Raw], tf.Tensor]
    sample: Raw | None = None
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    takes_missing: bool = True

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """(n,) float32 or string for each column."""
        return {
            name: tf.TensorSpec((None,), dtype, name=name) for name, dtype in self.columns.items()
        }

    def prepare(self, raw: Raw) -> tf.Tensor:
        """Preprocess the columns."""
        return self.preprocess(raw)

    def parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Read the columns; a feature that is left out is a missing value."""
        missing = {tf.float32: float("nan"), tf.string: ""}
        features = {
            name: tf.io.FixedLenFeature([], dtype, default_value=missing[dtype])
            for name, dtype in self.columns.items()
        }
        return dict(tf.io.parse_example(examples, features))

    def features(self, raw: Raw, row: int) -> dict[str, tf.train.Feature]:
        """The values of one row."""
        found = {}
        for name, dtype in self.columns.items():
            value = raw[name][row]
            if dtype == tf.string:
                text = value if isinstance(value, bytes) else str(value).encode()
                found[name] = tf.train.Feature(bytes_list={"value": [text]})
            else:
                found[name] = tf.train.Feature(float_list={"value": [value]})
        return found


@dataclass(frozen=True)
class FeatureInput:
    """Numbers that need no preparation, one input `features`.

    Attributes:
        num_inputs: numbers of an example.
    """

    num_inputs: int

    @property
    def specs(self) -> dict[str, tf.TensorSpec]:
        """`features`, (n, num_inputs) float32."""
        return {"features": tf.TensorSpec((None, self.num_inputs), tf.float32, name="features")}

    def prepare(self, raw: Raw) -> tf.Tensor:
        """Return the numbers as they are."""
        return raw["features"]

    def parse(self, examples: tf.Tensor) -> dict[str, tf.Tensor]:
        """Read the numbers."""
        feature = {"features": tf.io.FixedLenFeature([self.num_inputs], tf.float32)}
        return dict(tf.io.parse_example(examples, feature))

    def features(self, raw: Raw, row: int) -> dict[str, tf.train.Feature]:
        """The numbers of one example."""
        return {"features": tf.train.Feature(float_list={"value": raw["features"][row]})}
