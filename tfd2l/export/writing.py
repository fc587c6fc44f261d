"""Writes traced functions, and the variables and lookup tables that they use, as a SavedModel."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2

from tfd2l.common.errors import first_line
from tfd2l.export.arguments import check_empty
from tfd2l.export.errors import ExportError

__all__ = ["tables_of", "write"]


def write(
    model: Any, directory: Path, functions: Mapping[str, Any], names: Mapping[str, str]
) -> None:
    """Trace the functions and save them as signatures.

    Args:
        model: has the variables of the functions.
        directory: is created; must be empty if it exists.
        functions: a `tf.function` with an input signature for each signature, by its name.
        names: the names of inputs in the graph, by those in the signatures.

    Raises:
        ExportError: a function can't be traced, or the directory is not empty or can't be written.
    """
    check_empty(directory)
    try:
        # A trace inherits the device on which it is made, which a server need not have.
        with tf.device(None), _quiet():
            for function in functions.values():
                function.get_concrete_function()
            _save(model, directory, functions)
    except tf.errors.OpError as error:
        raise ExportError(
            f"the model must be written to {directory}; {error.message}. Choose a directory on a "
            "disk with room that you may write to."
        ) from error
    except Exception as error:  # the user's code may raise anything
        raise ExportError(
            f"{type(model).__name__} can't be exported: {first_line(error)} Its forward pass must "
            "work in a tf.function, for any number of examples (-1 or tf.shape(X)[0], where "
            "X.shape[0] is None), on variables that model.variables lists, and on lookup tables "
            "that are attributes of the model."
        ) from error
    if other := {inner: name for name, inner in names.items() if inner != name}:
        _rename_inputs(directory / "saved_model.pb", other)


def tables_of(model: Any) -> list[Any]:
    """List the lookup tables in a model's attributes, in its layers and modules, each once.

    TensorFlow saves them only if they are named.

    Example:
        >>> layer = keras.layers.IntegerLookup(vocabulary=[3, 5])
        >>> len(tables_of(keras.Sequential([layer])))
        1
    """
    # Other objects that the model refers to, such as its trainer, are not searched.
    return list(_tables_in(getattr(model, "__dict__", {}), {id(model)}))


def _save(model: Any, directory: Path, functions: Mapping[str, Any]) -> None:
    """Write the traced functions, and the variables and lookup tables that they use.

    The model itself is not saved: saving follows all references, also the one to its trainer.
    """
    if any(isinstance(variable, keras.Variable) for variable in model.variables):
        # tf.saved_model.save can't be used on an object that tracks Keras variables: Python loads
        # the result, but the server doesn't find the variables. The archive finds all variables
        # of the endpoints, tf.Variables among them, so nothing else need be tracked.
        archive = keras.export.ExportArchive()
        for table in tables_of(model):
            archive.track(table)
        for name, function in functions.items():
            archive.add_endpoint(name, function)
        archive.write_out(str(directory), verbose=False)
        return
    module = tf.Module()
    module.parameters = list(model.variables)
    module.tables = tables_of(model)
    tf.saved_model.save(module, str(directory), signatures=dict(functions))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide TensorFlow's note of the place of the assets, which is often a temporary one.

    TensorFlow prints it in notebooks, and at Python's prompt.
    """
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel(max(level, logging.WARNING))
    try:
        yield
    finally:
        logger.setLevel(level)


def _rename_inputs(path: Path, names: Mapping[str, str]) -> None:
    """Give inputs of the signatures their own names, which TensorFlow's tracing would not take."""
    saved_model = saved_model_pb2.SavedModel()
    saved_model.ParseFromString(path.read_bytes())
    for definition in saved_model.meta_graphs[0].signature_def.values():
        for inner in names.keys() & definition.inputs.keys():
            definition.inputs[names[inner]].CopyFrom(definition.inputs.pop(inner))
    path.write_bytes(saved_model.SerializeToString(deterministic=True))


def _tables_in(value: Any, seen: set[int]) -> Iterator[Any]:
    if id(value) in seen:
        return
    seen.add(id(value))
    if isinstance(value, tf.saved_model.experimental.TrackableResource):
        yield value
    elif isinstance(value, keras.layers.Layer | tf.Module | Mapping):
        for part in [*(value if isinstance(value, Mapping) else vars(value)).values()]:
            yield from _tables_in(part, seen)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from _tables_in(part, seen)
