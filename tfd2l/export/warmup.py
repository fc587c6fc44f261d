"""The warm-up file: requests that TensorFlow Serving runs before it offers a version.

The messages are TensorFlow Serving's `PredictionLog` and what it holds. The package that brings
them as Python classes asks for a TensorFlow distribution of its own, so the few fields in use are
described here, in a pool of their own so that the package may be there all the same. An embedded
message and a field of bytes look the same on the wire; messages of TensorFlow itself (`Example`,
`TensorProto`) are declared as bytes and made by TensorFlow.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import DecodeError
from tensorflow.core.framework import tensor_pb2

from tfd2l.export.saved_model import ExportError

__all__ = ["WARMUP_FILE", "WarmupRequest", "read_warmup", "write_warmup"]

# Where the server looks, below the version's directory.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# Of the server, which refuses a version with more.
_MOST_RECORDS = 1000

_PACKAGE = "tensorflow.serving"
# Message -> field -> (number, type), as in tensorflow_serving/apis/{model,input,classification,
# regression,predict,prediction_log}.proto. A type that is no scalar is a message of this table.
_MESSAGES: dict[str, dict[str, tuple[int, str]]] = {
    "ModelSpec": {"name": (1, "string"), "signature_name": (3, "string")},
    "ExampleList": {"examples": (1, "repeated bytes")},
    "Input": {"example_list": (1, "ExampleList")},
    "ClassificationRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    "RegressionRequest": {"model_spec": (1, "ModelSpec"), "input": (2, "Input")},
    # On the wire, a map is repeated entries of key and value.
    "NamedTensor": {"key": (1, "string"), "value": (2, "bytes")},
    "PredictRequest": {"model_spec": (1, "ModelSpec"), "inputs": (2, "repeated NamedTensor")},
    "ClassifyLog": {"request": (1, "ClassificationRequest")},
    "RegressLog": {"request": (1, "RegressionRequest")},
    "PredictLog": {"request": (1, "PredictRequest")},
    "PredictionLog": {
        "classify_log": (2, "ClassifyLog"),
        "regress_log": (3, "RegressLog"),
        "predict_log": (6, "PredictLog"),
    },
}
_LOGS = ("classify_log", "regress_log", "predict_log")


@dataclass(frozen=True)
class WarmupRequest:
    """One request of the file.

    Attributes:
        method: the server's call.
        signature: its name.
        inputs: arrays by input name, batch on the first axis; strings as dtype object (bytes). For
            'classify' and 'regress' the one input is `inputs`: serialised `tf.train.Example`s.
    """

    method: Literal["classify", "regress", "predict"]
    signature: str
    inputs: Mapping[str, np.ndarray[Any, Any]]


def write_warmup(path: Path, model_name: str, requests: Sequence[WarmupRequest]) -> None:
    """Write the requests as a TFRecord file of `PredictionLog`.

    Args:
        path: the file; its directory exists.
        model_name: goes into each request's model specification.
        requests: at most 1000, the server's limit.

    Raises:
        ExportError: there are more.
    """
    if len(requests) > _MOST_RECORDS:
        raise ExportError(
            f"a warm-up file has at most {_MOST_RECORDS} requests; got {len(requests)}. One for "
            "each signature is enough."
        )
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(_encode(model_name, request))


def read_warmup(path: Path) -> list[WarmupRequest]:
    """The requests of a warm-up file, as the server would read them.

    Raises:
        ExportError: the file is missing, damaged or too long, or a record is no such request.
    """
    try:
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ExportError(
            f"the warm-up file must be a whole TFRecord file; {path}: {error.message}. "
            "Publish the version again."
        ) from error
    if len(records) > _MOST_RECORDS:
        raise ExportError(
            f"a warm-up file has at most {_MOST_RECORDS} requests; {path} has {len(records)}. "
            "One for each signature is enough."
        )
    return [_decode(record, f"record {number} of {path}") for number, record in enumerate(records)]


def _encode(model_name: str, request: WarmupRequest) -> bytes:
    """A serialised PredictionLog."""
    log = _message("PredictionLog")
    body = getattr(log, f"{request.method}_log").request
    body.model_spec.name, body.model_spec.signature_name = model_name, request.signature
    if request.method == "predict":
        for name, array in request.inputs.items():
            body.inputs.add(key=name, value=tf.make_tensor_proto(array).SerializeToString())
    else:
        body.input.example_list.examples.extend(request.inputs["inputs"].tolist())
    return bytes(log.SerializeToString())


def _decode(record: bytes, place: str) -> WarmupRequest:
    """The request of a serialised PredictionLog."""
    log = _message("PredictionLog")
    try:
        log.ParseFromString(record)
        [kind] = [name for name in _LOGS if log.HasField(name)]
        request = getattr(log, kind).request
        inputs = _inputs(request, kind)
    except (DecodeError, ValueError, TypeError) as error:
        raise ExportError(
            "a warm-up record must be a PredictionLog of Predict, Classify or Regress, with "
            f"readable inputs; {place} is not: {error}. Publish the version again."
        ) from error
    method: Any = kind.removesuffix("_log")
    # As the server has it.
    signature = request.model_spec.signature_name or "serving_default"
    return WarmupRequest(method, signature, inputs)


def _inputs(request: Any, kind: str) -> dict[str, np.ndarray[Any, Any]]:
    """The arrays of a request, by input name."""
    if kind != "predict_log":
        return {"inputs": np.array([*request.input.example_list.examples], np.object_)}
    return {
        entry.key: tf.make_ndarray(tensor_pb2.TensorProto.FromString(entry.value))
        for entry in request.inputs
    }


def _message(name: str) -> Any:
    """An empty message of `_MESSAGES`."""
    return _classes()[name]()


@cache
def _classes() -> dict[str, Any]:
    """The message classes of `_MESSAGES` by name."""
    file = descriptor_pb2.FileDescriptorProto(
        name="tfd2l_warmup.proto", package=_PACKAGE, syntax="proto3"
    )
    for message, fields in _MESSAGES.items():
        described = file.message_type.add(name=message)
        for field, (number, kind) in fields.items():
            _describe(described, field, number, kind)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {
        name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}"))
        for name in _MESSAGES
    }


def _describe(message: Any, name: str, number: int, kind: str) -> None:
    """Add a field to the DescriptorProto."""
    proto = descriptor_pb2.FieldDescriptorProto
    repeated, scalar = kind.startswith("repeated "), kind.removeprefix("repeated ")
    field = message.field.add(name=name, number=number)
    field.label = proto.LABEL_REPEATED if repeated else proto.LABEL_OPTIONAL
    if scalar in _MESSAGES:
        field.type, field.type_name = proto.TYPE_MESSAGE, f".{_PACKAGE}.{scalar}"
    else:
        field.type = proto.TYPE_BYTES if scalar == "bytes" else proto.TYPE_STRING
