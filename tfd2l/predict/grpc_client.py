"""A client for a model behind TensorFlow Serving's gRPC interface.

Raw pixels take a third of the bytes that they take as JSON. The official stubs import TensorFlow,
with its start-up time and memory; `rest_client.Client` does without. They are imported when a
client is made.
"""

from __future__ import annotations

import json
from typing import Any

from pipelines.basics.numbers import positive_number, whole_number
from pipelines.basics.text import one_line
from tfd2l.export.signature_types import Signature
from tfd2l.predict.answers import ServingError, parse_signatures
from tfd2l.predict.predictor import Inputs, Outputs, RemotePredictor, signature_inputs

__all__ = ["GrpcClient"]

# gRPC itself permits no more; it would silently reduce a larger number.
_MAX_RETRIES = 4
_REMEDIES = {
    "UNAVAILABLE": "Start one: tensorflow_model_server for gRPC, or python -m tfd2l.serve "
    "savedmodels/ for REST.",
    "DEADLINE_EXCEEDED": "Raise timeout_s, or see what keeps the server busy.",
    "NOT_FOUND": "See which models and versions its models.config and directory have.",
}


class GrpcClient(RemotePredictor):
    """Queries a model behind TensorFlow Serving's gRPC interface.

    It has the methods `predict` and `classify` of `rest_client.Client`. The connection is kept
    between calls; `close`, or a `with` block, ends it. Threads may share a client.
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
        """Keep the settings; the first call connects.

        Args:
            target: host and port of the server; the connection is not encrypted.
            model: the model's name in the server.
            version: its number; None for the newest, which may change between two requests.
            timeout_s: seconds for a request and its answer, all retries included.
            retries: how often a request to an unavailable server is sent again; at most 4.
            wait_for_ready: also wait for a server that has not started yet.
            batch_size: the largest number of examples in a request, up to 1,024.

        Raises:
            ValueError: one of the numbers is out of range.
        """
        super().__init__(f"{target} (gRPC)", model, version, batch_size)
        self._timeout_s = positive_number("timeout_s", timeout_s, hint="10 seconds are usual.")
        whole_number("retries", retries, minimum=0, maximum=_MAX_RETRIES, hint="3 are usual.")
        self._wait_for_ready = wait_for_ready

        import grpc  # type: ignore[import-untyped]
        from tensorflow_serving.apis import prediction_service_pb2_grpc

        self._channel = grpc.insecure_channel(target, options=_channel_options(retries))
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(self._channel)

    def close(self) -> None:
        """End the connection."""
        self._channel.close()

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name, fetched afresh; ServingError as for `predict`."""
        from google.protobuf import json_format
        from tensorflow_serving.apis import get_model_metadata_pb2

        request = get_model_metadata_pb2.GetModelMetadataRequest(
            model_spec=self._spec(""), metadata_field=["signature_def"]
        )
        answer = self._send(self._stub.GetModelMetadata, request)
        signatures = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(signatures)
        return parse_signatures(
            json_format.MessageToDict(signatures, preserving_proto_field_name=True)
        )

    def _query(self, signature: str, inputs: Inputs) -> Outputs:
        import tensorflow as tf
        from tensorflow_serving.apis import predict_pb2

        # Predict serves every signature, and its answer has the outputs by their names.
        request = predict_pb2.PredictRequest(model_spec=self._spec(signature))
        for name, values in signature_inputs(signature, inputs).items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(values))
        answer = self._send(self._stub.Predict, request)
        return {name: tf.make_ndarray(tensor) for name, tensor in answer.outputs.items()}

    def _spec(self, signature: str) -> Any:
        """Make the proto that names model, version and signature."""
        from tensorflow_serving.apis import model_pb2

        spec = model_pb2.ModelSpec(name=self._model, signature_name=signature)
        if self._version is not None:
            spec.version.value = self._version
        return spec

    def _send(self, method: Any, request: Any) -> Any:
        import grpc

        try:
            return method(request, timeout=self._timeout_s, wait_for_ready=self._wait_for_ready)
        except grpc.RpcError as error:
            code = error.code().name
            remedy = _REMEDIES.get(code, "See the model's metadata() and the server's log.")
            raise ServingError(
                f"{self} answered {code}: {one_line(error.details() or 'nothing')}. {remedy}"
            ) from error


def _channel_options(retries: int) -> list[tuple[str, Any]]:
    options: list[tuple[str, Any]] = [
        # By default gRPC refuses answers of more than 4 MB.
        ("grpc.max_receive_message_length", -1),
        # Else a proxy that the environment names for the web gets requests to this machine too.
        ("grpc.enable_http_proxy", 0),
    ]
    # gRPC refuses a policy of a single attempt.
    if retries:
        policy = {
            "maxAttempts": retries + 1,
            "initialBackoff": "0.1s",
            "maxBackoff": "2s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        # One without a name is for all methods.
        config = {"methodConfig": [{"name": [{}], "retryPolicy": policy}]}
        options.append(("grpc.service_config", json.dumps(config)))
    return options
