"""The book's short names for TensorFlow's functions. D2L 2.1 to 2.5.

Code that uses them reads the same in every framework.

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
    """Return the same numbers in another shape.

    Args:
        tensor: any shape and dtype.
        shape: sizes, one of which may be -1, which means the size that fits; or one size, for a
            vector. (`tf.reshape` itself takes a bare number eagerly, but not in a compiled step.)

    Returns:
        A tensor of the given shape and the dtype of `tensor`.

    Example:
        >>> d2l.reshape(d2l.arange(6), (2, -1)).numpy().tolist()
        [[0, 1, 2], [3, 4, 5]]

    Source: D2L 2.1.
    """
    return tf.reshape(tensor, (shape,) if isinstance(shape, int) else shape)


def numpy(tensor: Any) -> Any:
    """Return the tensor's values as a NumPy array of its shape and dtype.

    In a compiled step tensors have no values yet, so that this raises AttributeError.

    Example:
        >>> d2l.numpy(d2l.ones((2,)))
        array([1., 1.], dtype=float32)

    Source: D2L 2.1.
    """
    return tensor.numpy()


def randn(*shape: Any, dtype: Any = tf.float32) -> tf.Tensor:
    """Return numbers from a normal distribution of mean 0 and standard deviation 1.

    Args:
        shape: sizes, each as an argument of its own, as PyTorch takes them, or as one tuple.
        dtype: a float dtype.

    Example:
        >>> d2l.randn(2, 3).shape, d2l.randn((2, 3)).shape
        (TensorShape([2, 3]), TensorShape([2, 3]))

    Source: D2L 2.1, in the book's PyTorch code.
    """
    sizes = shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape
    return tf.random.normal(sizes, dtype=dtype)


def size(tensor: Any) -> Any:
    """Return the number of elements of a tensor of any shape and dtype, as NumPy's () int32.

    Example:
        >>> int(d2l.size(d2l.zeros((2, 3))))
        6

    Source: D2L 2.1.
    """
    return tf.size(tensor).numpy()
