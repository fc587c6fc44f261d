"""A client for classifiers in TensorFlow Serving, over gRPC.

For those who have the extra `grpc`: raw pixels travel in a third of the bytes that JSON
takes. The official stubs import TensorFlow, with its start-up time and memory, so a program that is
to do without uses `tfd2l.serving.Client`. Nothing of it is imported before a client is made.
"""

from __future__ import annotations

import importlib
import json
from typing import Any, NoReturn, Self

import numpy as np
import numpy.typing as npt

from pipelines.basics.numbers import positive_number, whole_number
from tfd2l.predict.answers import ServingError, Signature, parse_signatures, printable
from tfd2l.predict.predictor import CONTRACT, PREDICT, Outputs, Predictor, encode_examples

__all__ = ["GrpcClient"]

MAX_ANSWER_BYTES = 16 * 2**20
# What gRPC itself permits at most; more are cut to it.
MAX_RETRIES = 4
SERVICE = "tensorflow.serving.PredictionService"


class GrpcClient(Predictor):
    """Asks a classifier behind TensorFlow Serving's gRPC interface.

    Has `predict` and `classify` as `tfd2l.serving.Client`. The connection is kept between calls;
    `close`, or a `with` block, ends it. Threads may share a client.
    """

    def __init__(
        self,
        target: str = "127.0.0.1:8500",
        model: str = "mlp",
        version: int | None = None,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        wait_for_ready: bool = False,
        batch_size: int = 256,
    ) -> None:
        """Connects to nothing yet.

        Args:
            target: host and port of the server; the connection is not encrypted.
            model: its name in the server.
            version: None takes the newest, which may change from one request to the next.
            timeout_s: seconds for a request and its answer, all tries included.
            retries: how often a request to a server that is not available is sent again, after
                longer and longer pauses; at most `MAX_RETRIES`.
            wait_for_ready: wait for a server that is not there yet, too.
            batch_size: most images in a request, up to 1,024; more are sent in several.

        Raises:
            ServingError: the extra is not installed.
            ValueError: one of the numbers is out of range, or the model has no name.
        """
        super().__init__(batch_size)
        _check(target, model, timeout_s, retries)
        self._target, self._model, self._version = target, model, version
        self._options = {"timeout": timeout_s, "wait_for_ready": wait_for_ready}
        self._grpc, self._apis = _import_stubs()
        self._channel = self._grpc.insecure_channel(target, options=_channel_options(retries))
        self._stub = self._apis.prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def __str__(self) -> str:
        """Model, version and address."""
        version = "" if self._version is None else f", version {self._version},"
        return f"model {self._model!r}{version} at {self._target} (gRPC)"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures, asked for anew.

        Raises:
            ServingError: the server can't be reached or doesn't know the model.
        """
        from google.protobuf import json_format

        protos = self._apis.get_model_metadata_pb2
        request = protos.GetModelMetadataRequest(
            model_spec=self._spec(""), metadata_field=["signature_def"]
        )
        answer = self._send(self._stub.GetModelMetadata, request)
        signatures = protos.SignatureDefMap()
        if not answer.metadata["signature_def"].Unpack(signatures):
            raise ServingError(f"the answer of {self} must have 'signature_def'. {CONTRACT}")
        return parse_signatures(
            json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        )

    def _ask(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        import tensorflow as tf

        # Predict for every signature: its answer has the outputs by their names.
        request = self._apis.predict_pb2.PredictRequest(model_spec=self._spec(signature))
        if signature == PREDICT:
            request.inputs["image"].CopyFrom(tf.make_tensor_proto(images))
        else:
            request.inputs["inputs"].CopyFrom(tf.make_tensor_proto(encode_examples(images)))
        answer = self._send(self._stub.Predict, request)
        try:
            return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}
        except (TypeError, ValueError) as error:
            raise ServingError(
                f"the answer of {self} must have tensors; got {printable(str(error))}. {CONTRACT}"
            ) from error

    def _spec(self, signature: str) -> Any:
        """Which model, version and signature is asked."""
        spec = self._apis.model_pb2.ModelSpec(name=self._model, signature_name=signature)
        if self._version is not None:
            spec.version.value = self._version
        return spec

    def _send(self, method: Any, request: Any) -> Any:
        try:
            return method(request, **self._options)
        except self._grpc.RpcError as error:
            self._refuse(error)

    def _refuse(self, error: Any) -> NoReturn:
        """Raise ServingError with what the server said, and what to do about it."""
        code = error.code().name
        remedies = {
            "UNAVAILABLE": "Start one: python -m tfd2l.serve savedmodels/ for REST, or "
            "tensorflow_model_server for gRPC.",
            "DEADLINE_EXCEEDED": f"Raise timeout_s ({self._options['timeout']:g}), or see "
            "what the server is busy with.",
            "NOT_FOUND": "See which models and versions its models.config and directory have.",
            "INVALID_ARGUMENT": "Its metadata() say what it takes.",
            "RESOURCE_EXHAUSTED": f"Ask with a smaller batch_size than {self._batch_size}.",
        }
        said = printable(error.details() or "nothing")
        remedy = remedies.get(code, "See the server's log.")
        raise ServingError(f"{self} answered {code}: {said}. {remedy}") from error


def _check(target: str, model: str, timeout_s: float, retries: int) -> None:
    """Raise ValueError for what is out of range."""
    positive_number("timeout_s", timeout_s, hint="10 seconds are usual.")
    whole_number("retries", retries, minimum=0, maximum=MAX_RETRIES, hint="3 are usual.")
    if not model or not target:
        raise ValueError(
            f"a model has a name and a server an address; got {model!r} and {target!r}. "
            "TensorFlow Serving's default is 127.0.0.1:8500."
        )


def _import_stubs() -> tuple[Any, Any]:
    """The modules `grpc` and `tensorflow_serving.apis`."""
    try:
        grpc = importlib.import_module("grpc")
        for name in ("get_model_metadata_pb2", "predict_pb2", "prediction_service_pb2_grpc"):
            importlib.import_module(f"tensorflow_serving.apis.{name}")
        return grpc, importlib.import_module("tensorflow_serving.apis")
    except ImportError as error:
        raise ServingError(
            f"the gRPC client needs the extra grpc of this package; {error}. In a clone: "
            "pip install -e '.[grpc]', or use tfd2l.serving.Client."
        ) from error


def _channel_options(retries: int) -> list[tuple[str, Any]]:
    policy = {
        "maxAttempts": retries + 1,
        "initialBackoff": "0.1s",
        "maxBackoff": "2s",
        "backoffMultiplier": 2,
        "retryableStatusCodes": ["UNAVAILABLE"],
    }
    config = {"methodConfig": [{"name": [{"service": SERVICE}], "retryPolicy": policy}]}
    return [
        # A single attempt is no policy to gRPC.
        *([("grpc.service_config", json.dumps(config))] if retries else []),
        ("grpc.max_receive_message_length", MAX_ANSWER_BYTES),
        # The server has its own limit of what it takes.
        ("grpc.max_send_message_length", -1),
        # Else a proxy that the environment names for the web gets the requests for this machine.
        ("grpc.enable_http_proxy", 0),
    ]
