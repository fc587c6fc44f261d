"""Searches the graphs of steps: does XLA suit them, and do checkpoints save their whole state?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow as tf

from tfd2l.engine.variables import components

__all__ = ["WORTHWHILE_STEPS", "looks_up", "nodes_of", "suits_xla", "untracked_state"]

# With fewer steps, compiling by XLA (about a second) costs more than it saves.
WORTHWHILE_STEPS = 1000

# Operations whose results on the CPU are the same with XLA as with TensorFlow's own kernels, up to
# float32's rounding. Left out on purpose: random numbers (XLA draws others), convolutions and
# pooling (not measured here), control flow, and all operations on Python objects, text or files.
_NAMES = """
    Abs AddN AddV2 All Any ArgMax AssignAddVariableOp AssignSubVariableOp AssignVariableOp
    BatchMatMulV2 BiasAdd BiasAddGrad Bitcast BroadcastGradientArgs BroadcastTo Cast
    ConcatV2 Const Dequantize Elu EluGrad Equal Erf Erfc Exp ExpandDims Fill FloorDiv
    FloorMod GatherV2 Greater GreaterEqual Identity IdentityN L2Loss LeakyRelu LeakyReluGrad
    Less LessEqual Log Log1p LogSoftmax LogicalAnd LogicalNot LogicalOr MatMul Max Maximum
    Mean Min Minimum Mul Neg NoOp NotEqual OneHot Pack PartitionedCall Placeholder Pow Prod
    Range ReadVariableOp RealDiv Reciprocal Relu ReluGrad Reshape Rsqrt RsqrtGrad Selu
    SeluGrad Select SelectV2 Shape Sigmoid SigmoidGrad Sign Softmax
    SoftmaxCrossEntropyWithLogits Softplus SoftplusGrad SparseSoftmaxCrossEntropyWithLogits
    Sqrt SqrtGrad Square SquaredDifference Squeeze StatefulPartitionedCall StopGradient
    StridedSlice StridedSliceGrad Sub Sum Tanh TanhGrad Tile Transpose Unpack
    UnsortedSegmentSum Xlogy ZerosLike
"""
SAME_IN_XLA = frozenset(_NAMES.split())

# Operations of these that refuse an index out of range on the CPU. XLA reads another element.
_LOOK_UPS = {"GatherV2", "UnsortedSegmentSum"}

# Operations that draw from a state hidden in each kernel. Keras' layers draw from variables.
_HIDDEN_DRAWS = {
    "Multinomial", "ParameterizedTruncatedNormal", "RandomGamma", "RandomPoissonV2",
    "RandomShuffle", "RandomStandardNormal", "RandomUniform", "RandomUniformInt",
    "TruncatedNormal",
}  # fmt: skip


def nodes_of(graph: tf.Graph) -> Iterator[Any]:
    """Yield the nodes of a graph and of the functions that it calls."""
    definition = graph.as_graph_def()
    yield from definition.node
    for function in definition.library.function:
        yield from function.node_def


def suits_xla(graph: tf.Graph) -> bool:
    """Return True if all operations of a graph are in `SAME_IN_XLA`."""
    return all(node.op in SAME_IN_XLA for node in nodes_of(graph))


def looks_up(graph: tf.Graph) -> bool:
    """Return True if a graph reads or adds to elements by their index."""
    return any(node.op in _LOOK_UPS for node in nodes_of(graph))


def untracked_state(function: Any, saved: Iterable[tf.Variable]) -> str | None:
    """A sentence on state that a traced step changes and checkpoints do not save, if any.

    A fit that resumes from a checkpoint then ends otherwise than one without a break.

    Args:
        function: TensorFlow's concrete function of a batch.
        saved: the variables that checkpoints save.
    """
    graph = function.graph
    if any(node.op in _HIDDEN_DRAWS for node in nodes_of(graph)):
        return (
            "a step draws by tf.random, whose state TensorFlow does not give away; draw with a "
            "keras.random.SeedGenerator that is an attribute of the model."
        )
    handles = {id(part.handle) for variable in saved for part in components(variable)}
    captured = {id(within): outside for outside, within in graph.captures}
    for operation in graph.get_operations():
        if operation.type.startswith(
            ("LookupTableInsert", "LookupTableImport", "LookupTableRemove")
        ):
            return "a step changes a lookup table; keep what it should remember in a tf.Variable."
        changes = operation.type.startswith("Assign") or operation.type == "RngReadAndSkip"
        outside = captured.get(id(operation.inputs[0])) if changes else None
        if outside is not None and id(outside) not in handles:
            return (
                "a step changes a variable that is neither the model's nor its optimizer's; make "
                "it an attribute of the model."
            )
    return None
