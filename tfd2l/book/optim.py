"""Stochastic gradient descent from scratch. D2L 3.4.3."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.numbers import positive_number
from tfd2l.book.hyperparameters import HyperParameters
from tfd2l.common.hints import OPTIMIZER, missing_attribute

__all__ = ["SGD", "learning_rate"]


def _without_variables(constructor: Callable[..., None]) -> Callable[..., None]:
    """Refuse PyTorch's arguments, a list of variables and a rate, and keep the signature."""

    @functools.wraps(constructor)
    def check_and_construct(self: Any, *args: Any, **kwargs: Any) -> None:
        if "params" in kwargs or isinstance(next(iter(args), None), list | tuple | Iterator):
            raise TypeError(
                "SGD takes the learning rate alone, SGD(lr=0.03). The variables come with their "
                "gradients: sgd.apply_gradients(zip(gradients, [w, b]))."
            )
        constructor(self, *args, **kwargs)

    return check_and_construct


class SGD(HyperParameters):
    """Minibatch stochastic gradient descent: v <- v - lr * gradient.

    Gradients come from a `tf.GradientTape`, so there is nothing to reset between steps, and the
    variables come with the gradients, as in every Keras optimizer.

    Example:
        >>> w = tf.Variable([1.0, 2.0])
        >>> gradient = tf.constant([10.0, -10.0])
        >>> d2l.SGD(lr=0.1).apply_gradients([(gradient, w)])
        >>> w.numpy().tolist()
        [0.0, 3.0]

    Source: D2L 3.4.3.
    """

    lr: Any

    @_without_variables
    def __init__(self, lr: Any) -> None:
        """Keep the learning rate `lr`: a number above 0, or a variable.

        Raises:
            TypeError: variables are given, as to PyTorch's SGD.
            ValueError: `lr` is neither, or is a schedule.
        """
        lr = learning_rate(lr)
        if callable(lr):
            raise ValueError(
                f"lr must be a number here; got the schedule {type(lr).__name__}. Let "
                "configure_optimizers() return keras.optimizers.SGD(lr), which takes schedules."
            )
        self.save_hyperparameters()

    def __getattr__(self, name: str) -> Any:
        """Raise AttributeError for a missing attribute, with the idiom for PyTorch's names."""
        raise missing_attribute(self, name, OPTIMIZER)

    def apply_gradients(
        self, grads_and_vars: Iterable[tuple[tf.Tensor | None, tf.Variable]]
    ) -> None:
        """Take one step: change the variables in place.

        Args:
            grads_and_vars: pairs of a gradient and its variable, with the same shape and dtype,
                both any; a variable whose gradient is None stays as it is.
        """
        for gradient, variable in grads_and_vars:
            if gradient is not None:
                variable.assign_sub(self.lr * gradient)


def learning_rate(lr: Any) -> Any:
    """Return `lr` if it can be a learning rate: a number as a float, all else unchanged.

    Args:
        lr: a number above 0, or an object that changes in training: a variable, or a schedule of
            Keras.

    Raises:
        ValueError: it is none of these.
    """
    if callable(lr):
        return lr
    value = positive_number("lr", lr, hint="It is the learning rate; try 0.03 or 0.1.")
    return lr if isinstance(lr, tf.Variable | keras.Variable) else value
