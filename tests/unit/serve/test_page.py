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
from tests.support.raw_models import COLOURS, save_colours, save_prices, save_roofs
from tests.support.served import export_identity, export_models, loaded
from tfd2l.serve import page
from tfd2l.serve.app import Application
from tfd2l.serve.models import ServedModels


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ServedModels:
    return loaded(export_models(tmp_path_factory.mktemp("models")))


@pytest.fixture
def client(models: ServedModels) -> Client:
    return Client(Application(models))


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Client:
    """The server of models of own images and tables."""
    base = tmp_path_factory.mktemp("own")
    image = {"kind": "image", "framing": "none"}
    labels = {"kind": "class", "labels": COLOURS}
    save_colours(base / "colours/2", input=image, output=labels)
    columns = {"rooms": "float32", "roof": "string"}
    price = {"kind": "number", "name": "Price"}
    save_prices(base / "houses/1", input={"kind": "table", "columns": columns}, output=price)
    save_roofs(base / "roofs/1")
    export_identity(base / "identity/1")
    return Client(Application(loaded(base)))


def test_the_models_are_listed_with_what_they_take_and_give(client: Client) -> None:
    response = client.get("/page/models")
    assert response.status_code == 200
    no_card = {"version": "1", "labels": []}
    assert response.json == {
        "clothes": no_card
        | {"kind": "image", "shape": [28, 28, 1], "framing": "garment", "number": None},
        "linear": no_card | {"kind": "features", "num_inputs": 2, "number": "prediction"},
    }


def test_models_of_own_images_and_tables_are_listed_by_their_cards(own: Client) -> None:
    assert own.get("/page/models").json == {
        "colours": {
            "version": "2", "kind": "image", "shape": [4, 6, 3], "framing": "none",
            "labels": [*COLOURS], "number": None,
        },
        "houses": {
            # In the card's order.
            "version": "1", "kind": "table", "columns": {"rooms": "float32", "roof": "string"},
            "labels": [], "number": "Price",
        },
        "roofs": {
            "version": "1", "kind": "table", "columns": {"roof": "string", "rooms": "float32"},
            "labels": [], "number": None,
        },
    }  # fmt: skip


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
    response = client.post("/page/prepare?model=clothes&version=1", data=file.getvalue())
    assert response.status_code == 200, response.json
    assert response.json is not None
    assert sorted(response.json) == ["notes", "pixels", "shows_garment"]
    assert response.json["shows_garment"]
    empty = io.BytesIO()
    Image.new("L", (50, 40), 200).save(empty, "PNG")
    prepared = client.post("/page/prepare?model=clothes", data=empty.getvalue()).json
    assert prepared is not None
    assert not prepared["shows_garment"]
    np.testing.assert_array_equal(response.json["pixels"], pixels)


@pytest.mark.parametrize("data", [b"", b"no image", b"\x89PNG\r\n\x1a\n broken"])
def test_a_file_that_is_not_an_image_is_400(client: Client, data: bytes) -> None:
    response = client.post("/page/prepare?model=clothes", data=data)
    assert response.status_code == 400
    assert response.json is not None
    assert response.json["error"]


def test_an_image_is_prepared_in_the_models_size_colour_and_framing(
    own: Client, client: Client
) -> None:
    pixels = np.full((8, 12, 3), 255, np.uint8)
    pixels[:, :6] = (200, 0, 0)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "WEBP", lossless=True)
    prepared = own.post("/page/prepare?model=colours&version=2", data=file.getvalue()).json
    assert prepared is not None
    assert np.shape(prepared["pixels"]) == (4, 6, 3)
    assert prepared["pixels"][1][0] == [200, 0, 0]
    assert prepared["notes"] == ["12 x 8 resized to 4 x 6"]
    assert prepared["shows_garment"]
    for framing, note in (("auto", "made 0"), ("garment", "made 0"), ("none", "12 x 8 resized")):
        target = f"/page/prepare?model=clothes&framing={framing}"
        answer = client.post(target, data=file.getvalue()).json
        assert answer is not None
        assert np.shape(answer["pixels"]) == (28, 28)
        assert note in "; ".join(answer["notes"])


@pytest.mark.parametrize(
    ("query", "status", "words"),
    [
        ("model=absent", 404, "Servable not found"),
        ("model=colours&version=1", 404, "Servable not found"),
        ("", 404, "Servable not found"),
        ("model=houses", 400, "model 'houses' takes no images"),
        ("model=colours&framing=crop", 400, "framing must be one of "),
        ("model=colours&framing=garment", 400, "3 channels and framing 'garment'"),
    ],
)
def test_a_model_that_takes_no_such_image_is_refused(
    own: Client, query: str, status: int, words: str
) -> None:
    response = own.post(f"/page/prepare?{query}", data=b"")
    assert response.status_code == status
    assert response.json is not None
    assert words in response.json["error"]


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
