"""The web page's files and requests, and the other sites' pages that can't use the server."""

from __future__ import annotations

import io
import re
from typing import Any

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
from tfd2l.serve.page import FILES
from tfd2l.serve.page_inputs import MAX_ROWS


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
    measured = {"metric": "accuracy", "value": 0.5, "num_examples": 8}
    labels = {"kind": "class", "labels": COLOURS}
    save_colours(base / "colours/2", input=image, output=labels, evaluation=measured)
    columns = {"rooms": "float32", "roof": "string"}
    price = {"kind": "number", "name": "Price"}
    table = {
        "kind": "table",
        "columns": columns,
        "dialect": {"decimal": ",", "na_values": ["?"]},
        "choices": {"roof": ["Slate", "Tin"]},
        "takes_missing": True,
        "example": {"rooms": 2.5, "roof": "Tin"},
    }
    data = {"columns": {"rooms": "number", "roof": "category"}}
    save_prices(base / "houses/1", input=table, output=price, data=data)
    save_roofs(base / "roofs/1")
    export_identity(base / "identity/1")
    return Client(Application(loaded(base)))


def test_the_models_are_listed_with_what_they_take_and_give(client: Client) -> None:
    response = client.get("/page/models")
    assert response.status_code == 200
    no_card: dict[str, Any] = {"version": "1", "labels": [], "evaluation": None}
    about: dict[str, Any] = {"dtype": "float32", "kind": "number", "choices": [], "example": None}
    assert response.json == {
        "clothes": no_card
        | {"kind": "image", "shape": [28, 28, 1], "framing": "garment", "number": None},
        "linear": no_card | {
            "kind": "rows", "is_table": False, "takes_missing": False, "number": "prediction",
            "columns": [about | {"name": "feature 1"}, about | {"name": "feature 2"}],
        },
    }  # fmt: skip


def test_models_of_own_images_and_tables_are_listed_by_their_cards(own: Client) -> None:
    roof: dict[str, Any] = {
        "name": "roof",
        "dtype": "string",
        "kind": "text",
        "choices": [],
        "example": None,
    }
    rooms: dict[str, Any] = {
        "name": "rooms",
        "dtype": "float32",
        "kind": "number",
        "choices": [],
        "example": None,
    }
    rows = {"version": "1", "kind": "rows", "is_table": True, "takes_missing": True, "labels": []}
    assert own.get("/page/models").json == {
        "colours": {
            "version": "2", "kind": "image", "shape": [4, 6, 3], "framing": "none",
            "labels": [*COLOURS], "number": None,
            "evaluation": {"metric": "accuracy", "value": 0.5, "num_examples": 8},
        },
        "houses": rows | {
            # In the card's order.
            "columns": [
                rooms | {"example": 2.5},
                roof | {"kind": "category", "choices": ["Slate", "Tin"], "example": "Tin"},
            ],
            "number": "Price",
            "evaluation": None,
        },
        "roofs": rows | {"columns": [roof, rooms], "number": None, "evaluation": None},
    }  # fmt: skip


def test_the_page_has_its_scripts_and_styles_in_files_that_are_served(client: Client) -> None:
    with client.get("/") as response:
        assert response.content_type == "text/html; charset=utf-8"
        page = response.get_data(as_text=True)
    # By its policy, inline ones would not run.
    assert """Content-Security-Policy" content="default-src 'self'; img-src""" in page
    assert not re.search(r"<style|<script>|\son\w+=|\sstyle=", page)
    wanted = re.findall(r'(?:src|href)="([^":]*)"', page)
    assert sorted(wanted) == ["app.js", "style.css"]
    served = set()
    while wanted:
        name = wanted.pop()
        with client.get(f"/{name}") as response:
            assert response.status_code == 200
            kind = "javascript" if name.endswith(".js") else "css"
            assert f"/{kind}" in response.headers["Content-Type"]
            text = response.get_data(as_text=True)
        served.add(name)
        # Nothing comes from another site.
        assert "//" not in re.sub(r"^\s*//.*", "", text, flags=re.MULTILINE)
        wanted += {*re.findall(r'from "\./(.*)"', text)} - served
    assert sorted(served) == FILES


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
    assert sorted(response.json) == ["doubt", "notes", "pixels", "shows_garment"]
    assert response.json["doubt"] == ""
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


def test_pasted_rows_are_read_by_the_dialect_of_the_training_rows(own: Client) -> None:
    # As a spreadsheet copies them: tabs, a column that the model doesn't take, an empty row.
    text = "Id\troof\trooms\n1\tSlate\t2,5\n\n2\t\t?\n3\tNä\t0,1\n"
    response = own.post("/page/rows?model=houses&version=1", data=text.encode())
    assert response.json == {
        "names": ["Id", "roof", "rooms"],
        "cells": [["1", "Slate", "2,5"], ["2", "", "?"], ["3", "Nä", "0,1"]],
        # In the order of the columns that the models' list has.
        "rows": [[2.5, "Slate"], [None, ""], [0.1, "Nä"]],
    }


@pytest.mark.parametrize("header", ["", "feature 1\tfeature 2\n"])
def test_pasted_numbers_without_names_need_no_header(client: Client, header: str) -> None:
    text = f"{header}1\t-2.5\n3\t4\n"
    response = client.post("/page/rows?model=linear", data=text.encode())
    assert response.json is not None
    assert response.json["rows"] == [[1.0, -2.5], [3.0, 4.0]]
    assert response.json["names"] == ["feature 1", "feature 2"]


@pytest.mark.parametrize(
    ("query", "text", "status", "words"),
    [
        ("model=absent", "", 404, "Servable not found"),
        ("model=colours", "", 400, "model 'colours' takes no rows"),
        ("model=houses", "", 400, "the table is empty; its first row must name the columns"),
        ("model=houses", "rooms,roof", 400, "the first row names the columns, ['rooms', 'roof']"),
        ("model=houses", "roof\nTin", 400, "the table has no column 'rooms'"),
        ("model=houses", "rooms;roof\nmany;Tin", 400, "column 'rooms', row 2: 'many' is no number"),
        ("model=houses", "rooms;roof\n1;2;3", 400, "the table, row 2: 3 values for 2 columns"),
        ("model=houses", "rooms;roof\n" + "1;Tin\n" * (MAX_ROWS + 1), 400, "got 1001"),
    ],
)
def test_a_text_that_is_no_such_table_is_refused(
    own: Client, query: str, text: str, status: int, words: str
) -> None:
    response = own.post(f"/page/rows?{query}", data=text.encode())
    assert response.status_code == status
    assert response.json is not None
    assert words in response.json["error"]
    assert "/tmp" not in response.json["error"]


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
