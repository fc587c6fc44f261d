"""Converts arrays, lists and tables to tensors, with errors that say what to do with the others."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from pipelines.basics.text import one_line, shown

__all__ = ["as_tensor", "described", "tensors_in_memory"]


def as_tensor(value: Any) -> Any:
    """Convert an array, a table, or (nested lists of) numbers or texts to a tensor.

    Args:
        value: a tensor, which stays as it is; a NumPy array, a pandas DataFrame or Series, or
            another object that NumPy converts, which keeps its dtype; or lists and numbers of
            Python, which become float32 or int32.

    Raises:
        ValueError: the value holds other objects, or rows of different lengths.

    Example:
        >>> as_tensor([[1, 2], [3, 4]]).numpy().tolist()
        [[1, 2], [3, 4]]
    """
    if tf.is_tensor(value):
        return value
    try:
        # A Series has labels as its indices, by which TensorFlow would look up its values.
        return tf.convert_to_tensor(np.asarray(value) if hasattr(value, "__array__") else value)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{described(value)} can't become a tensor. Make mixed numbers one dtype, e.g. by "
            "X.astype('float32'); pad rows of different lengths; encode text among numbers, e.g. "
            "by pandas.get_dummies."
        ) from error


def tensors_in_memory(arrays: Any) -> list[tf.Tensor]:
    """Convert a tuple or list of arrays to tensors, each with the examples on its first axis.

    Raises:
        TypeError: `arrays` is one array, or a dict of them.
        ValueError: no arrays, no examples, lengths that differ, or an array that can't become a
            tensor of one shape.
    """
    if not isinstance(arrays, tuple | list):
        raise TypeError(
            f"the arrays come in a tuple, such as (X, y), or (X,) for one; got {described(arrays)}."
        )
    tensors = [as_tensor(array) for array in arrays]
    for tensor in tensors:
        if not isinstance(tensor, tf.Tensor | tf.Variable):
            raise ValueError(
                f"examples in memory need one shape; got {described(tensor)}. Make it dense by its "
                "to_tensor() or tf.sparse.to_dense, or batch it by tf.data: "
                "tf.data.Dataset.from_tensor_slices((X, y)).shuffle(n).batch(batch_size)."
            )
    lengths = [tensor.shape[0] if tensor.shape.rank else None for tensor in tensors]
    if not tensors or None in lengths or len(set(lengths)) > 1 or lengths[0] == 0:
        raise ValueError(
            "the arrays need one length, at least 1, on their first axis; "
            f"got shapes {[tuple(tensor.shape) for tensor in tensors]}."
        )
    return tensors


def described(value: Any) -> str:
    """Return the kind of a value in a few words, with its shape and dtype if it has them.

    Example:
        >>> described(np.zeros((2, 3))), described({"image": 0}), described("adam")
        ('ndarray (2, 3) float64', "dict with the keys ['image']", "str 'adam'")
    """
    if value is None:
        return "None"
    if isinstance(value, dict):
        return f"dict with the keys {shown([*value])}"
    # TensorFlow wraps the lists in the attributes of a model.
    if isinstance(value, list):
        return f"list {shown([*value])}"
    kind = type(value).__name__.removeprefix("Eager")
    if hasattr(value, "dtypes") and hasattr(value, "columns"):
        types = {str(name): str(dtype) for name, dtype in value.dtypes.items()}
        return f"{kind} {tuple(value.shape)} with the columns {shown(types, 200)}"
    if hasattr(value, "shape") and hasattr(value, "dtype"):
        dtype = getattr(value.dtype, "name", value.dtype)
        return one_line(f"{kind} {tuple(value.shape)} {dtype}")
    return f"{kind} {shown(value)}"
