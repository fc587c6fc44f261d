"""Outputs of a model in a user's terms: the names of classes, or a number in its own unit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

__all__ = ["ClassOutput", "NumberOutput", "Output"]


def _unchanged(outputs: Any) -> Any:
    return outputs


@dataclass(frozen=True)
class ClassOutput:
    """One of several classes.

    Attributes:
        labels: the classes' names by class id, all different.
    """

    labels: tuple[str, ...]


@dataclass(frozen=True)
class NumberOutput:
    """A number, in the unit of the data.

    Attributes:
        restore: the model's outputs, (n,) float32 -> (n,) float32 in the unit of the data, by
            TensorFlow's operations; undoes what was done to the targets for training.
    """

    restore: Callable[[Any], Any] = _unchanged


Output: TypeAlias = ClassOutput | NumberOutput
