"""The warm-up file: requests that TensorFlow Serving runs before it offers a version.

It is a TFRecord file of `PredictionLog`, a message of TensorFlow Serving.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tensorflow as tf
from google.protobuf.message import DecodeError
from tensorflow_serving.apis.prediction_log_pb2 import PredictionLog

from tfd2l.export.saved_model import ExportError

__all__ = ["WARMUP_FILE", "WarmupRequest", "read_warmup", "write_warmup"]

# The server looks there, below the version's directory.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"
# The server refuses a version with more.
_MAX_RECORDS = 1000


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
    """Write the requests to a warm-up file.

    Args:
        path: the file; its directory exists.
        model_name: goes into each request's model specification.
        requests: at most 1000, the server's limit.

    Raises:
        ExportError: there are more, or one has an input that is not a `tf.train.Example`.
    """
    _check_number(len(requests), f"{len(requests)}")
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            writer.write(_encode(model_name, request))


def read_warmup(path: Path) -> list[WarmupRequest]:
    """Read the requests of a warm-up file as the server reads them.

    Raises:
        ExportError: the file is missing, damaged or too long, or a record is not such a request.
    """
    try:
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
    except tf.errors.OpError as error:
        raise ExportError(
            f"the warm-up file must be a whole TFRecord file; {path}: {error.message}. "
            "Publish the version again."
        ) from error
    _check_number(len(records), f"{len(records)} in {path}")
    return [_decode(record, f"record {number} of {path}") for number, record in enumerate(records)]


def _check_number(number: int, found: str) -> None:
    if number > _MAX_RECORDS:
        raise ExportError(
            f"a warm-up file has at most {_MAX_RECORDS} requests; got {found}. One for each "
            "signature is enough."
        )


def _encode(model_name: str, request: WarmupRequest) -> bytes:
    """Serialise a request as a PredictionLog."""
    log = PredictionLog()
    body = getattr(log, f"{request.method}_log").request
    body.model_spec.name = model_name
    body.model_spec.signature_name = request.signature
    if request.method == "predict":
        for name, array in request.inputs.items():
            body.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    else:
        body.input.example_list.examples.extend(
            _example(text, request) for text in request.inputs["inputs"].tolist()
        )
    # A map has no order of its own; the same requests give the same file.
    return bytes(log.SerializeToString(deterministic=True))


def _example(text: bytes, request: WarmupRequest) -> tf.train.Example:
    try:
        return tf.train.Example.FromString(text)
    except DecodeError as error:
        raise ExportError(
            f"{request.method} takes serialised tf.train.Examples; a warm-up request of signature "
            f"{request.signature!r} has {text[:40]!r}. Serialise the examples."
        ) from error


def _decode(record: bytes, place: str) -> WarmupRequest:
    """Read a request from a serialised PredictionLog."""
    try:
        log = PredictionLog.FromString(record)
        kind = log.WhichOneof("log_type")
        if kind not in ("classify_log", "regress_log", "predict_log"):
            raise ValueError(f"it is a {kind or 'record without a request'}")
        request = getattr(log, kind).request
        inputs = _inputs(request, kind)
    except (DecodeError, ValueError, TypeError) as error:
        raise ExportError(
            "a warm-up record must be a PredictionLog of Predict, Classify or Regress, with "
            f"readable inputs; {place} is not: {error}. Publish the version again."
        ) from error
    # The server's default.
    signature = request.model_spec.signature_name or "serving_default"
    return WarmupRequest(kind.removesuffix("_log"), signature, inputs)


def _inputs(request: Any, kind: str) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of a request, by input name."""
    if kind == "predict_log":
        return {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    examples = [example.SerializeToString() for example in request.input.example_list.examples]
    return {"inputs": np.array(examples, np.object_)}
