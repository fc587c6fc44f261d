"""The book's functions on tensors: activations, losses, accuracy, dropout. D2L 3.1 to 5.6.

They keep no state.
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import real_number
from tfd2l.engine.checks import class_ids

__all__ = [
    "accuracy", "corr2d", "cross_entropy", "cross_entropy_from_logits", "dropout_layer", "entropy",
    "flattened", "l2_penalty", "relu", "softmax", "squared_loss",
]  # fmt: skip


@do_not_convert
def relu(X: tf.Tensor) -> tf.Tensor:
    """Compute max(X, 0), element by element.

    Args:
        X: any shape, float.

    Returns:
        Shape and dtype of `X`, values in [0, inf).

    Example:
        >>> d2l.relu(tf.constant([-1.0, 0.0, 2.0])).numpy().tolist()
        [0.0, 0.0, 2.0]

    Source: D2L 5.1.
    """
    # With the constant first, the gradient at 0 is 0, as that of tf.nn.relu.
    return tf.maximum(tf.zeros((), X.dtype), X)


@do_not_convert
def softmax(X: tf.Tensor) -> tf.Tensor:
    """Turn each row into probabilities: exp(x) divided by the row's sum of exp(x).

    The row's maximum is subtracted first, so that exp can't overflow. It cancels in the quotient,
    so no gradient needs to pass through it.

    Args:
        X: (n, q) float; rows are logits.

    Returns:
        (n, q) float of the dtype of `X`; rows sum to 1.

    Example:
        >>> d2l.softmax(tf.constant([[0.0, 0.0], [1000.0, 0.0]])).numpy().tolist()
        [[0.5, 0.5], [1.0, 0.0]]

    Source: D2L 4.1 and 4.4.
    """
    X_exp = tf.exp(X - tf.stop_gradient(tf.reduce_max(X, axis=1, keepdims=True)))
    return X_exp / tf.reduce_sum(X_exp, axis=1, keepdims=True)


@do_not_convert
def cross_entropy(y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean negative log-probability of the true class, in nats.

    Args:
        y_hat: (n, q) float; rows are probabilities, not logits.
        y: (n,) int; class ids in [0, q).

    Returns:
        () of the dtype of `y_hat`.

    Raises:
        ValueError: `y_hat` is not of rank 2, the lengths differ, or `y` has no integers.

    Example:
        >>> y_hat = tf.constant([[0.1, 0.3, 0.6], [0.3, 0.2, 0.5]])
        >>> round(float(d2l.cross_entropy(y_hat, tf.constant([0, 2]))), 4)
        1.4979

    Source: D2L 4.4; its example gives 1.4979.
    """
    y = class_ids(y_hat, y)
    return -tf.reduce_mean(tf.math.log(tf.gather(y_hat, y, batch_dims=1)))


