"""The TensorFlow variables behind a model and its optimizer, and the search for them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, Protocol

import keras
import tensorflow as tf

from tfd2l.engine.layer_losses import Phase

__all__ = ["GENERATORS", "WITH_PARTS", "HasVariables", "components", "layers_in", "metrics_in",
           "saved_variables", "tf_variable", "variables_in"]  # fmt: skip

# Most attributes are of these; to pass over them first saves most of the search's time.
_PLAIN = (type(None), bool, int, float, str, bytes)
GENERATORS = (keras.random.SeedGenerator, tf.random.Generator)
_WITH_STATE = (keras.metrics.Metric, keras.optimizers.Optimizer)
# Objects whose attributes are searched, as those of dataclasses are.
WITH_PARTS = (tf.Module, keras.losses.Loss, keras.optimizers.schedules.LearningRateSchedule)


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


def components(variable: tf.Variable) -> tuple[tf.Variable, ...]:
    """The copies of a mirrored variable in this process; another variable itself."""
    mirrored = isinstance(variable, tf.distribute.DistributedValues)
    return tuple(variable.values) if mirrored else (variable,)


def saved_variables(model: HasVariables, optimizer: Any) -> list[tf.Variable]:
    """The variables in a checkpoint, in its order: the model's, then the optimizer's if any."""
    # The optimizer may be an attribute of the model.
    every = {id(v): v for v in [*model.variables, *getattr(optimizer, "variables", ())]}
    return [tf_variable(variable) for variable in every.values()]


def variables_in(value: Any, seen: set[int], weights_only: bool = False) -> Iterator[Any]:
    """Each variable once, found in attributes, modules, layers, lists, tuples and dicts.

    Args:
        value: a module's attributes, or one of them.
        seen: the ids of what was found before.
        weights_only: leave out the state of random generators, metrics and optimizers.
    """
    if isinstance(value, _PLAIN) or id(value) in seen or isinstance(value, Phase):
        return
    if isinstance(value, tf.Variable | keras.Variable):
        seen.add(id(value))
        yield value
    elif isinstance(value, keras.layers.Layer):
        seen.add(id(value))
        yield from variables_in(
            value.weights if weights_only else value.variables, seen, weights_only
        )
        # A reader's own layer may hold tf.Variables, which Keras does not list.
        yield from variables_in(_own_parts(value), seen, weights_only)
    elif isinstance(value, GENERATORS) and not weights_only:
        yield from variables_in(value.state, seen)
    elif isinstance(value, _WITH_STATE) and not weights_only:
        yield from variables_in(value.variables, seen)
    else:
        for part in _parts(value, seen):
            yield from variables_in(part, seen, weights_only)


def layers_in(value: Any, seen: set[int]) -> Iterator[keras.layers.Layer]:
    """The outermost Keras layers in attributes, modules, lists, tuples and dicts."""
    if isinstance(value, keras.layers.Layer):
        yield value
    else:
        for part in _parts(value, seen):
            yield from layers_in(part, seen)


def metrics_in(value: Any, seen: set[int]) -> Iterator[keras.metrics.Metric]:
    """The Keras metrics in attributes, modules, layers, lists, tuples and dicts."""
    if isinstance(value, keras.metrics.Metric):
        yield value
    elif isinstance(value, keras.layers.Layer):
        yield from value.metrics
    else:
        for part in _parts(value, seen):
            yield from metrics_in(part, seen)


def _own_parts(layer: keras.layers.Layer) -> list[Any]:
    """A layer's attributes, without what a Keras model was compiled with for a fit of its own."""
    # The metrics of a layer itself are in one of its lists too. TensorFlow's records have all.
    compiled = (*_WITH_STATE, keras.losses.Loss)
    return [
        part
        for name, part in vars(layer).items()
        if not (isinstance(part, compiled) or name.startswith("_self_"))
    ]


def _parts(value: Any, seen: set[int]) -> Iterable[Any]:
    """The attributes of a module, the entries of a collection; nothing for all else."""
    if isinstance(value, list | tuple):
        return value
    if isinstance(value, Mapping):
        return value.values()
    has_parts = isinstance(value, WITH_PARTS) or is_dataclass(value)
    if not has_parts or isinstance(value, type) or id(value) in seen:
        return ()
    seen.add(id(value))
    return list(vars(value).values())
