"""Switches Keras' own distribution off: replicas here average gradients, losses and all else.

Keras divides each loss by the number of replicas and lets its optimizers sum the gradients, which
suits slices of equal sizes alone, and clips a replica's gradients before they are summed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from types import MethodType
from typing import Any

import keras
import tensorflow as tf

from tfd2l.engine.errors import MirrorError

__all__ = ["check_losses", "losses_unscaled", "update_alone", "update_as_before"]

_METHODS = (
    "_backend_update_step", "_apply_weight_decay", "_backend_increment_gradient_accumulators",
)  # fmt: skip


def update_alone(optimizer: Any) -> None:
    """Let a Keras optimizer update each replica's variables as it does on one device.

    Args:
        optimizer: one of Keras', with those in it; another object stays as it is.
    """
    for one in _optimizers_in(optimizer):
        for name in _METHODS:
            method = getattr(keras.src.optimizers.base_optimizer.BaseOptimizer, name)
            vars(one)[name] = MethodType(method, one)
        if isinstance(one, keras.optimizers.LossScaleOptimizer):
            vars(one)["_tf_apply"] = one._common_apply
        _adapt(one)


def update_as_before(optimizer: Any) -> None:
    """Undo `update_alone`, outside of the strategy's scope."""
    for one in _optimizers_in(optimizer):
        for name in (*_METHODS, "_tf_apply"):
            vars(one).pop(name, None)
        for variable in one.variables:
            if isinstance(variable.value, tf.distribute.DistributedValues):
                variable._value = tf.Variable(variable.numpy(), trainable=False, name=variable.name)
        _adapt(one)


def _optimizers_in(optimizer: Any) -> list[Any]:
    inner = getattr(optimizer, "inner_optimizer", None)
    every = (optimizer, inner, *getattr(optimizer, "optimizers", ()))
    return [one for one in every if isinstance(one, keras.optimizers.Optimizer)]


def _adapt(optimizer: Any) -> None:
    """Let an optimizer know its variables, which were mirrored or released, and the strategy."""
    vars(optimizer)["_distribution_strategy"] = tf.distribute.get_strategy()
    places = optimizer._trainable_variables_indices
    variables = list(optimizer._trainable_variables)
    places.clear()
    places.update({optimizer._var_key(variable): i for i, variable in enumerate(variables)})


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


def check_losses(layers: Iterable[keras.layers.Layer]) -> None:
    """Check, after a step in several replicas of this process, that their losses were kept apart.

    A layer keeps the losses that it adds in one list. Replicas are traced one after the other,
    but where a layer synchronizes them in the middle of a step, they take turns.

    Raises:
        MirrorError: layers of a model synchronize the replicas, and layers of it add losses.
    """
    every = [part for layer in layers for part in layer._flatten_layers()]
    synchronized = [one.name for one in every if getattr(one, "synchronized", False)]
    adding = [one.name for one in every if one._losses]
    if synchronized and adding:
        raise MirrorError(
            f"the losses that the layer {adding[0]!r} adds, e.g. by an activity regularizer, can't "
            f"be kept apart in several replicas with {synchronized[0]!r} synchronized; add them in "
            "training_step instead, or let BatchNormalization be synchronized=False."
        )
