"""The book's functions on tensors: activations, losses and measures, without state."""

from __future__ import annotations

import tensorflow as tf


def relu(X: tf.Tensor) -> tf.Tensor:
    """max(X, 0), element by element.

    Args:
        X: any shape, float.

    Returns:
        Shape and dtype of `X`, values in [0, inf).

    Source: D2L 5.1.
    """
    # The constant comes first: a tie at 0 then has gradient 0, as tf.nn.relu has it.
    return tf.maximum(tf.zeros((), X.dtype), X)


def softmax(X: tf.Tensor) -> tf.Tensor:
    """Turn each row into probabilities: exp(x) over the row's sum of exp.

    The row's maximum is subtracted first, so that exp can't overflow. It cancels in the quotient,
    so no gradient needs to pass through it.

    Args:
        X: (n, q) float; rows are logits.

    Returns:
        (n, q) float of the dtype of `X`; rows sum to 1.

    Source: D2L 4.1 and 4.4.
    """
    X_exp = tf.exp(X - tf.stop_gradient(tf.reduce_max(X, axis=1, keepdims=True)))
    return X_exp / tf.reduce_sum(X_exp, axis=1, keepdims=True)


def cross_entropy(y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Mean negative log-probability of the true class, in nats.

    Args:
        y_hat: (n, q) float; rows are probabilities, not logits.
        y: (n,) int; class ids in [0, q).

    Returns:
        () of the dtype of `y_hat`.

    Raises:
        ValueError: `y_hat` is not of rank 2, or the lengths differ.

    Source: D2L 4.4; its example gives 1.4979.
    """
    _check_rows(y_hat, y)
    return -tf.reduce_mean(tf.math.log(tf.gather(y_hat, y, batch_dims=1)))


def cross_entropy_from_logits(logits: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Negative log-probability of the true class for each example, in nats.

    Softmax and logarithm are taken together, which stays finite where exp would over- or
    underflow.

    Args:
        logits: (n, q) float.
        y: (n,) int; class ids in [0, q).

    Returns:
        (n,) of the dtype of `logits`.

    Raises:
        ValueError: `logits` is not of rank 2, or the lengths differ.

    Source: D2L 4.5.
    """
    _check_rows(logits, y)
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)


def squared_loss(y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Half the squared error of each prediction.

    Args:
        y_hat: any shape, float.
        y: the same shape and dtype.

    Returns:
        The shape and dtype of `y_hat`, values in [0, inf).

    Raises:
        ValueError: the shapes differ. (n, 1) against (n,) would broadcast to (n, n) in silence.

    Source: D2L 3.1 and 3.4.
    """
    if not y_hat.shape.is_compatible_with(y.shape):
        raise ValueError(
            f"predictions and targets need one shape; got {y_hat.shape} and {y.shape}. "
            "Targets of shape (n,) become (n, 1) by tf.reshape(y, (-1, 1))."
        )
    return tf.square(y_hat - y) / 2


def entropy(p: tf.Tensor) -> tf.Tensor:
    """Expected surprise of a distribution, -sum p log p, in nats; 0 log 0 counts as 0.

    Args:
        p: (..., q) float; the last axis is a distribution.

    Returns:
        (...) of the dtype of `p`, values in [0, log q].

    Source: D2L 4.1.3.
    """
    # Subtracted from 0, so that certainty has entropy 0.0 and not -0.0.
    return 0.0 - tf.reduce_sum(tf.math.xlogy(p, p), axis=-1)


def accuracy(Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
    """Share of examples whose highest score is at the true class.

    Args:
        Y_hat: (n, q) float; scores, larger for the likelier class.
        Y: (n,) int; class ids in [0, q).
        averaged: False gives the examples' own 0 or 1.

    Returns:
        () float32 in [0, 1], or (n,) float32 of zeros and ones.

    Raises:
        ValueError: `Y_hat` is not of rank 2, or the lengths differ.

    Source: D2L 4.3.2.
    """
    _check_rows(Y_hat, Y)
    hits = tf.cast(tf.equal(tf.argmax(Y_hat, axis=1, output_type=Y.dtype), Y), tf.float32)
    return tf.reduce_mean(hits) if averaged else hits


def _check_rows(y_hat: tf.Tensor, y: tf.Tensor) -> None:
    """Raise unless `y_hat` is (n, q) and `y` is (n,)."""
    if y_hat.shape.rank != 2 or not y.shape.is_compatible_with(y_hat.shape[:1]):
        raise ValueError(
            f"scores need shape (n, q) and class ids shape (n,); got {y_hat.shape} and {y.shape}."
        )