@do_not_convert
def cross_entropy_from_logits(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Negative log-probability of the true class for each example, in nats.

    It takes softmax and logarithm together, which stays finite where exp would over- or
    underflow.

    Args:
        logits: (n, q) float.
        y: (n,) int; class ids in [0, q).

    Returns:
        (n,) of the dtype of `logits`.

    Raises:
        ValueError: `logits` is not of rank 2, the lengths differ, or `y` has no integers.

    Example:
        >>> losses = d2l.cross_entropy_from_logits(tf.zeros((2, 4)), tf.constant([0, 3]))
        >>> np.allclose(losses, np.log(4))
        True

    Source: D2L 4.5.
    """
    y = class_ids(logits, y)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


@do_not_convert
def squared_loss(y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Half the squared error of each prediction.

    Args:
        y_hat: any shape, float.
        y: the same shape and dtype.

    Returns:
        The shape and dtype of `y_hat`, values in [0, inf).

    Raises:
        ValueError: the dtypes differ, or the shapes: (n, 1) and (n,) would broadcast to (n, n)
            without an error.

    Example:
        >>> d2l.squared_loss(tf.constant([[3.0], [1.0]]), tf.constant([[1.0], [1.0]])).numpy()
        array([[2.],
               [0.]], dtype=float32)

    Source: D2L 3.1 and 3.4.
    """
    y_hat = tf.convert_to_tensor(y_hat)
    y = tf.convert_to_tensor(y, dtype_hint=y_hat.dtype)
    if y_hat.dtype != y.dtype:
        remedy = "Encode text" if y.dtype == tf.string else f"Do: tf.cast(y, tf.{y_hat.dtype.name})"
        raise ValueError(
            f"predictions and targets need one dtype; got {y_hat.dtype.name} and {y.dtype.name}. "
            f"{remedy}."
        )
    if not y_hat.shape.is_compatible_with(y.shape):
        raise ValueError(
            f"predictions and targets need one shape; got {y_hat.shape} and {y.shape}. "
            "Targets of shape (n,) become (n, 1) by tf.reshape(y, (-1, 1))."
        )
    return tf.square(y_hat - y) / 2


@do_not_convert
def entropy(p: tf.Tensor) -> tf.Tensor:
    """Entropy of a distribution, -sum p log p, in nats; 0 log 0 counts as 0.

    Args:
        p: (..., q) float; the last axis is a distribution.

    Returns:
        (...) of the dtype of `p`, values in [0, log q].

    Example:
        >>> d2l.entropy(tf.constant([[0.5, 0.5], [1.0, 0.0]])).numpy() / np.log(2)
        array([1., 0.])

    Source: D2L 4.1.3.
    """
    # A plain minus sign would give a sure outcome the entropy -0.0.
    return 0.0 - tf.reduce_sum(tf.math.xlogy(p, p), axis=-1)


@do_not_convert
def accuracy(Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
    """Share of examples whose highest score is at the true class.

    Args:
        Y_hat: (n, q) float; scores, larger for the likelier class.
        Y: (n,) int; class ids in [0, q).
        averaged: if False, return 0 or 1 for each example.

    Returns:
        () float32 in [0, 1], or (n,) float32 of zeros and ones.

    Raises:
        ValueError: `Y_hat` is not of rank 2, the lengths differ, or `Y` has no integers.

    Example:
        >>> scores, classes = tf.constant([[0.1, 0.9], [0.8, 0.2]]), tf.constant([1, 1])
        >>> float(d2l.accuracy(scores, classes))
        0.5
        >>> d2l.accuracy(scores, classes, averaged=False).numpy().tolist()
        [1.0, 0.0]

    Source: D2L 4.3.2.
    """
    Y = class_ids(Y_hat, Y)
    hits = tf.cast(tf.equal(tf.argmax(Y_hat, axis=1, output_type=Y.dtype), Y), tf.float32)
    return tf.reduce_mean(hits) if averaged else hits


@do_not_convert
def dropout_layer(
    X: tf.Tensor, dropout: float, seed: keras.random.SeedGenerator | None = None
) -> tf.Tensor:
    """Set a random share of the numbers to zero and scale the others up, so that means stay.

    Args:
        X: any shape, float.
        dropout: the probability that a number is set to zero, in [0, 1].
        seed: the source of the random numbers. As an attribute of a model it is saved in
            checkpoints, and compiled and eager steps draw the same numbers. None means
            TensorFlow's global random state.

    Returns:
        Shape and dtype of `X`.

    Raises:
        ValueError: `dropout` is not a probability.

    Example:
        >>> X = tf.ones((1000,))
        >>> sorted({float(x) for x in d2l.dropout_layer(X, 0.5)})
        [0.0, 2.0]

    Source: D2L 5.6.2.
    """
    dropout = real_number("dropout", dropout, maximum=1, hint="It is a probability.")
    if dropout == 1:
        # The scale would be 1/0.
        return tf.zeros_like(X)
    if seed is None:
        drawn = tf.random.uniform(tf.shape(X), dtype=X.dtype)
    else:
        drawn = tf.random.stateless_uniform(tf.shape(X), seed.next(), dtype=X.dtype)
    kept = drawn >= dropout
    return tf.where(kept, X / (1 - dropout), tf.zeros((), X.dtype))


@do_not_convert
def l2_penalty(w: tf.Tensor) -> tf.Tensor:
    """Half the sum of squares of `w`.

    Args:
        w: any shape, float.

    Returns:
        () of the dtype of `w`, in [0, inf).

    Example:
        >>> float(d2l.l2_penalty(tf.constant([1.0, 2.0])))
        2.5

    Source: D2L 3.7.3.
    """
    return tf.reduce_sum(tf.square(w)) / 2


@do_not_convert
def corr2d(X: tf.Tensor, K: tf.Tensor) -> tf.Tensor:
    """Two-dimensional cross-correlation: each entry is the sum of a window of `X` times `K`.

    Args:
        X: (H, W) float.
        K: (h, w) of the same dtype; h <= H and w <= W.

    Returns:
        (H - h + 1, W - w + 1) of the dtype of `X`.

    Raises:
        ValueError: a rank is not 2, or the kernel is larger than `X`.

    Example:
        >>> X = tf.constant([[0.0, 1.0, 2.0], [3.0, 4.0, 5.0], [6.0, 7.0, 8.0]])
        >>> d2l.corr2d(X, tf.constant([[0.0, 1.0], [2.0, 3.0]])).numpy().tolist()
        [[19.0, 25.0], [37.0, 43.0]]

    Source: D2L 7.2.1; its example gives [[19, 25], [37, 43]].
    """
    X, K = tf.convert_to_tensor(X), tf.convert_to_tensor(K)
    fits = X.shape.rank == K.shape.rank == 2 and all(
        k <= x for k, x in zip(K.shape, X.shape, strict=True)
    )
    if not fits:
        raise ValueError(
            f"X must be (H, W) and K (h, w), no larger; got shapes {X.shape} and {K.shape}."
        )
    image, kernel = X[tf.newaxis, :, :, tf.newaxis], K[:, :, tf.newaxis, tf.newaxis]
    return tf.nn.conv2d(image, kernel, strides=1, padding="VALID")[0, :, :, 0]


@do_not_convert
def flattened(X: Any, num_inputs: int) -> tf.Tensor:
    """Reshape each example into one row, as a Keras model takes it: from tensor or array.

    Args:
        X: (n, ...) float, with num_inputs numbers an example.
        num_inputs: at least 1.

    Returns:
        (n, num_inputs) float32.

    Raises:
        ValueError: the examples have another size, which a reshape alone would hide by another n;
            or they are not floats.
    """
    X = tf.convert_to_tensor(X)
    sizes = X.shape[1:]
    if sizes.rank and sizes.is_fully_defined() and sizes.num_elements() != num_inputs:
        raise ValueError(
            f"an example must have num_inputs={num_inputs} numbers; got {sizes.num_elements()}, "
            f"in inputs of shape {X.shape}. Give the model that num_inputs, or resize the inputs."
        )
    if not X.dtype.is_floating:
        raise ValueError(
            f"the inputs must be float32; got {X.dtype.name}. Scale them, or tf.cast them."
        )
    return tf.reshape(tf.cast(X, tf.float32), (-1, num_inputs))
