"""Checks the arguments of the models' constructors by their names, which all models share."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any, TypeVar, cast

from pipelines.basics.numbers import real_number, whole_number
from tfd2l.book.optim import learning_rate

__all__ = ["checked"]

Constructor = TypeVar("Constructor", bound=Callable[..., None])

_SIZES = {
    "num_inputs", "num_outputs", "num_hiddens", "num_hiddens_1", "num_hiddens_2", "num_classes",
    "num_channels", "groups", "strides",
}  # fmt: skip
_PROBABILITIES = {"dropout_1", "dropout_2"}
_NOT_NEGATIVE = {"sigma", "lambd", "wd", "bot_mul"}
_FLAGS = {"use_1x1conv"}


def checked(constructor: Constructor) -> Constructor:
    """Check the arguments before the constructor runs, and pass them on as Python's numbers.

    Sizes are whole numbers of at least 1, probabilities are in [0, 1], `lr` is a learning rate.

    Raises:
        TypeError: when the class is defined, and an argument has a name without a rule here.
        ValueError: when an object is made, and an argument is out of range.
    """
    _, *names = inspect.signature(constructor).parameters
    if unknown := {*names} - _SIZES - _PROBABILITIES - _NOT_NEGATIVE - _FLAGS - {"lr"}:
        raise TypeError(f"{constructor.__qualname__} has arguments without a rule: {unknown}.")

    @functools.wraps(constructor)
    def check_and_construct(self: Any, *args: Any, **kwargs: Any) -> None:
        # Surplus, unknown and missing arguments are left for Python itself to refuse.
        known = [_check(name, value) for name, value in zip(names, args, strict=False)]
        named = {name: _check(name, value) for name, value in kwargs.items()}
        constructor(self, *known, *args[len(names) :], **named)

    return cast("Constructor", check_and_construct)


def _check(name: str, value: Any) -> Any:
    if name in _SIZES:
        return whole_number(name, value)
    if name in _PROBABILITIES:
        return real_number(name, value, maximum=1)
    if name in _NOT_NEGATIVE:
        return real_number(name, value)
    return learning_rate(value) if name == "lr" else value
