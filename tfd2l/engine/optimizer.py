"""Clips gradients, and scales losses for float16."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["clip_by_global_norm", "scaled_loss", "with_loss_scale"]


def with_loss_scale(optimizer: Any, gradient_clip_val: float = 0) -> Any:
    """Wrap the optimizer in Keras' `LossScaleOptimizer` under the policy `mixed_float16`.

    Half precision loses small gradients, so the loss is scaled up before the gradients are taken,
    and the gradients are scaled down after.

    Args:
        optimizer: a Keras optimizer, or another object with `apply_gradients`.
        gradient_clip_val: the norm that the trainer clips to; 0 means no clipping.

    Returns:
        The wrapped optimizer. Under another policy, or for an optimizer that is not Keras', the
        optimizer itself.

    Raises:
        ValueError: the trainer would clip scaled gradients.
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
    """Scale the loss up, if the optimizer scales the gradients down again.

    Args:
        optimizer: a Keras optimizer, or another object with `apply_gradients`.
        loss: () float.

    Returns:
        The loss to differentiate: () of the dtype of `loss`.
    """
    if isinstance(optimizer, keras.optimizers.Optimizer):
        return optimizer.scale_loss(loss)
    return loss


@do_not_convert
def clip_by_global_norm(
    gradients: Sequence[tf.Tensor | None], max_norm: float
) -> list[tf.Tensor | None]:
    """Scale all gradients by one factor so that their joint l2 norm is at most `max_norm`.

    Args:
        gradients: float tensors of any shapes; None, for a variable that the loss does not depend
            on, stays None.
        max_norm: above 0.

    Returns:
        The gradients in the same order, with their shapes and dtypes.

    Source: D2L 9.5.3, and the `gradient_clip_val` of 3.4.
    """
    present = [gradient for gradient in gradients if gradient is not None]
    clipped = iter(tf.clip_by_global_norm(present, max_norm)[0])
    return [None if gradient is None else next(clipped) for gradient in gradients]
