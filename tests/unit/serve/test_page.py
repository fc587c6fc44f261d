"""What the web page asks for, and that pages from elsewhere can't."""

from __future__ import annotations

import base64
import hashlib
import io
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tests.support.served import export_models
from tfd2l.export.loaded import LoadedVersion
from tfd2l.export.saved_model import Signature, TensorSpec
from tfd2l.serve.app import StandIn
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page import PageApi, _takes_images, is_loopback


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedModels]:
    models = ServedModels(export_models(tmp_path_factory.mktemp("models")))
    models.poll()
    yield models
    models.close()


@pytest.fixture
def client(models: ServedModels) -> Client:
    page = PageApi(models, host="0.0.0.0")
    return Client(StandIn(models, page, max_body_bytes=10_000))


def test_models_are_listed_with_what_they_take(client: Client) -> None:
    response = client.get("/page/models")
    assert response.status_code == 200
    assert response.json == {
        "models": [
            {"name": "clothes", "versions": ["1"], "image": True, "labels": None},
            {"name": "linear", "versions": ["1"], "image": False, "labels": None},
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
def test_only_models_that_take_the_pages_images_are_said_to(
    image: tuple[str, tuple[int | None, ...] | None], names: list[str], listed: bool
) -> None:
    signature = Signature({"image": TensorSpec("image:0", *image)}, {})
    version = cast(LoadedVersion, SimpleNamespace(signatures=dict.fromkeys(names, signature)))
    assert _takes_images(version) is listed


def test_nothing_is_cached_or_shown_elsewhere(client: Client) -> None:
    headers = client.get("/page/models").headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'none'; style-src 'none';")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


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


def test_without_a_copy_of_the_data_there_are_no_samples_and_it_is_looked_for_once(
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
def test_what_is_no_image_is_400(client: Client, data: bytes) -> None:
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
        # A page from elsewhere, a file or a sandboxed frame, another port.
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
def test_a_post_is_for_the_servers_own_pages_alone(
    client: Client,
    monkeypatch: pytest.MonkeyPatch,
    host: str,
    origin: str | None,
    status: int,
) -> None:
    # 400 is for the empty image, so the request was let in.
    def refuse_all(self: PageApi, request: object) -> None:
        from tfd2l.serve.json_values import refuse

        refuse("no image")

    monkeypatch.setattr(PageApi, "_prepare", refuse_all)
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    response = client.post("/page/prepare", headers=headers)
    assert response.status_code == status
    assert response.json is not None
    assert response.json["error"]


@pytest.mark.parametrize("path", ["/", "/page/models", "/page/samples"])
def test_a_name_that_was_pointed_here_gets_nothing_at_all(client: Client, path: str) -> None:
    assert client.get(path, headers={"Host": "evil.example"}).status_code == 403


def test_the_name_that_the_server_listens_at_is_its_own(models: ServedModels) -> None:
    page = PageApi(models, host="Model-Server.lan")
    client = Client(StandIn(models, page, max_body_bytes=10))
    assert client.get("/page/models", headers={"Host": "model-server.lan:80"}).status_code == 200


def test_the_page_may_run_its_own_scripts_and_styles_and_no_others(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    script, style = "let a = '<b>';\n", "p { color: red }"
    (tmp_path / "page_files").mkdir()
    (tmp_path / "page_files" / "index.html").write_text(
        f"<!doctype html><title>ä</title><style>{style}</style><script>{script}</script><p>Hi",
        encoding="utf-8",
    )
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    response = client.get("/")
    assert response.status_code == 200
    assert response.content_type == "text/html; charset=utf-8"
    assert "<title>ä" in response.text
    policy = response.headers["Content-Security-Policy"]
    for kind, text in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}';" in policy
    assert "connect-src 'self'" in policy


def test_without_a_page_the_root_says_where_the_interface_is(
    client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "files", lambda package: tmp_path)
    response = client.get("/")
    assert response.status_code == 404
    assert "/v1/models" in str(response.json)


@pytest.mark.parametrize(
    ("host", "alone"),
    [("127.0.0.1", True), ("127.9.9.9", True), ("::1", True), ("LOCALHOST", True),
     ("0.0.0.0", False), ("::", False), ("192.168.1.5", False), ("model-server.lan", False)],
)  # fmt: skip
def test_which_hosts_are_this_machine_alone(host: str, alone: bool) -> None:
    assert is_loopback(host) == alone


@pytest.mark.parametrize(
    ("listens_at", "host", "origin", "status"),
    [
        ("127.0.0.1", "localhost:8501", None, 200),
        ("127.0.0.1", "localhost:8501", "http://localhost:8501", 200),
        ("127.0.0.1", "localhost:8501", "http://localhost:3000", 403),
        ("127.0.0.1", "evil.example", None, 403),
        # In a container it has a name that it doesn't know.
        ("0.0.0.0", "serving:8501", None, 200),
        ("0.0.0.0", "serving:8501", "http://evil.example", 403),
    ],
)
def test_models_are_asked_by_programs_and_by_the_servers_own_pages(
    models: ServedModels, listens_at: str, host: str, origin: str | None, status: int
) -> None:
    page = PageApi(models, host=listens_at)
    client = Client(StandIn(models, page, max_body_bytes=10_000))
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    body = b'{"instances": [[1, 1]]}'
    response = client.post("/v1/models/linear:predict", data=body, headers=headers)
    assert response.status_code == status
