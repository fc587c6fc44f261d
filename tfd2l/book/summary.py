"""Writes a model's parts and their numbers of parameters as a table."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

__all__ = ["summary_of"]

Row = tuple[str, str, str, str]


def summary_of(title: str, attributes: Mapping[str, Any], weights: Sequence[Any]) -> str:
    """Return the table of a module as text.

    Args:
        title: the first line, e.g. the module's class.
        attributes: the module's attributes by name; each that is or holds variables has a row.
        weights: all of the module's variables, which the totals count.
    """
    rows: list[Row] = [("part", "type", "shape", "parameters"), *_rows(attributes, "")]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        f"{name:<{widths[0]}}  {kind:<{widths[1]}}  {shape:<{widths[2]}}  {count:>{widths[3]}}"
        for name, kind, shape, count in rows
    ]
    rule = "-" * len(lines[0])
    total = sum(map(_size, weights))
    trainable = sum(_size(weight) for weight in weights if weight.trainable)
    sums = f"{total:,} parameters: {trainable:,} trainable, {total - trainable:,} not"
    return "\n".join([title, rule, lines[0], rule, *lines[1:], rule, sums])


def _rows(parts: Mapping[str, Any], indent: str) -> Iterator[Row]:
    """Yield a row for each part that is or holds variables, and its own parts indented below."""
    for name, part in parts.items():
        if name.startswith("_") or name in ("hparams", "board", "trainer"):
            continue
        if isinstance(part, tf.Variable | keras.Variable):
            shape = str(tuple(part.shape))
            yield indent + name, "variable", shape, f"{_size(part):,}"
        elif isinstance(part, keras.layers.Layer):
            yield _layer_row(indent + name, part)
            inner = {layer.name: layer for layer in getattr(part, "layers", [])}
            yield from _rows(inner, indent + "  ")
        elif isinstance(part, tf.Module):
            yield indent + name, type(part).__name__, "", ""
            yield from _rows(vars(part), indent + "  ")
        elif isinstance(part, Mapping | list | tuple):
            entries = part.items() if isinstance(part, Mapping) else enumerate(part)
            yield from _rows({f"{name}[{key!r}]": entry for key, entry in entries}, indent)


def _layer_row(name: str, layer: keras.layers.Layer) -> Row:
    """Return the row of a Keras layer, with the shape of its output if Keras knows it."""
    try:
        shape = str(tuple(layer.output.shape))
    except AttributeError:
        shape = ""
    if not layer.built:
        return name, type(layer).__name__, shape, "not built yet"
    return name, type(layer).__name__, shape, f"{sum(map(_size, layer.weights)):,}"


def _size(variable: Any) -> int:
    return math.prod(variable.shape)
