"""Switches Keras' own distribution off: replicas here average gradients, losses and all else.

Keras divides each loss by the number of replicas and lets its optimizers sum the gradients, which
suits slices of equal sizes alone, and clips a replica's gradients before they are summed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from types import MethodType
from typing import Any

import keras

__all__ = ["losses_unscaled", "update_alone"]

_METHODS = (
    "_backend_update_step", "_apply_weight_decay", "_backend_increment_gradient_accumulators",
)  # fmt: skip


def update_alone(optimizer: Any) -> None:
    """Let a Keras optimizer update each replica's variables as it does on one device.

    Args:
        optimizer: one of Keras', with those in it; another object stays as it is.
    """
    inner = getattr(optimizer, "inner_optimizer", None)
    for one in (optimizer, inner, *getattr(optimizer, "optimizers", ())):
        if isinstance(one, keras.optimizers.Optimizer):
            for name in _METHODS:
                method = getattr(keras.src.optimizers.base_optimizer.BaseOptimizer, name)
                vars(one)[name] = MethodType(method, one)
        if isinstance(one, keras.optimizers.LossScaleOptimizer):
            vars(one)["_tf_apply"] = one._common_apply


@contextlib.contextmanager
def losses_unscaled() -> Iterator[None]:
    """Inside, Keras' losses are means over the batch, not over that and the replicas."""
    module = keras.src.losses.loss
    scaled = module.scale_loss_for_distribution
    module.scale_loss_for_distribution = lambda loss: loss
    try:
        yield
    finally:
        module.scale_loss_for_distribution = scaled
