"""The gRPC client with a server that is made from TensorFlow Serving's official stubs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import grpc  # type: ignore[import-untyped]
import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.example import example_pb2
from tensorflow.core.protobuf import meta_graph_pb2
from tensorflow_serving.apis import (
    get_model_metadata_pb2,
    predict_pb2,
    prediction_service_pb2_grpc,
)

from tests.support import ROOT
from tests.support.rest_server import LABELS, Softmax, unused_port
from tfd2l.export.signature_types import Signature, TensorSpec
from tfd2l.predict.answers import ServingError
from tfd2l.predict.grpc_client import GrpcClient

IMAGES = np.random.default_rng(1).integers(0, 256, (600, 28, 28)).astype(np.uint8)
Open = Callable[..., GrpcClient]
Code = grpc.StatusCode


class Service(prediction_service_pb2_grpc.PredictionServiceServicer):  # type: ignore[misc]
    """Softmax regression that refuses the requests that TensorFlow Serving refuses."""

    def __init__(self) -> None:
        self.model = Softmax()
        self.ended = threading.Event()
        self.reset()

    def reset(self) -> None:
        """Return to the first state."""
        self.sizes: list[int] = []
        self.failures: list[tuple[Any, str]] = []
        self.more: dict[str, Any] = {}
        self.hangs = False

    def GetModelMetadata(self, request: Any, context: Any) -> Any:  # noqa: N802  # the stubs' name
        self.check(request, context)
        assert request.metadata_field == ["signature_def"]
        signatures = get_model_metadata_pb2.SignatureDefMap()
        for name, definition in definitions().items():
            signatures.signature_def[name].CopyFrom(definition)
        answer = get_model_metadata_pb2.GetModelMetadataResponse()
        answer.metadata["signature_def"].Pack(signatures)
        return answer

    def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802  # the stubs' name
        self.check(request, context)
        if self.hangs:
            self.ended.wait()
        if self.failures:
            context.abort(*self.failures.pop(0))
        outputs = self.outputs(request, context) | self.more
        answer = predict_pb2.PredictResponse()
        for name, value in outputs.items():
            answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return answer

    def outputs(self, request: Any, context: Any) -> dict[str, Any]:
        if request.model_spec.signature_name == "classify":
            encoded = tf.make_ndarray(request.inputs["inputs"])
            examples = [example_pb2.Example.FromString(one) for one in encoded]
            pixels = [one.features.feature["image"].bytes_list.value[0] for one in examples]
            images = np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, 28, 28)
            scores = self.model(images)["probabilities"].astype(np.float32)
            order = np.argsort(-scores)
            ranked = np.take_along_axis(scores, order, axis=1)
            return {"classes": np.array(LABELS, np.object_)[order], "scores": ranked}
        assert [*request.inputs] == ["image"]
        images = tf.make_ndarray(request.inputs["image"])
        self.sizes.append(len(images))
        assert images.dtype == np.uint8
        outputs = self.model(images)
        outputs["label"] = outputs["label"].astype(np.object_)
        for name in ("logits", "probabilities"):
            outputs[name] = outputs[name].astype(np.float32)
        return outputs

    def check(self, request: Any, context: Any) -> None:
        spec = request.model_spec
        if spec.name != "mlp" or (spec.HasField("version") and spec.version.value != 3):
            context.abort(Code.NOT_FOUND, f"Servable not found for request: {spec.name}")


def definitions() -> dict[str, Any]:
    """The proto SignatureDef of both signatures."""

    def definition(inputs: Any, outputs: Any) -> Any:
        proto = meta_graph_pb2.SignatureDef(method_name="tensorflow/serving/predict")
        for side, infos in ((proto.inputs, inputs), (proto.outputs, outputs)):
            for name, (dtype, *sizes) in infos.items():
                side[name].dtype = dtype.as_datatype_enum
                for size in sizes:
                    side[name].tensor_shape.dim.add(size=size)
        return proto

    image = {"image": (tf.uint8, -1, 28, 28)}
    outputs = {"logits": (tf.float32, -1, 4), "class_id": (tf.int64, -1), "label": (tf.string, -1)}
    ranked = {"classes": (tf.string, -1, 4), "scores": (tf.float32, -1, 4)}
    return {
        "serving_default": definition(image, outputs),
        "classify": definition({"inputs": (tf.string, -1)}, ranked),
    }


@pytest.fixture(scope="module")
def running_grpc() -> Iterator[tuple[Service, str]]:
    """The service and its address."""
    service = Service()
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield service, f"127.0.0.1:{port}"
        service.ended.set()
        server.stop(None).wait()


@pytest.fixture
def service(running_grpc: tuple[Service, str]) -> Service:
    running_grpc[0].reset()
    return running_grpc[0]


@pytest.fixture
def opened(running_grpc: tuple[Service, str], service: Service) -> Iterator[Open]:
    """Makes clients of the server, and closes them after the test."""
    with ExitStack() as stack:

        def make(target: str | None = None, **settings: Any) -> GrpcClient:
            client = GrpcClient(target or running_grpc[1], **{"timeout_s": 30} | settings)
            return stack.enter_context(client)

        yield make


def test_predictions_are_the_models_in_several_requests(service: Service, opened: Open) -> None:
    found, expected = opened().predict(IMAGES), service.model(IMAGES)
    # The client converts to float32.
    np.testing.assert_allclose(found.logits, expected["logits"], rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected["probabilities"], rtol=1e-5)
    np.testing.assert_array_equal(found.class_id, expected["class_id"])
    np.testing.assert_array_equal(found.label, expected["label"])
    assert service.sizes == [256, 256, 88]
    classified = opened().classify(IMAGES)
    np.testing.assert_array_equal(classified.classes[:, 0], expected["label"])
    np.testing.assert_allclose(
        classified.scores, -np.sort(-expected["probabilities"], axis=1), rtol=1e-5
    )


def test_metadata_are_the_signatures(opened: Open) -> None:
    metadata = opened(version=3).metadata()
    assert metadata["serving_default"].inputs == {"image": TensorSpec("", "uint8", (None, 28, 28))}
    assert metadata["serving_default"].outputs["label"] == TensorSpec("", "string", (None,))
    assert metadata["classify"].outputs["scores"] == TensorSpec("", "float32", (None, 4))


def test_an_unknown_model_or_version_is_reported(opened: Open) -> None:
    message = r"model 'no' at 127\.0\.0\.1:\d+ \(gRPC\) answered NOT_FOUND: Servable not found"
    with pytest.raises(ServingError, match=message):
        opened(model="no").predict(IMAGES)
    with pytest.raises(ServingError, match="version 9, at .* NOT_FOUND: .*models.config"):
        opened(version=9).predict(IMAGES)


def test_a_refusal_is_reported_in_the_servers_words(service: Service, opened: Open) -> None:
    service.failures.append((Code.INVALID_ARGUMENT, "too\nbad"))
    with pytest.raises(ServingError, match="INVALID_ARGUMENT: too bad. See the model's"):
        opened().predict(IMAGES)


def test_a_request_to_an_unavailable_server_is_sent_again(service: Service, opened: Open) -> None:
    service.failures += [(Code.UNAVAILABLE, "loading")] * 2
    assert len(opened().predict(IMAGES[:2])) == 2
    assert service.failures == []
    service.failures += [(Code.UNAVAILABLE, "loading")] * 2
    with pytest.raises(ServingError, match="UNAVAILABLE: loading"):
        opened(retries=1).predict(IMAGES[:2])
    assert service.failures == []
    service.failures += [(Code.UNAVAILABLE, "loading")]
    with pytest.raises(ServingError, match="UNAVAILABLE: loading"):
        opened(retries=0).predict(IMAGES[:2])


def test_a_request_that_times_out_is_reported(service: Service, opened: Open) -> None:
    client = opened(timeout_s=0.3)
    client.image_shape()
    service.hangs = True
    with pytest.raises(ServingError, match=r"DEADLINE_EXCEEDED: .*Raise timeout_s"):
        client.predict(IMAGES[0])


def test_without_a_server_the_error_says_how_to_start_one(opened: Open) -> None:
    with pytest.raises(ServingError, match="UNAVAILABLE: .*Start one: .*tensorflow_model_server"):
        opened(f"127.0.0.1:{unused_port()}", retries=1).predict(IMAGES)


@pytest.mark.slow
def test_a_client_can_wait_for_a_server_that_starts_later(service: Service) -> None:
    port = unused_port()
    with (
        ThreadPoolExecutor(2) as pool,
        GrpcClient(f"127.0.0.1:{port}", timeout_s=60, wait_for_ready=True) as client,
    ):
        asked = pool.submit(client.predict, IMAGES[:2])
        server = grpc.server(pool)
        prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(service, server)
        assert server.add_insecure_port(f"127.0.0.1:{port}") == port
        server.start()
        assert len(asked.result(timeout=60)) == 2
        server.stop(None).wait()


def test_an_answer_may_be_longer_than_grpcs_usual_4_mb(service: Service, opened: Open) -> None:
    client = opened()
    # 1.1 million x 4 bytes = 4.4 MB; 4 MiB are 4.2.
    service.more = {"more": np.zeros(1_100_000, np.float32)}
    assert len(client.predict(IMAGES[0])) == 1


@pytest.mark.parametrize(
    "settings", [{"timeout_s": 0}, {"retries": 5}, {"batch_size": 0}, {"version": 1.5}]
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got "):
        GrpcClient(**settings)


@pytest.mark.slow
def test_the_documented_program_works_and_imports_the_stubs_when_it_makes_a_client(
    running_grpc: tuple[Service, str], service: Service, documented_program: Callable[[str], str]
) -> None:
    program = documented_program("with d2l.GrpcClient(")
    assert "127.0.0.1:8500" in program
    before = (
        "import sys, tfd2l.predict.grpc_client\n"
        "assert not {'grpc', 'tensorflow', 'tensorflow_serving'} & {*sys.modules}\n"
    )
    program = before + program.replace("127.0.0.1:8500", running_grpc[1])
    argv = [sys.executable, "-c", program]
    process = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    # A black image: all four classes have the same probability.
    assert process.stdout == "t-shirt 0.25\n", process.stderr
    assert service.sizes == [1]


def test_rows_are_sent_as_a_tensor_for_each_column(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = {
        "rooms": TensorSpec("", "float32", (None,)), "roof": TensorSpec("", "string", (None,)),
    }  # fmt: skip
    number = {"prediction": TensorSpec("", "float32", (None,))}
    sent = []

    def answer(self: GrpcClient, method: Any, request: Any) -> Any:
        sent.append(request)
        answer = predict_pb2.PredictResponse()
        answer.outputs["prediction"].CopyFrom(tf.make_tensor_proto([25.0, 30.0]))
        return answer

    monkeypatch.setattr(GrpcClient, "_send", answer)
    signatures = {"serving_default": Signature(columns, number)}
    monkeypatch.setattr(GrpcClient, "metadata", lambda self: signatures)
    with GrpcClient("127.0.0.1:1", "houses") as client:
        found = client.regress({"rooms": [2, None], "roof": ["Slate", None]})
    assert found.prediction.tolist() == [25, 30]
    [request] = sent
    np.testing.assert_array_equal(tf.make_ndarray(request.inputs["rooms"]), [2, np.nan])
    assert tf.make_ndarray(request.inputs["roof"]).tolist() == [b"Slate", b""]
