"""The web page's files and requests, and the other sites' pages that can't use the server."""

from __future__ import annotations

import io
import re

import numpy as np
import pytest
from PIL import Image
from werkzeug.test import Client

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tests.support.served import export_models, loaded
from tfd2l.serve import page
from tfd2l.serve.app import Application
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ServedModels:
    return loaded(export_models(tmp_path_factory.mktemp("models")))


@pytest.fixture
def client(models: ServedModels) -> Client:
    return Client(Application(models))


def test_the_models_that_classify_images_are_listed(client: Client) -> None:
    response = client.get("/page/models")
    assert response.status_code == 200
    assert response.json == {"clothes": "1"}


def test_the_page_has_its_scripts_and_styles_in_files_that_are_served(client: Client) -> None:
    with client.get("/") as response:
        assert response.content_type == "text/html; charset=utf-8"
        page = response.get_data(as_text=True)
    # By its policy, inline ones would not run.
    assert """Content-Security-Policy" content="default-src 'self'; img-src""" in page
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", page)
    assert sorted(re.findall(r'(?:src|href)="([^":]*)"', page)) == ["app.js", "style.css"]
    for name, kind in (("app.js", "javascript"), ("style.css", "css")):
        with client.get(f"/{name}") as response:
            assert response.status_code == 200
            assert f"/{kind}" in response.headers["Content-Type"]
            assert response.get_data()


def test_test_images_are_offered_where_there_is_data(
    client: Client, fashion: fashion_mnist.Arrays, monkeypatch: pytest.MonkeyPatch
) -> None:
    page._samples.cache_clear()
    samples = client.get("/page/samples").json
    assert samples is not None
    assert len(samples) == 20
    np.testing.assert_array_equal(samples[3]["pixels"], fashion.val_images[3])
    assert samples[3]["label"] == fashion_mnist.LABELS[fashion.val_labels[3]]

    def absent(**_: object) -> None:
        raise DataError("no copy here")

    monkeypatch.setattr(fashion_mnist, "load", absent)
    page._samples.cache_clear()
    assert client.get("/page/samples").json == []
    page._samples.cache_clear()


def test_an_image_file_is_prepared_as_the_model_sees_it(client: Client) -> None:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[1:27, 8:20] = 200
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    response = client.post("/page/prepare", data=file.getvalue())
    assert response.status_code == 200, response.json
    assert response.json is not None
    assert sorted(response.json) == ["notes", "pixels", "shows_garment"]
    assert response.json["shows_garment"]
    empty = io.BytesIO()
    Image.new("L", (50, 40), 200).save(empty, "PNG")
    prepared = client.post("/page/prepare", data=empty.getvalue()).json
    assert prepared is not None
    assert not prepared["shows_garment"]
    np.testing.assert_array_equal(response.json["pixels"], pixels)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_not_an_image_is_400(client: Client, data: bytes) -> None:
    response = client.post("/page/prepare", data=data)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]


@pytest.mark.parametrize(
    ("only_loopback", "host", "origin", "status"),
    [
        (True, "localhost:8501", None, 200),
        (True, "127.0.0.1", "http://127.0.0.1", 200),
        (True, "[::1]:8501", "http://[::1]:8501", 200),
        # Another port, another name, a file or a sandboxed frame, a page of another site.
        (True, "localhost:8501", "http://localhost:3000", 403),
        (True, "127.0.0.1:8501", "http://localhost:8501", 403),
        (True, "localhost:8501", "null", 403),
        (True, "localhost:8501", "http://evil.example", 403),
        # A name that was pointed here.
        (True, "evil.example", "http://evil.example", 403),
        (True, "evil.example:8501", None, 403),
        (True, "127.0.0.1.evil.example", None, 403),
        (True, "[bad", None, 403),
        (True, "", None, 403),
        # In a container the server does not know its own name.
        (False, "serving:8501", None, 200),
        (False, "serving:8501", "http://evil.example", 403),
    ],
)
def test_only_programs_and_the_servers_own_pages_can_query_models(
    models: ServedModels, only_loopback: bool, host: str, origin: str | None, status: int
) -> None:
    client = Client(Application(models, only_loopback=only_loopback))
    headers = {"Host": host} | ({"Origin": origin} if origin is not None else {})
    body = b'{"instances": [[1, 1]]}'
    response = client.post("/v1/models/linear:predict", data=body, headers=headers)
    assert response.status_code == status
    assert "Access-Control-Allow-Origin" not in response.headers
