"""Reads a SavedModel's file: its signatures, and ops that a server can't run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from tensorflow.core.framework import node_def_pb2
from tensorflow.core.protobuf import saved_model_pb2

from pipelines.basics.files import read_regular
from tfd2l.export.errors import ExportError
from tfd2l.export.signature_types import Signature, TensorSpec

__all__ = [
    "ExportError",
    "Signature",
    "TensorSpec",
    "read_signature_defs",
    "read_signatures",
]

# A message of Protocol Buffers has less.
_MAX_BYTES = 2**31
_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
# The random ops whose names lack the word.
_RANDOM_OPS = {"Multinomial", "StatelessMultinomial", "TruncatedNormal", "RngReadAndSkip"}
_STATE_CHANGES = ("Assign", "ResourceApply", "ResourceScatter", "ResourceStridedSliceAssign")


def read_signatures(directory: Path | str) -> dict[str, Signature]:
    """Read the signatures of a SavedModel, by name.

    Raises:
        ExportError: there is no readable SavedModel, it has other than one MetaGraph tagged
            `serve`, no signature `serving_default`, or an op that TensorFlow Serving can't or
            shouldn't run: Python, XLA, random numbers, state changes, other devices than the CPU.
    """
    path = Path(directory) / "saved_model.pb"
    meta_graph = _read_meta_graph(path)
    try:
        signatures = {
            name: Signature(_specs(definition.inputs), _specs(definition.outputs))
            for name, definition in sorted(meta_graph.signature_def.items())
            # TensorFlow adds these for its own loader.
            if not name.startswith("__")
        }
    except (TypeError, ValueError) as error:
        raise ExportError(
            f"signatures have TensorFlow's types and shapes; {path}: {error}. Export the model "
            "again."
        ) from error
    if "serving_default" not in signatures:
        raise ExportError(
            f"a server answers with the signature 'serving_default'; {path} has "
            f"{sorted(signatures)}. Add one by that name."
        )
    _refuse_ops(meta_graph.graph_def, signatures)
    return signatures


def read_signature_defs(directory: Path | str) -> dict[str, Any]:
    """Read all signatures of a SavedModel as JSON values of the proto SignatureDef, by name.

    Those that TensorFlow adds for its own loader are included, as TensorFlow Serving shows them
    under `metadata` too.
    """
    meta_graph = _read_meta_graph(Path(directory) / "saved_model.pb")
    return {
        name: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in sorted(meta_graph.signature_def.items())
    }


def _read_meta_graph(path: Path) -> Any:
    """Read the one MetaGraphDef of a saved_model.pb."""
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(read_regular(path, _MAX_BYTES))
    except (OSError, DecodeError) as error:
        raise ExportError(
            f"a version needs a readable saved_model.pb; {path}: {error}. Export the model again."
        ) from error
    tags = [[*meta_graph.meta_info_def.tags] for meta_graph in saved_model.meta_graphs]
    if tags != [["serve"]]:
        raise ExportError(
            f"a SavedModel for serving has one MetaGraph, with the tag 'serve'; {path} has "
            f"{tags}. Write it with export_classifier or export_regressor."
        )
    return saved_model.meta_graphs[0]


def _specs(infos: Mapping[str, Any]) -> dict[str, TensorSpec]:
    """Convert TensorInfos; the map has no order of its own, and cards are compared."""
    specs = {}
    for name, info in sorted(infos.items()):
        shape = tf.TensorShape(info.tensor_shape)
        sizes = None if shape.rank is None else tuple(shape.as_list())
        specs[name] = TensorSpec(info.name, tf.dtypes.as_dtype(info.dtype).name, sizes)
    return specs


def _refuse_ops(graph: Any, signatures: Mapping[str, Signature]) -> None:
    """Raise ExportError for the first op that a signature uses and a server shouldn't run."""
    specs = [spec for signature in signatures.values() for spec in signature.outputs.values()]
    for node in _nodes_behind(graph, [spec.tensor for spec in specs]):
        rule = _broken_rule(node)
        if rule is not None:
            raise ExportError(
                f"an exported graph {rule}; {node.name!r} of type {node.op!r} does. Take it "
                "out of the model's forward pass, or keep it to training."
            )


def _broken_rule(node: Any) -> str | None:
    """Return the rule of exported graphs that the node breaks, if any."""
    if node.op in _PYTHON_OPS:
        return "can't call Python (py_function, numpy_function)"
    # `in` comes first, because reading a missing entry of a proto's map adds it.
    if "_XlaMustCompile" in node.attr and node.attr["_XlaMustCompile"].b:
        return "can't ask for XLA (jit_compile=True), which the server does not have"
    if node.op in _RANDOM_OPS or "Random" in node.op:
        return "gives the same answer each time, so it draws no random numbers"
    if node.op.startswith(_STATE_CHANGES):
        return "leaves its variables as they are, so it assigns nothing"
    if node.device and "CPU" not in node.device.upper():
        return f"runs on any server, so it asks for no device such as {node.device!r}"
    return None


def _nodes_behind(graph: Any, tensors: list[str]) -> Iterator[Any]:
    """Yield the nodes that the tensors depend on, and the functions that they call with all nodes.

    The graph also has the parts that save and restore variables, to which the rules of signatures
    do not apply.
    """
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    called: list[str] = []
    waiting = [*tensors]
    while waiting:
        # Inputs are 'node', 'node:index' or, for control, '^node'.
        node = nodes.pop(waiting.pop().lstrip("^").split(":")[0], None)
        if node is not None:
            waiting += node.input
            called += _functions_of(node)
            yield node
    while called:
        name = called.pop()
        function = functions.pop(name, None)
        if function is not None:
            yield node_def_pb2.NodeDef(name=name, op="function", attr=function.attr)
            for node in function.node_def:
                called += _functions_of(node)
                yield node


def _functions_of(node: Any) -> list[str]:
    """List the functions that a node's attributes name."""
    values = node.attr.values()
    return [function.name for value in values for function in (value.func, *value.list.func)]
