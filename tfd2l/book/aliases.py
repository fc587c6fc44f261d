"""The book's short names for TensorFlow's functions, so that its code reads the same everywhere.

Source: the aliases of the book's TensorFlow module, 1.0.3.
"""

# ruff: noqa: A001 - `abs` is one of the names
from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

abs = tf.abs
arange = tf.range
argmax = tf.argmax
astype = tf.cast
batch_matmul = tf.matmul
concat = tf.concat
cos = tf.cos
cosh = tf.cosh
exp = tf.exp
expand_dims = tf.expand_dims
eye = tf.eye
float32 = tf.float32
float64 = tf.float64
int32 = tf.int32
int64 = tf.int64
linspace = tf.linspace
log = tf.math.log
matmul = tf.matmul
meshgrid = tf.meshgrid
normal = tf.random.normal
ones = tf.ones
ones_like = tf.ones_like
rand = tf.random.uniform
reduce_mean = tf.reduce_mean
reduce_sum = tf.reduce_sum
repeat = tf.repeat
sigmoid = tf.sigmoid
sin = tf.sin
sinh = tf.sinh
stack = tf.stack
tanh = tf.tanh
tensor = tf.constant
transpose = tf.transpose
zeros = tf.zeros
zeros_like = tf.zeros_like


def reshape(tensor: Any, shape: int | Sequence[Any] | tf.Tensor) -> tf.Tensor:
    """The same numbers in another shape.

    Args:
        tensor: any shape.
        shape: sizes, one of which may be -1, to be worked out; or one size, for a vector. (In a
            compiled step `tf.reshape` itself refuses a bare number, though not an eager one.)
    """
    return tf.reshape(tensor, (shape,) if isinstance(shape, int) else shape)


def numpy(tensor: Any) -> Any:
    """The tensor's values as a NumPy array; not within a compiled step, which has no values yet."""
    return tensor.numpy()


def size(tensor: Any) -> Any:
    """How many numbers the tensor has, () int32 of NumPy."""
    return tf.size(tensor).numpy()
