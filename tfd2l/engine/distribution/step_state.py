"""A model's state beside its parameters, in the replicas of a step: made different, then equal.

Between steps all copies of a variable are equal. Within a step each replica draws random numbers
of its own, and BatchNormalization and metrics see the replica's slice alone.
"""

from __future__ import annotations

import tensorflow as tf

from tfd2l.engine.variables import HasVariables, tf_variable

__all__ = ["StepState"]

# The names of the state of a `keras.random.SeedGenerator` and of a `tf.random.Generator`, and the
# place of the seed or key in it.
_SEEDS = {"seed_generator_state": 0, "StateVar": 2}
# Added to the seed for each replica: a large odd number, so that near seeds stay apart.
_STRIDE = 0x5851F42D4C95
# Operations that only read a variable.
_READING = {"ReadVariableOp", "ResourceGather", "ResourceGatherNd", "VariableShape"}


class StepState:
    """The state of a model within one replica's step.

    After the step, a variable has its value before the step and the mean of the replicas' changes,
    weighted by their examples; for the state of metrics the sum of the changes.
    """

    def __init__(self, model: HasVariables, number: int) -> None:
        """Begin the step of replica `number`, whose seeds become its own; 0 keeps the model's."""
        self._number = number
        self._seeds: list[tuple[tf.Variable, int]] = []
        self._before: list[tuple[tf.Variable, tf.Tensor, bool]] = []
        for variable in model.variables:
            inner, is_sum = tf_variable(variable), getattr(variable, "aggregation", None) == "sum"
            place = _SEEDS.get(variable.name.partition(":")[0])
            if place is not None and inner.dtype == tf.int64 and inner.shape.rank == 1:
                self._seeds.append((inner, place))
            elif not variable.trainable and (inner.dtype.is_floating or is_sum):
                self._before.append((inner, inner.read_value(), is_sum))
        self._shift_seeds(number)

    def changes(self, share: float) -> list[tf.Tensor]:
        """The differences that this replica's step has made to the variables that it may change.

        Args:
            share: the replica's share of the batch's examples.
        """
        self._shift_seeds(-self._number)
        self._before = [entry for entry in self._before if _may_change(entry[0])]
        return [
            (variable.read_value() - before) * tf.cast(share > 0 if is_sum else share, before.dtype)
            for variable, before, is_sum in self._before
        ]

    def apply(self, changes: list[tf.Tensor]) -> None:
        """Add the sums of all replicas' changes to the values before the step."""
        for (variable, before, _), change in zip(self._before, changes, strict=True):
            variable.assign(before + change)

    def _shift_seeds(self, number: int) -> None:
        for variable, place in self._seeds if number else ():
            offset = tf.one_hot(place, variable.shape[0], number * _STRIDE, 0, dtype=tf.int64)
            variable.assign_add(offset)


def _may_change(variable: tf.Variable) -> bool:
    """Return False if the step in the graph that is being traced only reads the variable."""
    if tf.executing_eagerly():
        return True
    graph, handle = tf.compat.v1.get_default_graph(), variable.handle
    captured = [inner for outer, inner in graph.captures if outer is handle]
    return any(op.type not in _READING for inner in captured for op in inner.consumers())
