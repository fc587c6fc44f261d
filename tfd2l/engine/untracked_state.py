"""What of a step's state is in no checkpoint: a fit that goes on from one then ends otherwise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

# They draw from a state that each kernel keeps to itself. Keras' layers draw from variables.
_DRAWS = {
    "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2",
    "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt",
    "TruncatedNormal",
}  # fmt: skip


def lost_state(function: Any, kept: Iterable[tf.Variable]) -> str | None:
    """What a traced step changes beside the variables that checkpoints keep, in a sentence.

    Args:
        function: TensorFlow's concrete function of a batch.
        kept: the variables that checkpoints keep.
    """
    graph = function.graph
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for inner in definition.library.function:
        nodes += inner.node_def
    if any(node.op in _DRAWS for node in nodes):
        return (
            "a step draws by tf.random, whose state TensorFlow gives nobody; draw with a "
            "keras.random.SeedGenerator that is an attribute of the model."
        )
    handles = {id(variable.handle) for variable in kept}
    captured = {id(within): outside for outside, within in graph.captures}
    for operation in graph.get_operations():
        changes = operation.type.startswith("Assign") or operation.type == "RngReadAndSkip"
        outside = captured.get(id(operation.inputs[0])) if changes else None
        if outside is not None and id(outside) not in handles:
            return (
                "a step changes a variable that is neither the model's nor its optimizer's; make "
                "it an attribute of the model."
            )
    return None
