"""The web page's files and routes, which pages of other sites can't use."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tests.support.served import client_of, export_models, loaded
from tfd2l.export.loaded import LoadedVersion
from tfd2l.export.saved_model import Signature, TensorSpec
from tfd2l.serve.errors import refuse
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page import PageApi, _takes_images, is_loopback


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    with loaded(export_models(tmp_path_factory.mktemp("models"))) as models:
        yield models


@pytest.fixture
def client(models: ServedModels) -> Client:
    return client_of(models, host="0.0.0.0", max_bytes=10_000)


def test_models_are_listed_with_what_they_take(client: Client) -> None:
    response = client.get("/page/models")
    assert response.status_code == 200
    assert response.json == {
        "models": [
            {"name": "clothes", "versions": ["1"], "image": True},
            {"name": "linear", "versions": ["1"], "image": False},
        ]
    }


@pytest.mark.parametrize(
    ("image", "names", "listed"),
    [
        (("uint8", (None, 28, 28)), ["classify", "serving_default"], True),
        (("uint8", (None, None, None)), ["classify", "serving_default"], True),
        # It would refuse the page's images, which have 28 x 28 pixels.
        (("uint8", (None, 32, 28)), ["classify", "serving_default"], False),
        (("uint8", (None, 28, 28, 1)), ["classify", "serving_default"], False),
        (("uint8", None), ["classify", "serving_default"], False),
        (("float32", (None, 28, 28)), ["classify", "serving_default"], False),
        # The page asks for classes with their scores.
        (("uint8", (None, 28, 28)), ["serving_default"], False),
    ],
)
def test_only_models_that_take_the_pages_images_are_marked(
    image: tuple[str, tuple[int | None, ...] | None], names: list[str], listed: bool
) -> None:
    signature = Signature({"image": TensorSpec("image:0", *image)}, {})
    version = cast(LoadedVersion, SimpleNamespace(signatures=dict.fromkeys(names, signature)))
    assert _takes_images(version) is listed


@pytest.mark.parametrize("path", ["/", "/page/models"])
def test_nothing_is_cached_or_framed_and_only_the_servers_scripts_and_styles_run(
    client: Client, path: str
) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


def test_the_page_has_its_scripts_and_styles_in_files_that_are_served(client: Client) -> None:
    page = client.get("/")
    assert page.content_type == "text/html; charset=utf-8"
    # Inline ones would not run.
    assert "<style" not in page.text
    assert "<script>" not in page.text
    assert not re.search(r"\son\w+=|\sstyle=", page.text)
    linked = re.findall(r'(?:src|href)="([^":]*)"', page.text)
    assert sorted(linked) == ["app.js", "style.css"]
    for name, kind in (("app.js", "text/javascript"), ("style.css", "text/css")):
        response = client.get(f"/{name}")
        assert response.status_code == 200
        assert response.content_type == f"{kind}; charset=utf-8"
        assert response.text
    assert client.get("/index.html").status_code == 404


def test_samples_are_the_first_test_images(client: Client, fashion: fashion_mnist.Arrays) -> None:
    for count, query in ((20, ""), (3, "?count=3"), (0, "?count=0"), (200, "?count=200")):
        samples: Any = client.get(f"/page/samples{query}").json
        assert len(samples) == count
    for number, sample in enumerate(samples):
        label = fashion_mnist.LABELS[fashion.val_labels[number]]
        assert sample == {"pixels": fashion.val_images[number].tolist(), "label": label}


@pytest.mark.parametrize("count", ["-1", "201", "x", "", "1.0", "9999"])
def test_a_wrong_count_of_samples_is_400(client: Client, count: str) -> None:
    response = client.get("/page/samples", query_string={"count": count})
    assert response.status_code == 400
    assert "up to 200" in str(response.json)


def test_without_a_copy_of_the_data_there_are_no_samples_and_one_search(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[dict[str, Any]] = []

    def load(**arguments: Any) -> fashion_mnist.Arrays:
        calls.append(arguments)
        raise DataError("none")

    monkeypatch.setattr(fashion_mnist, "load", load)
    assert client.get("/page/samples").json == []
    assert client.get("/page/samples").json == []
    assert calls == [{"download": False}]


def test_an_image_file_is_prepared_as_the_model_sees_it(client: Client) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[1:27, 8:20] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    response = client.post("/page/prepare", data=file.getvalue())
    assert response.status_code == 200, response.json
    assert response.json is not None
    assert sorted(response.json) == ["notes", "pixels"]
    prepared = np.array(response.json["pixels"])
    assert prepared.shape == (28, 28)
    assert prepared.max() <= 255
    assert all(isinstance(note, str) for note in response.json["notes"])


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_not_an_image_is_400(client: Client, data: bytes) -> None:
    response = client.post("/page/prepare", data=data)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]


def test_an_overlong_image_file_is_413(client: Client) -> None:
    assert client.post("/page/prepare", data=b"x" * 10_001).status_code == 413


@pytest.mark.parametrize(
    ("host", "origin", "status"),
    [
        ("127.0.0.1:8501", "http://127.0.0.1:8501", 400),
        ("localhost:8501", "http://localhost:8501", 400),
        ("[::1]:8501", "http://[::1]:8501", 400),
        ("192.168.1.5:8501", "http://192.168.1.5:8501", 400),
        ("127.0.0.1:8501", None, 400),
        # A page of another site, a file or a sandboxed frame, another port.
        ("127.0.0.1:8501", "http://evil.example", 403),
        ("127.0.0.1:8501", "null", 403),
        ("127.0.0.1:8501", "http://127.0.0.1:9000", 403),
        ("127.0.0.1:8501", "http://localhost:8501", 403),
        # A name that was pointed here.
        ("evil.example:8501", "http://evil.example:8501", 403),
        ("evil.example", None, 403),
        ("[bad", None, 403),
        ("", None, 403),
    ],
)
def test_only_the_servers_own_pages_can_post(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    origin: str | None,
    status: int,
) -> None:
    # 400 means that the request was let in.
    monkeypatch.setattr(PageApi, "_prepare", lambda self, request: refuse("no image"))
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    response = client.post("/page/prepare", headers=headers)
    assert response.status_code == status
    assert response.json is not None
    assert response.json["error"]


@pytest.mark.parametrize("path", ["/", "/app.js", "/page/models", "/page/samples"])
def test_a_name_that_was_pointed_here_gets_nothing(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 403


def test_the_name_that_the_server_listens_at_is_its_own(models: ServedModels) -> None:
    client = client_of(models, host="Model-Server.lan")
    assert client.get("/page/models", headers={"Host": "model-server.lan:80"}).status_code == 200


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("model-server.lan", False)],
)  # fmt: skip
def test_loopback_hosts_are_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


@pytest.mark.parametrize(
    ("listens_at", "host", "origin", "status"),
    [
        ("127.0.0.1", "localhost:8501", None, 200),
        ("127.0.0.1", "localhost:8501", "http://localhost:8501", 200),
        ("127.0.0.1", "localhost:8501", "http://localhost:3000", 403),
        ("127.0.0.1", "localhost:8501", "null", 403),
        ("127.0.0.1", "evil.example", "http://evil.example", 403),
        ("127.0.0.1", "evil.example", None, 403),
        # In a container the server does not know its own name.
        ("0.0.0.0", "serving:8501", None, 200),
        ("0.0.0.0", "serving:8501", "http://evil.example", 403),
    ],
)
def test_programs_and_the_servers_own_pages_can_query_models(
    models: ServedModels, listens_at: str, host: str, origin: str | None, status: int
) -> None:
    client = client_of(models, host=listens_at)
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    body = b'{"instances": [[1, 1]]}'
    response = client.post("/v1/models/linear:predict", data=body, headers=headers)
    assert response.status_code == status
    assert "Access-Control-Allow-Origin" not in response.headers
