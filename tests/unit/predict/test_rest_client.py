"""The REST client with a server that answers as TensorFlow Serving does, or badly."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from tests.support import ROOT
from tests.support.rest_server import LABELS, Canned, RestServer, Softmax, as_json, unused_port
from tfd2l.export.signature_types import TensorSpec
from tfd2l.predict.answers import ServingError, VersionStatus
from tfd2l.predict.rest_client import Client

IMAGES = np.random.default_rng(1).integers(0, 256, (600, 28, 28)).astype(np.uint8)
Open = Callable[..., Client]


@pytest.fixture
def opened(server: RestServer) -> Iterator[Open]:
    """Makes clients of the server, and closes them after the test."""
    with ExitStack() as stack:

        def make(url: str | None = None, **settings: Any) -> Client:
            return stack.enter_context(Client(url or server.url, **{"timeout_s": 30} | settings))

        yield make


def test_predictions_are_those_of_the_model(server: RestServer, opened: Open) -> None:
    found, expected = opened().predict(IMAGES[:99]), server.model(IMAGES[:99])
    # The client converts to float32.
    np.testing.assert_allclose(found.logits, expected["logits"], rtol=1e-6)
    np.testing.assert_allclose(found.probabilities, expected["probabilities"], rtol=1e-6)
    np.testing.assert_array_equal(found.class_id, expected["class_id"])
    np.testing.assert_array_equal(found.label, expected["label"])
    assert {*found.label} == {*LABELS}


def test_many_images_go_in_several_requests(server: RestServer, opened: Open) -> None:
    found = opened().predict(IMAGES)
    np.testing.assert_array_equal(found.class_id, server.model(IMAGES)["class_id"])
    assert server.requests == [
        ("GET", "/v1/models/mlp/metadata"),
        *[("POST", "/v1/models/mlp:predict")] * 3,
    ]
    sizes = [len(json.loads(body)["inputs"]["image"]) for body in server.bodies[1:]]
    assert sizes == [256, 256, 88]


def test_metadata_are_fetched_once_and_a_version_can_be_named(
    server: RestServer, opened: Open
) -> None:
    client = opened(version=2)
    for _ in range(3):
        client.predict(IMAGES[0])
    base = "/v1/models/mlp/versions/2"
    assert server.requests == [("GET", f"{base}/metadata"), *[("POST", f"{base}:predict")] * 3]
    assert str(client) == f"model 'mlp', version 2, at {server.url}"


def test_after_an_error_the_models_shape_is_read_again(server: RestServer, opened: Open) -> None:
    client = opened()
    client.predict(IMAGES[0])
    server.model = Softmax(5, 7)
    with pytest.raises(ServingError, match=r"answered 400: the server's own text: .*28, 28"):
        client.predict(IMAGES[0])
    assert len(client.predict(IMAGES[0, :5, :7])) == 1


def test_refused_images_are_not_sent(server: RestServer, opened: Open) -> None:
    with pytest.raises(ServingError, match="images must be"):
        opened().predict(IMAGES / 255)
    assert server.posted() == 0


def test_classes_come_with_the_likeliest_first(server: RestServer, opened: Open) -> None:
    found, expected = opened(batch_size=4).classify(IMAGES[:9]), server.model(IMAGES[:9])
    assert found.classes.shape == found.scores.shape == (9, len(LABELS))
    np.testing.assert_array_equal(found.classes[:, 0], expected["label"])
    np.testing.assert_allclose(
        found.scores, -np.sort(-expected["probabilities"], axis=1), rtol=1e-6
    )
    assert server.requests[1:] == [("POST", "/v1/models/mlp:classify")] * 3


def test_status_lists_the_versions_the_oldest_first(server: RestServer, opened: Open) -> None:
    assert opened().status() == [
        VersionStatus(2, "AVAILABLE", ""),
        VersionStatus(3, "AVAILABLE", ""),
    ]
    assert opened(version=3).status() == [VersionStatus(3, "AVAILABLE", "")]


def test_metadata_are_the_signatures(opened: Open) -> None:
    signatures = opened().metadata()
    assert sorted(signatures) == ["classify", "serving_default"]
    assert signatures["serving_default"].inputs == {
        "image": TensorSpec("some:0", "uint8", (None, 28, 28))
    }
    assert signatures["classify"].outputs["scores"] == TensorSpec("some:0", "float32", (None, 4))
    assert signatures["serving_default"].outputs["label"] == TensorSpec("some:0", "string", (None,))


def test_errors_name_the_model_the_address_and_the_servers_reason(
    server: RestServer, opened: Open
) -> None:
    client = opened()
    client.image_shape()
    server.canned.append(as_json({"error": "out of\nmemory"}, 500))
    expected = (
        f"model 'mlp' at {server.url} answered 500: out of memory. See the model's metadata() and "
        "the server's log."
    )
    with pytest.raises(ServingError) as caught:
        client.predict(IMAGES)
    assert str(caught.value) == expected


def test_for_an_unknown_model_or_version_the_error_says_where_to_look(opened: Open) -> None:
    for which, words in (({"version": 7}, "mlp"), ({"model": "mpl/../x"}, "mpl%2F..%2Fx")):
        message = rf"404: Servable not found.*/v1/models/{words} lists the versions that the server"
        with pytest.raises(ServingError, match=message):
            opened(**which).predict(IMAGES)


def test_another_kind_of_server_is_reported(server: RestServer, opened: Open) -> None:
    server.canned.append(Canned(404, b"<html>\n<h1>Not found</h1>"))
    with pytest.raises(ServingError, match="404: <html> <h1>Not found"):
        opened().predict(IMAGES)
    server.canned += [Canned(200, b"<html>welcome")]
    with pytest.raises(ServingError, match="TensorFlow Serving's form; got <html>welcome"):
        opened().predict(IMAGES)
    server.canned.append(Canned(302, b"", {"Location": "http://elsewhere.invalid/"}))
    with pytest.raises(ServingError, match="answered 302: nothing"):
        opened().predict(IMAGES)
    # As deep as this, Python's parser gives up by a RecursionError.
    server.canned += [Canned(200, b"[" * 100_000)]
    with pytest.raises(ServingError, match="TensorFlow Serving's form; got "):
        opened().predict(IMAGES)


def test_a_request_to_a_busy_server_is_sent_again(server: RestServer, opened: Open) -> None:
    client = opened()
    client.image_shape()
    server.canned += [Canned(502, b""), Canned(503, b"", {"Retry-After": "100000"})]
    assert len(client.predict(IMAGES[:2])) == 2
    assert server.requests[1:] == [("POST", "/v1/models/mlp:predict")] * 3
    assert len({*server.bodies[1:]}) == 1


def test_a_server_that_stays_busy_is_reported_in_its_words(
    server: RestServer, opened: Open
) -> None:
    server.canned += [as_json({"error": "loading"}, 503)] * 2
    with pytest.raises(ServingError, match="answered 503: loading. See the"):
        opened(retries=1).predict(IMAGES)
    assert len(server.requests) == 2


def test_a_request_whose_connection_breaks_is_sent_again(server: RestServer, opened: Open) -> None:
    server.canned.append("drop")
    assert len(opened().status()) == 2
    assert len(server.requests) == 2


@pytest.mark.parametrize("status", [400, 500])
def test_after_other_errors_a_request_is_not_sent_again(
    server: RestServer, opened: Open, status: int
) -> None:
    server.canned.append(Canned(status, b"no"))
    with pytest.raises(ServingError, match=f"answered {status}: no"):
        opened().status()
    assert len(server.requests) == 1


@pytest.mark.slow
def test_a_request_that_times_out_is_sent_again_and_then_reported(
    server: RestServer, opened: Open
) -> None:
    client = opened(timeout_s=0.3, retries=1)
    client.image_shape()
    server.canned += ["hang", "hang"]
    message = r"no answer from http://.*: Read timed out.*more than timeout_s = 0\.3\."
    with pytest.raises(ServingError, match=message):
        client.predict(IMAGES[0])
    assert server.posted() == 2


def test_an_answer_that_stops_in_the_middle_is_reported(server: RestServer, opened: Open) -> None:
    server.canned.append(Canned(200, b'{"half":', stalls=True))
    with pytest.raises(ServingError, match="no answer from .*: Read timed out"):
        opened(timeout_s=0.3).status()
    server.canned.append(Canned(200, b"half", {"Content-Length": "100"}))
    with pytest.raises(ServingError, match="no answer from .*: IncompleteRead"):
        opened().status()


def test_without_a_server_the_error_says_how_to_start_one(opened: Open) -> None:
    port = unused_port()
    with pytest.raises(
        ServingError,
        match=rf"no answer from http://127\.0\.0\.1:{port}: .*refused.*"
        r"python -m tfd2l\.serve savedmodels/",
    ):
        opened(f"http://127.0.0.1:{port}", retries=1).predict(IMAGES)
    with pytest.raises(ServingError, match="no answer from http://no-such-host.invalid"):
        opened("http://no-such-host.invalid:8501", retries=0).status()


def test_a_proxy_of_the_environment_is_not_used_for_this_machine(
    server: RestServer, opened: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert len(opened().status()) == 2
    with pytest.raises(ServingError, match="proxy"):
        opened("http://no-such-host.invalid", retries=0).status()


def test_connections_are_kept_between_requests(server: RestServer, opened: Open) -> None:
    client = opened()
    for _ in range(3):
        client.status()
    assert len(server.requests) == 3
    assert len(server.connections) == 1


BODIES = [
    b"", b"null", b"[]", b"\xff\xfe", b'{"outputs": [[1.0]]}', b'{"outputs": {}}',
    b'{"predictions": [{"label": "coat"}]}', b'{"results": [[["coat"]]]}', b'{"results": []}',
    b'{"results": [[["coat", 1]], [["coat", 1]]]}', b'{"model_version_status": [{"version": "x"}]}',
    b'{"metadata": {"signature_def": {"signature_def": []}}}', b'{"error": 5}',
]  # fmt: skip


@pytest.mark.parametrize("body", BODIES, ids=lambda body: str(body[:40]))
def test_an_answer_of_the_wrong_form_is_reported(
    server: RestServer, opened: Open, body: bytes
) -> None:
    client = opened()
    for call in (client.predict, client.classify):
        client.image_shape()
        server.canned.append(Canned(200, body))
        with pytest.raises(ServingError, match="^the answer of model 'mlp' at http"):
            call(IMAGES[0])
    for look in (client.status, client.metadata):
        server.canned.append(Canned(200, body))
        with pytest.raises(ServingError, match="^the answer of model 'mlp' at http"):
            look()
    server.canned.append(Canned(400, body))
    with pytest.raises(ServingError, match="answered 400: "):
        client.status()


@pytest.mark.parametrize(
    "settings",
    [{"timeout_s": 0}, {"retries": -1}, {"batch_size": 0}, {"version": -1}, {"version": "1"}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="got "):
        Client(**settings)


@pytest.mark.parametrize("url", ["", "127.0.0.1:8501", "http://", "http://[::1"])
def test_an_address_without_a_host_is_refused(url: str) -> None:
    with pytest.raises(ServingError, match="url must be a server's address"):
        Client(url)


@pytest.mark.parametrize("url", ["ftp://host", "http://127.0.0.1:99999", "http://host:x"])
def test_an_address_that_requests_refuses_is_reported(opened: Open, url: str) -> None:
    with pytest.raises(ServingError, match=f"no answer from {url}: "):
        opened(url).status()


def test_an_address_may_have_a_path(opened: Open) -> None:
    assert str(opened("https://host/tf/")) == "model 'mlp' at https://host/tf"


def test_neither_tensorflow_nor_keras_is_imported(server: RestServer) -> None:
    program = (
        "import sys, numpy\n"
        "from tfd2l.predict.rest_client import Client\n"
        "with Client(sys.argv[1]) as client:\n"
        "    black = numpy.zeros((28, 28), 'uint8')\n"
        "    print(client.predict(black).label[0], client.classify(black).classes.shape)\n"
        "print({'tensorflow', 'keras', 'google', 'matplotlib', 'PIL'} & {*sys.modules})"
    )
    argv = [sys.executable, "-c", program, server.url]
    process = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT, check=False)
    assert (process.stdout, process.stderr) == ("t-shirt (1, 4)\nset()\n", "")


def test_the_documented_program_works(
    server: RestServer, tmp_path: Path, documented_program: Callable[[str], str]
) -> None:
    program = documented_program("with d2l.Client(")
    assert "http://127.0.0.1:8501" in program
    Image.new("L", (28, 28)).save(tmp_path / "boot.png")
    process = subprocess.run(
        [sys.executable, "-c", program.replace("http://127.0.0.1:8501", server.url)],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    # All four classes have the same probability, and the first is taken.
    assert (process.stdout, process.stderr) == ("t-shirt 0.25\n", "")
    assert server.posted() == 1
