"""Detects Python state that a step changes or depends on, which a graph would freeze.

A graph makes a change of Python state only once, while it is traced: `self.t += 1`, a list that
grows, a tensor kept for the next step, a number drawn by NumPy. The model would then learn
something other than its code says, so such a step is recognized and runs eagerly. State that a step
only reads (`self.lambd`, an optimizer's momentum) may change between steps, by a callback or by a
user's `fit_epoch`; that is recognized too, and the step is traced again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfd2l.engine.errors import PythonStateError
from tfd2l.engine.tracing import watched
from tfd2l.engine.tracing.watched import (
    GENERATORS,
    LENGTH,
    PLAIN,
    Contents,
    OuterVariables,
    Trainable,
)

__all__ = ["PythonState", "Snapshot"]

_MISSING = object()


@dataclass(frozen=True)
class Snapshot:
    """The watched objects and random generators at one moment.

    Attributes:
        contents: each watched object with what it held.
        generators: each random generator with its state.
        python_random: state of `random`.
        numpy_random: state of `numpy.random`.
    """

    contents: list[tuple[Any, Contents]]
    generators: list[tuple[Any, Any]]
    python_random: Any
    numpy_random: Any


class PythonState:
    """The Python state of some objects, of what they consist of, and of what their methods name."""

    def __init__(self, *objects: Any) -> None:
        """Watch `objects`, and what they refer to."""
        self._objects = objects
        self._traced: list[tuple[Any, Contents]] = []

    def snapshot(self) -> Snapshot:
        """Take the state before a step is traced."""
        held = [
            (one, watched.contents(one))
            for one in watched.watched_objects(self._objects)
            if not watched.is_keras(one) or watched.is_user_code(type(one).__module__)
        ]
        generators = {
            id(value): value
            for _, contents in held
            for value in contents.values()
            if isinstance(value, GENERATORS)
        }
        states = [(each, watched.generator_state(each)) for each in generators.values()]
        return Snapshot(held, states, random.getstate(), np.random.get_state())

    def check(self, before: Snapshot) -> None:
        """Raise PythonStateError if tracing a step has changed the state."""
        for one, contents in before.contents:
            for name in _changed_by_tracing(one, contents):
                raise PythonStateError(
                    f"it changes {watched.describe(one, name)}, which is Python's and not "
                    "TensorFlow's; make it a tf.Variable and use assign()."
                )
        own = [
            watched.equal(watched.generator_state(generator), state)
            for generator, state in before.generators
        ]
        common = watched.equal(np.random.get_state(), before.numpy_random)
        if not (all(own) and common and random.getstate() == before.python_random):
            raise PythonStateError(
                "it draws random numbers from Python or NumPy, which a graph does only once; "
                "use tf.random."
            )

    def restore(self, before: Snapshot) -> None:
        """Undo what tracing changed in objects and generators, so that eager steps start alike.

        Global and enclosing variables that a step assigns keep what tracing assigned.
        """
        for one, contents in before.contents:
            if isinstance(one, list):
                # Appended entries only: TensorFlow's lists compare an entry that is overwritten,
                # and the symbolic tensors of a graph can't be compared.
                del one[contents[LENGTH] :]
            elif not isinstance(one, OuterVariables):
                held = one if isinstance(one, dict) else vars(one)
                for name in list(_changed_by_tracing(one, contents)):
                    held[name] = contents.get(name, _MISSING)
                    if held[name] is _MISSING:
                        del held[name]
        for generator, state in before.generators:
            watched.set_generator_state(generator, state)
        random.setstate(before.python_random)
        np.random.set_state(before.numpy_random)

    def keep_traced(self) -> None:
        """Remember the state in which a step was traced, for `changed_since_traced`."""
        self._traced = [
            (one, watched.copied(watched.contents(one)))
            for one in watched.watched_objects(self._objects)
        ]

    def changed_since_traced(self) -> str | None:
        """The name of something that has changed since `keep_traced`; None if nothing has.

        Called several times a second: where nothing has changed it compares identities only.
        """
        for one, contents in self._traced:
            now = watched.current(one)
            for name, value in contents.items():
                found = now.get(name, _MISSING)
                same = found is value or (isinstance(value, PLAIN) and watched.equal(found, value))
                if not same:
                    return watched.describe(one, name)
        return None


def _changed_by_tracing(one: Any, before: Contents) -> Iterator[Any]:
    """The names whose values tracing changed in a way that a graph can't repeat."""
    if isinstance(one, Trainable):
        return
    now = watched.contents(one)
    for name, value in now.items():
        if name not in before:
            # Variables and layers are often made on the first batch, and a layer then notes the
            # shape of its input; neither does harm.
            plain = isinstance(value, PLAIN) and not watched.is_keras(one)
            changed = plain or isinstance(value, tf.Tensor)
        elif isinstance(value, PLAIN):
            changed = value is not before[name] and not watched.equal(value, before[name])
        else:
            # A symbolic tensor has no value once tracing is over.
            changed = value is not before[name] and isinstance(value, tf.Tensor)
        if changed:
            yield name
    yield from (name for name in before if name not in now)
