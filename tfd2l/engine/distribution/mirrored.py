"""Mirrored variables: for a fit on several devices, a model's variables get a copy on each."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from dataclasses import is_dataclass
from typing import Any

import keras
import tensorflow as tf

from tfd2l.engine.errors import MirrorError
from tfd2l.engine.variables import GENERATORS, WITH_PARTS, tf_variable, variables_in

__all__ = ["Mirrors"]


class Mirrors:
    """Puts mirrored variables in the place of others, and those back at the end.

    Each replica reads and assigns its own copy (TensorFlow's `VariableAggregation.NONE`), so that
    the code of models and optimizers needs no change. What keeps the copies equal is that every
    replica makes the same update.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Begin with none; copies are made on the devices of `strategy`."""
        self._strategy = strategy
        self._copied: list[tuple[tf.Variable, tf.Variable]] = []
        # Each place that was changed: the dict or list, the key, and what stood there and stands.
        self._changed: list[tuple[Any, Any, Any, Any]] = []

    def hold(self, owner: Any, variables: Iterable[Any]) -> None:
        """Mirror those of `variables` that are not mirrored yet; call within the strategy's scope.

        Args:
            owner: the model or optimizer whose attributes, lists and layers hold the variables.
            variables: `tf.Variable`s and Keras variables, all those that the owner has.

        Raises:
            MirrorError: an object that can't be changed holds a `tf.Variable`.
        """
        copies: dict[int, tf.Variable] = {}
        for variable in variables:
            original = tf_variable(variable)
            if self._is_mirrored(original):
                continue
            copy = _copy_of(original)
            self._copied.append((original, copy))
            if isinstance(variable, keras.Variable):
                self._change(vars(variable), "_value", copy)
            else:
                copies[id(original)] = copy
        if copies:
            self._replace(owner, copies, set())
            put = {id(new) for new in _variables_in(self._changed)}
            for original, copy in self._copied:
                if id(original) in copies and id(copy) not in put:
                    raise MirrorError(
                        f"the variable {original.name!r} can't be mirrored on several devices, as "
                        "the object that holds it can't be changed; create the model within "
                        "`with trainer.strategy.scope():`."
                    )

    def release(self, moment: tuple[int, int] = (0, 0)) -> None:
        """Put back what stood there at a moment, with the values of the copies."""
        num_copied, num_changed = moment
        while len(self._copied) > num_copied:
            original, copy = self._copied.pop()
            original.assign(copy.read_value())
        while len(self._changed) > num_changed:
            holder, key, old, new = self._changed.pop()
            # A callback may have put something else there, or shortened a list.
            with contextlib.suppress(LookupError):
                if holder[key] is new:
                    holder[key] = old

    @property
    def moment(self) -> tuple[int, int]:
        """Now, for `release`."""
        return len(self._copied), len(self._changed)

    def _change(self, holder: Any, key: Any, new: Any) -> None:
        self._changed.append((holder, key, holder[key], new))
        holder[key] = new

    def _replace(self, value: Any, copies: dict[int, tf.Variable], seen: set[int]) -> Any:
        """The value with its variables replaced: objects, lists and dicts in place, tuples anew."""
        if isinstance(value, tf.Variable):
            return copies.get(id(value), value)
        if isinstance(value, tuple):
            parts = [self._replace(part, copies, seen) for part in value]
            if all(new is old for new, old in zip(parts, value, strict=True)):
                return value
            return value._make(parts) if hasattr(value, "_make") else tuple(parts)
        if id(value) not in seen:
            seen.add(id(value))
            for holder, key, part in _entries(value):
                new = self._replace(part, copies, seen)
                if new is not part:
                    self._change(holder, key, new)
        return value

    def _is_mirrored(self, variable: tf.Variable) -> bool:
        return (
            isinstance(variable, tf.distribute.DistributedValues)
            and variable.distribute_strategy is self._strategy
            and variable.aggregation == tf.VariableAggregation.NONE
            and variable.synchronization != tf.VariableSynchronization.ON_READ
        )


def _copy_of(variable: tf.Variable) -> tf.Variable:
    """A mirrored variable of the same value and settings; the strategy of the scope makes it."""
    return tf.Variable(
        variable.read_value(),
        trainable=variable.trainable,
        name=variable.name.partition(":")[0],
        dtype=variable.dtype,
        constraint=getattr(variable, "constraint", None),
        aggregation=tf.VariableAggregation.NONE,
    )


def _variables_in(changed: Iterable[tuple[Any, Any, Any, Any]]) -> Iterator[tf.Variable]:
    """The variables that were put somewhere, alone or in a tuple."""
    for _, _, _, new in changed:
        yield from variables_in(new, set())


def _entries(value: Any) -> Iterator[tuple[Any, Any, Any]]:
    """Yield what holds variables in an object, a list or a dict: holder, key and value."""
    if isinstance(value, list):
        # TensorFlow's lists in modules note an assignment as a change that can't be saved.
        entries = getattr(value, "_storage", value)
        yield from ((entries, number, part) for number, part in enumerate(list(entries)))
    elif isinstance(value, dict):
        entries = getattr(value, "__wrapped__", value)
        yield from ((entries, key, part) for key, part in list(entries.items()))
    elif isinstance(value, (*WITH_PARTS, *GENERATORS, keras.layers.Layer)) or (
        is_dataclass(value) and not isinstance(value, type)
    ):
        # Not by setattr, which Keras and TensorFlow track; their records of it are attributes too.
        yield from ((vars(value), name, part) for name, part in list(vars(value).items()))
