"""Python's own state, which a compiled step would change once, while it is traced, and never again.

A counter (`self.t += 1`), a list that grows, a tensor kept in an attribute for the next step, a
number drawn by NumPy: in a graph each of them is frozen in silence, and the model then learns
something else than its code says. Such steps are recognised, and run eagerly.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.hyperparameters import HyperParameters

# Attributes of models that belong to the library, and change while a step is traced.
_OWN = {"trainer", "board", "training", "_phase", "hparams"}
_PLAIN = (int, float, complex, str, bytes, type(None), np.ndarray, np.generic)


class PythonStateError(RuntimeError):
    """A step changes state that TensorFlow does not see."""


@dataclass(frozen=True)
class Snapshot:
    """What the watched objects, and the generators of random numbers, were like.

    Attributes:
        slots: each watched object, list and dict, with a copy of what it held, by name or place.
        python_random: state of `random`.
        numpy_random: state of `numpy.random`.
    """

    slots: list[tuple[Any, dict[Any, Any]]]
    python_random: Any
    numpy_random: Any


class PythonState:
    """The attributes of some objects, and of what they consist of, as far as Python keeps them."""

    def __init__(self, *objects: Any) -> None:
        """Watch `objects`: models and optimizers. Keras' own parts are left out."""
        self._objects = objects

    def snapshot(self) -> Snapshot:
        """What all is like now."""
        holders = list(_holders(self._objects, set()))
        slots = [(holder, _slots(holder)) for holder in holders]
        return Snapshot(slots, random.getstate(), _numpy_random())

    def check(self, before: Snapshot) -> None:
        """Raise PythonStateError if what was traced since changed something."""
        for holder, old in before.slots:
            for name in _changed(old, _slots(holder)):
                what = f"{type(holder).__name__}.{name}"
                if isinstance(holder, list | dict):
                    what = f"[{name!r}] of a list or dict that the model keeps"
                raise PythonStateError(
                    f"it changes {what}, which is Python's and not TensorFlow's; "
                    "make it a tf.Variable and use assign()."
                )
        if not _equal(_numpy_random(), before.numpy_random) or (
            random.getstate() != before.python_random
        ):
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
                del holder[len(old) :]
                continue
            home = holder if isinstance(holder, dict) else vars(holder)
            for name in list(_changed(old, _slots(holder))):
                if name in old:
                    home[name] = old[name]
                else:
                    del home[name]
        random.setstate(before.python_random)
        np.random.set_state(before.numpy_random)


def _holders(values: Iterable[Any], seen: set[int]) -> Iterator[Any]:
    """What has slots among the values, and in what those hold."""
    for value in values:
        if id(value) in seen:
            continue
        seen.add(id(value))
        if isinstance(value, tuple):
            yield from _holders(value, seen)
        elif isinstance(value, list | dict) or _is_watched(value):
            yield value
            yield from _holders(_slots(value).values(), seen)


def _is_watched(value: Any) -> bool:
    """Whether it is a module, or a reader's own optimizer or the like."""
    if isinstance(value, tf.Variable | keras.Variable | keras.layers.Layer):
        return False
    own = isinstance(value, tf.Module | HyperParameters) or hasattr(value, "apply_gradients")
    return own and not isinstance(value, keras.optimizers.Optimizer)


def _slots(holder: Any) -> dict[Any, Any]:
    """What it holds, by name or place."""
    if isinstance(holder, list):
        return dict(enumerate(holder))
    if isinstance(holder, dict):
        return dict(holder)
    return {
        name: value
        for name, value in vars(holder).items()
        if name not in _OWN and not name.startswith("_self_")
    }


def _changed(old: dict[Any, Any], new: dict[Any, Any]) -> Iterator[Any]:
    """Names whose values were changed in a way that a graph can't repeat."""
    for name, value in new.items():
        if name not in old:
            # Variables and layers are often made when the first batch is seen; that is no harm.
            changed = isinstance(value, _PLAIN) or tf.is_symbolic_tensor(value)
        elif isinstance(value, _PLAIN):
            changed = value is not old[name] and not _equal(value, old[name])
        else:
            # A tensor of the graph, of which nothing is left when tracing is over.
            changed = value is not old[name] and tf.is_symbolic_tensor(value)
        if changed:
            yield name
    yield from (name for name in old if name not in new)


def _equal(one: Any, other: Any) -> bool:
    """Whether plain values, or tuples of them, are of one type and equal."""
    if type(one) is not type(other):
        return False
    if isinstance(one, tuple):
        return len(one) == len(other) and all(map(_equal, one, other))
    return bool(np.array_equal(one, other)) if isinstance(one, np.ndarray) else bool(one == other)


def _numpy_random() -> Any:
    """The state of NumPy's global generator, which a reader's own code draws from."""
    return np.random.get_state()
