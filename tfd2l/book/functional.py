"""The book's functions on tensors: activations, losses and measures, without state."""

from __future__ import annotations

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import real_number


@do_not_convert
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


@do_not_convert
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

    Source: D2L 4.4; its example gives 1.4979.
    """
    y = _class_ids(y_hat, y)
    return -tf.reduce_mean(tf.math.log(tf.gather(y_hat, y, batch_dims=1)))


@do_not_convert
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
        ValueError: `logits` is not of rank 2, the lengths differ, or `y` has no integers.

    Source: D2L 4.5.
    """
    y = _class_ids(logits, y)
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
        ValueError: the shapes differ. (n, 1) against (n,) would broadcast to (n, n) in silence.

    Source: D2L 3.1 and 3.4.
    """
    if not y_hat.shape.is_compatible_with(y.shape):
        raise ValueError(
            f"predictions and targets need one shape; got {y_hat.shape} and {y.shape}. "
            "Targets of shape (n,) become (n, 1) by tf.reshape(y, (-1, 1))."
        )
    return tf.square(y_hat - y) / 2


@do_not_convert
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


@do_not_convert
def accuracy(Y_hat: tf.Tensor, Y: tf.Tensor, averaged: bool = True) -> tf.Tensor:
    """Share of examples whose highest score is at the true class.

    Args:
        Y_hat: (n, q) float; scores, larger for the likelier class.
        Y: (n,) int; class ids in [0, q).
        averaged: False gives the examples' own 0 or 1.

    Returns:
        () float32 in [0, 1], or (n,) float32 of zeros and ones.

    Raises:
        ValueError: `Y_hat` is not of rank 2, the lengths differ, or `Y` has no integers.

    Source: D2L 4.3.2.
    """
    Y = _class_ids(Y_hat, Y)
    hits = tf.cast(tf.equal(tf.argmax(Y_hat, axis=1, output_type=Y.dtype), Y), tf.float32)
    return tf.reduce_mean(hits) if averaged else hits


@do_not_convert
def dropout_layer(
    X: tf.Tensor, dropout: float, seed: keras.random.SeedGenerator | None = None
) -> tf.Tensor:
    """Set a random share of the numbers to zero and scale the others up, so that means stay.

    Args:
        X: any shape, float.
        dropout: the probability of a number's being dropped, in [0, 1].
        seed: what to draw from; as an attribute of a model it is kept in checkpoints, and the
            draws are the same compiled and eager. Without it TensorFlow's own state is drawn from.

    Returns:
        Shape and dtype of `X`.

    Raises:
        ValueError: `dropout` is not a probability.

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
    """Half the sum of squares of `w`, any shape: () of its dtype.

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
        ValueError: a rank other than 2, or a kernel larger than `X`.

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
def flattened(X: tf.Tensor, num_inputs: int) -> tf.Tensor:
    """Make one row of each example: (n, ...) float -> (n, num_inputs).

    Raises:
        ValueError: the examples have another size, which a reshape alone would mix up with their
            number; or they are no floats.
    """
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
    return tf.reshape(X, (-1, num_inputs))


@do_not_convert
def _class_ids(y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """`y` as int32 or int64, if it is (n,) of integers and `y_hat` is (n, q)."""
    if y_hat.shape.rank != 2 or not y.shape.is_compatible_with(y_hat.shape[:1]):
        raise ValueError(
            f"scores need shape (n, q) and class ids shape (n,); got {y_hat.shape} and {y.shape}."
        )
    if not y.dtype.is_integer:
        raise ValueError(
            f"class ids must be integers, from 0; got {y.dtype.name}. Do: tf.cast(y, tf.int32)."
        )
    return y if y.dtype in (tf.int32, tf.int64) else tf.cast(y, tf.int32)
