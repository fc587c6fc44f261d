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

from tfd2l.export.errors import ExportError

__all__ = ["WARMUP_FILE", "WarmupRequest", "read_warmup", "write_warmup"]

# The server looks there, below the version's directory.
WARMUP_FILE = Path("assets.extra") / "tf_serving_warmup_requests"


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
    """Write the requests, at most 1000 by the server's limit, to a file in an existing directory.

    `model_name` goes into each request's model specification.
    """
    with tf.io.TFRecordWriter(str(path)) as writer:
        for request in requests:
            # A map has no order of its own; the same requests give the same file.
            log = _encode(model_name, request)
            writer.write(log.SerializeToString(deterministic=True))


def read_warmup(path: Path) -> list[WarmupRequest]:
    """Read the requests of a warm-up file as the server reads them.

    Raises:
        ExportError: the file is missing or damaged, or a record is not such a request.
    """
    try:
        records = list(tf.data.TFRecordDataset(str(path)).as_numpy_iterator())
        return [_decode(PredictionLog.FromString(record)) for record in records]
    except tf.errors.OpError as error:
        raise ExportError(
            f"the warm-up file must be a whole TFRecord file; {path}: {error.message}. "
            "Publish the version again."
        ) from error
    except (DecodeError, ValueError, TypeError) as error:
        raise ExportError(
            "a warm-up record must be a PredictionLog of Predict, Classify or Regress, with "
            f"readable inputs; {path}: {error}. Publish the version again."
        ) from error


def _encode(model_name: str, request: WarmupRequest) -> Any:
    """Convert a request to a PredictionLog."""
    log = PredictionLog()
    body = getattr(log, f"{request.method}_log").request
    body.model_spec.name = model_name
    body.model_spec.signature_name = request.signature
    if request.method == "predict":
        for name, array in request.inputs.items():
            body.inputs[name].CopyFrom(tf.make_tensor_proto(array))
    else:
        examples = map(tf.train.Example.FromString, request.inputs["inputs"].tolist())
        body.input.example_list.examples.extend(examples)
    return log


def _decode(log: Any) -> WarmupRequest:
    """Convert a PredictionLog to a request; ValueError or TypeError if it is none."""
    kind = log.WhichOneof("log_type")
    if kind not in ("classify_log", "regress_log", "predict_log"):
        raise ValueError(f"got a {kind or 'record without a request'}")
    request = getattr(log, kind).request
    if kind == "predict_log":
        inputs = {name: tf.make_ndarray(tensor) for name, tensor in request.inputs.items()}
    else:
        examples = [example.SerializeToString() for example in request.input.example_list.examples]
        inputs = {"inputs": np.array(examples, np.object_)}
    # The server's default.
    signature = request.model_spec.signature_name or "serving_default"
    return WarmupRequest(kind.removesuffix("_log"), signature, inputs)
