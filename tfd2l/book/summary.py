"""Describes a model: a few lines for its `repr`, and a table of its parts and their parameters."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from pipelines.basics.text import shown

__all__ = ["representation", "summary_of"]

Row = tuple[str, str, str, str]
# Attributes of a model that are no parts of it.
_NO_PARTS = ("hparams", "board", "trainer")
# Lines of a repr for parts; `summary` has all of them.
_MAX_LINES = 12


def representation(model: Any) -> str:
    """Describe a model in a few lines, without building it.

    Args:
        model: an `nn_Module`, also one whose constructor failed or has not called its parent's.

    Example:
        >>> print(repr(d2l.MLPScratch(num_inputs=4, num_outputs=2, num_hiddens=3, lr=0.1)))
        MLPScratch(num_inputs=4, num_outputs=2, num_hiddens=3, lr=0.1, sigma=0.01)
          23 parameters, no fit yet
          W1: variable (4, 3)
          b1: variable (3,)
          W2: variable (3, 2)
          b2: variable (2,)
    """
    attributes = vars(model)
    parameters = inspect.signature(type(model).__init__).parameters
    saved = attributes.get("hparams", {})
    arguments = [f"{name}={shown(saved[name], 40)}" for name in parameters if name in saved]
    parts = {name: _described(part) for name, part in attributes.items() if _is_public(name)}
    lines = [f"  {name}: {text}" for name, text in parts.items() if text]
    if len(lines) > _MAX_LINES:
        lines[_MAX_LINES - 1 :] = [f"  ... and {len(lines) - _MAX_LINES + 1} more parts"]
    head = f"{type(model).__name__}({', '.join(arguments)})"
    return "\n".join([head, f"  {_size_of(model)}, {_fit_of(attributes)}", *lines])


def _is_public(name: str) -> bool:
    return not name.startswith("_") and name not in _NO_PARTS


def _size_of(model: Any) -> str:
    """The number of parameters, as far as they exist."""
    if "_phase" not in vars(model):
        return "super().__init__() not called"
    count = sum(map(_size, model.weights))
    if model.built:
        return f"{count:,} parameters"
    return f"{f'{count:,} parameters so far' if count else 'no parameters'} before the first batch"


def _fit_of(attributes: Mapping[str, Any]) -> str:
    """The epochs of the last fit."""
    state = getattr(attributes.get("trainer"), "state", None)
    epochs = getattr(state, "epoch", 0)
    return f"fitted for {epochs} epoch{'s' * (epochs != 1)}" if epochs else "no fit yet"


def _described(part: Any, depth: int = 0) -> str:
    """A part in a line; the empty text if it is none, as are numbers and functions."""
    if isinstance(part, tf.Variable | keras.Variable):
        return f"variable {_shape_of(part)}"
    if isinstance(part, keras.layers.Layer):
        inner = [type(layer).__name__ for layer in getattr(part, "layers", ())]
        return f"{type(part).__name__}({', '.join(inner)})" if inner else type(part).__name__
    if isinstance(part, tf.Module):
        return type(part).__name__
    if isinstance(part, Mapping | list | tuple) and depth < 3:
        entries = list(part.values() if isinstance(part, Mapping) else part)
        texts = [text for text in (_described(entry, depth + 1) for entry in entries[:10]) if text]
        more = [f"... of {len(entries)}"] if texts and len(entries) > 10 else []
        return f"[{', '.join(texts + more)}]" if texts else ""
    return ""


def _shape_of(variable: Any) -> str:
    """The shape, with None for sizes that are unknown."""
    shape = tf.TensorShape(variable.shape)
    return str(tuple(shape)) if shape.rank is not None else "of any shape"


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
        if not _is_public(name):
            continue
        if isinstance(part, tf.Variable | keras.Variable):
            yield indent + name, "variable", _shape_of(part), f"{_size(part):,}"
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
    """The number of parameters in a variable; one whose shape is open counts as it is now."""
    fixed = tf.TensorShape(variable.shape).num_elements()
    return int(tf.size(variable)) if fixed is None else fixed
