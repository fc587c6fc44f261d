"""Walks TensorFlow's graphs in the form of their protos."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

__all__ = ["nodes_of"]


def nodes_of(graph: Any) -> Iterator[Any]:
    """Yield the nodes (NodeDef) of a GraphDef, then those of all functions in its library."""
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def
