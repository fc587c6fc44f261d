"""Stochastic gradient descent from scratch, clipping of gradients, and scaling of losses."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert
from pipelines.basics.numbers import positive_number
from tfd2l.book.hyperparameters import HyperParameters


class SGD(HyperParameters):
    """Minibatch stochastic gradient descent: v <- v - lr * gradient.

    Gradients come from a `tf.GradientTape`, so there is nothing to reset between steps, and the
    variables come with the gradients, as in every Keras optimizer.

    Source: D2L 3.4.3.
    """

    lr: Any

    def __init__(self, lr: Any) -> None:
        """Keep the learning rate `lr`, a number above 0 or a variable.

        Raises:
            ValueError: `lr` is none.
        """
        lr = learning_rate(lr)
        if callable(lr):
            raise ValueError(
                f"lr must be a number here; got the schedule {type(lr).__name__}. Let "
                "configure_optimizers() return keras.optimizers.SGD(lr), which takes schedules."
            )
        self.save_hyperparameters()

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor | None, tf.Variable]]
    ) -> None:
        """Take one step in place. A variable whose gradient is None is left as it is."""
        for gradient, variable in grads_and_vars:
            if gradient is not None:
                variable.assign_sub(self.lr * gradient)


def learning_rate(lr: Any) -> Any:
    """Give back `lr`, if it can be a learning rate: a number as a float, all else as it is.

    Args:
        lr: a number above 0, or what changes in training: a variable, or a schedule of Keras.

    Raises:
        ValueError: it is none of these.
    """
    if callable(lr):
        return lr
    value = positive_number("lr", lr, hint="It is the learning rate; try 0.03 or 0.1.")
    return lr if isinstance(lr, tf.Variable | keras.Variable) else value


@do_not_convert
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


def with_loss_scale(optimizer: Any, gradient_clip_val: float = 0) -> Any:
    """The optimizer, made fit for Keras' policy `mixed_float16` where that is in force.

    Half precision loses small gradients, so the loss is scaled up before and the gradients down
    after; Keras' own wrapper does that. Every other optimizer is given back as it is.

    Args:
        optimizer: a Keras optimizer, or anything else with `apply_gradients`.
        gradient_clip_val: what the trainer clips to, 0 for not at all.

    Raises:
        ValueError: scaled gradients would have to be clipped.
    """
    if not isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer
    if keras.config.dtype_policy().name == "mixed_float16" and not hasattr(
        optimizer, "inner_optimizer"
    ):
        optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
    if gradient_clip_val > 0 and hasattr(optimizer, "inner_optimizer"):
        raise ValueError(
            f"gradient_clip_val={gradient_clip_val} would clip gradients that are scaled for "
            "mixed_float16; give the Keras optimizer a global_clipnorm instead, or train in "
            "mixed_bfloat16."
        )
    return optimizer


@do_not_convert
def scaled_loss(optimizer: Any, loss: tf.Tensor) -> tf.Tensor:
    """The loss to differentiate: scaled if the optimizer scales its gradients back."""
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer.scale_loss(loss)
    return loss
