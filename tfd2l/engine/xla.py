"""Whether a step may be handed to XLA unasked."""

from __future__ import annotations

import tensorflow as tf

# Fewer steps than this, and compiling by XLA (about a second) costs more than it saves.
WORTHWHILE_STEPS = 1000

# Operations that XLA computes on the CPU as TensorFlow's own kernels do, up to float32's rounding.
# Left out on purpose: random numbers (XLA draws other ones), convolutions and pooling (not measured
# here), control flow, and everything that takes Python, text or files.
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


def suits_xla(graph: tf.Graph) -> bool:
    """Whether all operations of a graph, and of the functions it calls, are in `SAME_IN_XLA`."""
    definition = graph.as_graph_def()
    nodes = [*definition.node]
    for function in definition.library.function:
        nodes += function.node_def
    return all(node.op in SAME_IN_XLA for node in nodes)
