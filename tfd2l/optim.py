"""Stochastic gradient descent from scratch, and clipping of gradients."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import tensorflow as tf

from tfd2l.hyperparameters import HyperParameters


class SGD(HyperParameters):
    """Minibatch stochastic gradient descent: v <- v - lr * gradient.

    Gradients come from a `tf.GradientTape`, so there is nothing to reset between steps, and the
    variables come with the gradients, as in every Keras optimizer.

    Source: D2L 3.4.3.
    """

    lr: float

    def __init__(self, lr: float) -> None:
        """Keep the learning rate `lr`, a number above 0.

        Raises:
            ValueError: `lr` is not above 0.
        """
        if not lr > 0:
            raise ValueError(f"the learning rate must be above 0; got {lr!r}. Try 0.03 or 0.1.")
        self.save_hyperparameters()

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor | None, tf.Variable]]
    ) -> None:
        """Take one step in place. A variable whose gradient is None is left as it is."""
        for gradient, variable in grads_and_vars:
            if gradient is not None:
                variable.assign_sub(self.lr * gradient)


def clip_by_global_norm(
    gradients: Sequence[tf.Tensor | None], max_norm: float
) -> list[tf.Tensor | None]:
    """Scale all gradients by one factor so that their joint l2 norm is at most `max_norm`.

    Args:
        gradients: tensors of any shapes; None (the loss does not depend on it) stays None.
        max_norm: above 0.

    Returns:
        As many entries as came, in their order.

    Source: D2L 9.5.3, and the `gradient_clip_val` of 3.4.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    clipped = iter(tf.clip_by_global_norm(present, max_norm)[0])
    return [None if gradient is None else next(clipped) for gradient in gradients]
