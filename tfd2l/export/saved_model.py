"""Reads a SavedModel's file: its signatures, and ops that a server can't run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tensorflow as tf
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from tensorflow.core.protobuf import saved_model_pb2

from tfd2l.common.errors import Tfd2lError
from tfd2l.common.graphs import nodes_of
from tfd2l.export.signature_types import Signature, TensorSpec

__all__ = [
    "ExportError",
    "Signature",
    "TensorSpec",
    "has_variables",
    "read_signature_defs",
    "read_signatures",
]

_PYTHON_OPS = {"PyFunc", "PyFuncStateless", "EagerPyFunc"}
# The random ops whose names lack the word.
_RANDOM_OPS = {"Multinomial", "StatelessMultinomial", "TruncatedNormal", "RngReadAndSkip"}
_STATE_CHANGES = ("Assign", "ResourceApply", "ResourceScatter", "ResourceStridedSliceAssign")


class ExportError(Tfd2lError, RuntimeError):
    """A model can't be exported, or an exported model can't be served."""


def read_signatures(directory: Path) -> dict[str, Signature]:
    """Read the signatures of a SavedModel, by name.

    Raises:
        ExportError: there is no readable SavedModel, it has other than one MetaGraph tagged
            `serve`, no signature `serving_default`, or an op that TensorFlow Serving can't or
            shouldn't run: Python, XLA, random numbers, state changes, other devices than the CPU.
    """
    path = directory / "saved_model.pb"
    meta_graph = _read_meta_graph(path)
    try:
        signatures = {
            # The map has no order of its own, and cards are compared.
            name: _signature(definition)
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


def read_signature_defs(directory: Path) -> dict[str, Any]:
    """Read all signatures of a SavedModel as JSON values of the proto SignatureDef, by name.

    Those that TensorFlow adds for its own loader are included, as TensorFlow Serving shows them
    under `metadata` too.

    Raises:
        ExportError: there is no readable SavedModel, or it has other than one MetaGraph tagged
            `serve`.
    """
    meta_graph = _read_meta_graph(directory / "saved_model.pb")
    return {
        name: json_format.MessageToDict(
            definition, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
        )
        for name, definition in sorted(meta_graph.signature_def.items())
    }


def has_variables(directory: Path) -> bool:
    """Return True if the graph of a SavedModel has variables, and so needs their files.

    Raises:
        ExportError: as `read_signature_defs`.
    """
    graph = _read_meta_graph(directory / "saved_model.pb").graph_def
    return any(node.op == "VarHandleOp" for node in nodes_of(graph))


def _read_meta_graph(path: Path) -> Any:
    """Read the one MetaGraphDef of a saved_model.pb."""
    saved_model = saved_model_pb2.SavedModel()
    try:
        saved_model.ParseFromString(path.read_bytes())
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


def _signature(definition: Any) -> Signature:
    """Convert a SignatureDef."""
    return Signature(
        {name: _tensor_spec(info) for name, info in sorted(definition.inputs.items())},
        {name: _tensor_spec(info) for name, info in sorted(definition.outputs.items())},
    )


def _tensor_spec(info: Any) -> TensorSpec:
    """Convert a TensorInfo."""
    shape = tf.TensorShape(info.tensor_shape)
    sizes = None if shape.rank is None else tuple(shape.as_list())
    return TensorSpec(info.name, tf.dtypes.as_dtype(info.dtype).name, sizes)


@dataclass(frozen=True)
class _Op:
    """The part of a node, or of a whole function, that the rules of exported graphs are about."""

    name: str
    kind: str
    device: str
    xla: bool


def _refuse_ops(graph: Any, signatures: Mapping[str, Signature]) -> None:
    """Raise ExportError for the first op that a signature uses and a server shouldn't run."""
    specs = [spec for signature in signatures.values() for spec in signature.outputs.values()]
    for op in _ops_behind(graph, [spec.tensor for spec in specs]):
        rule = _broken_rule(op)
        if rule is not None:
            raise ExportError(
                f"an exported graph {rule}; {op.name!r} of type {op.kind!r} does. Take it "
                "out of the model's forward pass, or keep it to training."
            )


def _broken_rule(op: _Op) -> str | None:
    """Return the rule of exported graphs that the op breaks, if any."""
    if op.kind in _PYTHON_OPS:
        return "can't call Python (py_function, numpy_function)"
    if op.xla:
        return "can't ask for XLA (jit_compile=True), which the server does not have"
    if op.kind in _RANDOM_OPS or "Random" in op.kind:
        return "gives the same answer each time, so it draws no random numbers"
    if op.kind.startswith(_STATE_CHANGES):
        return "leaves its variables as they are, so it assigns nothing"
    if op.device and "CPU" not in op.device.upper():
        return f"runs on any server, so it asks for no device such as {op.device!r}"
    return None


def _ops_behind(graph: Any, tensors: list[str]) -> Iterator[_Op]:
    """Yield the nodes that the tensors depend on, and all nodes of the functions that they call.

    The graph also has the parts that save and restore variables, to which the rules of signatures
    do not apply.
    """
    nodes = {node.name: node for node in graph.node}
    functions = {function.signature.name: function for function in graph.library.function}
    waiting = [*tensors]
    called: list[str] = []
    seen: set[str] = set()
    while waiting:
        # Inputs are 'node', 'node:index' or, for control, '^node'.
        name = waiting.pop().lstrip("^").split(":")[0]
        if name in nodes and name not in seen:
            seen.add(name)
            waiting += nodes[name].input
            called += _functions_of(nodes[name].attr)
            yield _op(nodes[name])
    seen.clear()
    while called:
        name = called.pop()
        if name in functions and name not in seen:
            seen.add(name)
            function = functions[name]
            yield _Op(name, "function", "", _asks_for_xla(function.attr))
            for node in function.node_def:
                called += _functions_of(node.attr)
                yield _op(node)


def _op(node: Any) -> _Op:
    return _Op(node.name, node.op, node.device, _asks_for_xla(node.attr))


def _asks_for_xla(attributes: Any) -> bool:
    # `in` comes first, because reading a missing entry of a proto's map adds it.
    return "_XlaMustCompile" in attributes and bool(attributes["_XlaMustCompile"].b)


def _functions_of(attributes: Any) -> list[str]:
    """List the functions that a node's attributes name."""
    names = [value.func.name for value in attributes.values() if value.HasField("func")]
    for value in attributes.values():
        names += [function.name for function in value.list.func]
    return names
