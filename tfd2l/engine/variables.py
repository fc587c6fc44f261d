"""The TensorFlow variables behind a model and its optimizer."""

from __future__ import annotations

from typing import Any, Protocol

import keras
import tensorflow as tf

__all__ = ["HasVariables", "saved_variables", "tf_variable"]


class HasVariables(Protocol):
    """The part of a model that checkpoints use."""

    @property
    def variables(self) -> list[Any]:
        """All state: `tf.Variable`s and Keras variables."""

    @property
    def trainable_variables(self) -> list[Any]:
        """Those of `variables` that training changes."""


def tf_variable(variable: Any) -> tf.Variable:
    """The variable itself, or the TensorFlow variable inside a Keras variable."""
    return variable.value if isinstance(variable, keras.Variable) else variable


def saved_variables(model: HasVariables, optimizer: Any) -> list[tf.Variable]:
    """The variables in a checkpoint, in its order: the model's, then the optimizer's if any."""
    return [tf_variable(v) for v in [*model.variables, *getattr(optimizer, "variables", ())]]
