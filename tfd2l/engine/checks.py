"""Checks of what a user's model, data and steps give to the trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from pipelines.basics.autograph import do_not_convert

__all__ = ["check_gradients", "check_loss", "check_methods"]


def check_methods(role: str, given: Any, *methods: str) -> None:
    """Raise TypeError unless the object given to `Trainer.fit` as `role` has these methods."""
    missing = [name for name in methods if not hasattr(given, name)]
    if missing:
        raise TypeError(
            f"Trainer.fit(model, data) needs a d2l.Module and a d2l.DataModule; the {role} given "
            f"is a {type(given).__name__}, which has no {missing[0]}. A Keras model goes in as the "
            "attribute net of a d2l.Classifier or d2l.Module, a data set as what a DataModule's "
            "get_dataloader(train) returns."
        )


@do_not_convert
def check_loss(loss: Any, name: str) -> None:
    """Raise ValueError unless the loss of the model `name` is one number, of shape () or (1,)."""
    if loss is None:
        raise ValueError(f"{name}.training_step returned None; let it return the loss.")
    shape = tf.convert_to_tensor(loss).shape
    if shape.num_elements() not in (None, 1):
        raise ValueError(
            f"{name}.training_step returned a loss of shape {shape}, whose gradient would be that "
            "of the sum; return one number, e.g. tf.reduce_mean of the examples' losses, and "
            "tf.add_n of several penalties."
        )


@do_not_convert
def check_gradients(gradients: Sequence[Any], name: str) -> None:
    """Raise ValueError if the loss does not depend on any variable of the model `name`."""
    if all(gradient is None for gradient in gradients):
        raise ValueError(
            f"the loss does not depend on any of the {len(gradients)} trainable variables of "
            f"{name}; make parameters tf.Variables or Keras layers that are "
            "attributes of the model, and compute the loss from them with TensorFlow."
        )
