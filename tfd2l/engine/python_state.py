"""Python's own state, which a compiled step takes as it was while the step was traced.

What a step changes in Python (`self.t += 1`, a list that grows, a tensor kept for the next step, a
number drawn by NumPy) a graph would change once and never again, and the model would learn
something else than its code says: such steps are recognised, and run eagerly. What a step only
reads (`self.lambd`, an optimizer's momentum) may be changed between steps, by a callback or a
reader's `fit_epoch`: that is recognised too, and the step is traced again.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfd2l.common.errors import Tfd2lError
from tfd2l.engine import python_slots
from tfd2l.engine.python_slots import GENERATORS, LENGTH, PLAIN, Slots, Trainable
from tfd2l.engine.user_names import is_readers

_MISSING = object()


class PythonStateError(Tfd2lError, RuntimeError):
    """A step changes, or counts on, state that TensorFlow does not see."""


@dataclass(frozen=True)
class Snapshot:
    """What the watched objects, and the generators of random numbers, were like.

    Attributes:
        slots: each watched object, list, dict and set of names, with what it held.
        generators: each generator with its state.
        python_random: state of `random`.
        numpy_random: state of `numpy.random`.
    """

    slots: list[tuple[Any, Slots]]
    generators: list[tuple[Any, Any]]
    python_random: Any
    numpy_random: Any


class PythonState:
    """The attributes of some objects, of what they consist of, and what their methods name."""

    def __init__(self, *objects: Any) -> None:
        """Watch `objects`, and what they refer to."""
        self._objects = objects
        self._read: list[tuple[Any, Slots]] = []

    def snapshot(self) -> Snapshot:
        """What all is like before a step is traced."""
        holders = [
            holder
            for holder in python_slots.holders(self._objects)
            if not python_slots.is_keras(holder) or is_readers(type(holder).__module__)
        ]
        slots = [(holder, python_slots.slots(holder)) for holder in holders]
        found = {
            id(value): value
            for _, old in slots
            for value in old.values()
            if isinstance(value, GENERATORS)
        }
        states = [(generator, python_slots.state_of(generator)) for generator in found.values()]
        return Snapshot(slots, states, random.getstate(), np.random.get_state())

    def check(self, before: Snapshot) -> None:
        """Raise PythonStateError if what was traced since changed something."""
        for holder, old in before.slots:
            for name in _changed_by_tracing(holder, old):
                what = python_slots.title(holder, name)
                raise PythonStateError(
                    f"it changes {what}, which is Python's and not TensorFlow's; make it a "
                    "tf.Variable and use assign()."
                )
        own = [
            python_slots.equal(python_slots.state_of(generator), state)
            for generator, state in before.generators
        ]
        common = python_slots.equal(np.random.get_state(), before.numpy_random)
        if not (all(own) and common and random.getstate() == before.python_random):
            raise PythonStateError(
                "it draws random numbers from Python or NumPy, which a graph does only once; "
                "use tf.random."
            )

    def restore(self, before: Snapshot) -> None:
        """Undo what tracing changed, so that the first eager step starts from the same state."""
        for holder, old in before.slots:
            if isinstance(holder, list):
                # Only what was appended: TensorFlow's lists compare what is overwritten, which
                # tensors of a graph can't be.
                del holder[old[LENGTH] :]
                continue
            for name in list(_changed_by_tracing(holder, old)):
                if name in old:
                    python_slots.write(holder, name, old[name])
                else:
                    python_slots.remove(holder, name)
        for generator, state in before.generators:
            python_slots.set_state(generator, state)
        random.setstate(before.python_random)
        np.random.set_state(before.numpy_random)

    def keep_traced(self) -> None:
        """Keep what all is like now that a step was traced, for `changed_since_traced`."""
        self._read = [
            (holder, python_slots.kept(python_slots.slots(holder)))
            for holder in python_slots.holders(self._objects)
        ]

    def changed_since_traced(self) -> str | None:
        """The name of something that is not as it was when `keep_traced` was called.

        Called several times a second: where nothing was changed it compares identities only.
        """
        for holder, old in self._read:
            now = python_slots.live(holder)
            for name, value in old.items():
                current = now.get(name, _MISSING)
                if current is value or (
                    isinstance(value, PLAIN) and python_slots.equal(current, value)
                ):
                    continue
                return python_slots.title(holder, name)
        return None


def _changed_by_tracing(holder: Any, old: Slots) -> Iterator[Any]:
    """Names whose values were changed in a way that a graph can't repeat."""
    if isinstance(holder, Trainable):
        return
    new = python_slots.slots(holder)
    for name, value in new.items():
        if name not in old:
            # Variables and layers are often made when the first batch is seen; that is no harm,
            # nor is what a layer then notes of its input.
            plain = isinstance(value, PLAIN) and not python_slots.is_keras(holder)
            changed = plain or isinstance(value, tf.Tensor)
        elif isinstance(value, PLAIN):
            changed = value is not old[name] and not python_slots.equal(value, old[name])
        else:
            # Of a graph's tensor nothing is left when tracing is over.
            changed = value is not old[name] and isinstance(value, tf.Tensor)
        if changed:
            yield name
    yield from (name for name in old if name not in new)


class Counter:
    """A count of an object, kept in its `counters`, that a step may read in plain Python only."""

    def __init__(self, name: str) -> None:
        """Name the attribute."""
        self._name = name

    def __get__(self, owner: Any, cls: type) -> Any:
        """The count.

        Raises:
            PythonStateError: a step that reads it is being traced, and would keep it for ever.
        """
        if owner is None:
            return self
        if tf.inside_function():
            raise PythonStateError(
                f"it reads {cls.__name__}.{self._name}, which a graph would keep as it is now."
            )
        return owner.counters[self._name]

    def __set__(self, owner: Any, value: int) -> None:
        """Set the count."""
        owner.counters[self._name] = value
