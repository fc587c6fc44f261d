"""Rows of tables and images in colour over REST, by TensorFlow Serving's rules and our clients."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from werkzeug.serving import make_server
from werkzeug.test import Client

from tests.support.raw_models import (
    COLOUR_SHAPE,
    COLOURS,
    ROOFS,
    save_files,
    save_prices,
    save_roofs,
)
from tests.support.served import loaded
from tfd2l.predict.answers import NumberPredictions, Predictions, ServingError
from tfd2l.predict.rest_client import Client as RestClient
from tfd2l.serve.app import Application


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Application:
    base = tmp_path_factory.mktemp("models")
    for name, save in (("houses", save_prices), ("roofs", save_roofs), ("colours", save_files)):
        save(base / name / "1")
    return Application(loaded(base))


@pytest.fixture
def client(application: Application) -> Client:
    return Client(application)


@pytest.fixture(scope="module")
def url(application: Application) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, application)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def post(client: Client, target: str, body: str | dict[str, Any]) -> Any:
    data = body if isinstance(body, str) else json.dumps(body)
    response = client.post(f"/v1/models/{target}", data=data)
    return (response.status_code, json.loads(response.text))


def test_rows_and_columns_of_a_table_have_its_names(client: Client) -> None:
    # Whole numbers stand for floats, and NaN for a missing one: 10 * 2 + 5, 10 * 3.
    rows = '{"instances": [{"rooms": 2, "roof": "Slate"}, {"roof": "", "rooms": NaN}]}'
    assert post(client, "houses:predict", rows) == (200, {"predictions": [25.0, 30.0]})
    columns = '{"inputs": {"rooms": [2, NaN], "roof": ["Slate", {"b64": ""}], "more": null}}'
    assert post(client, "houses:predict", columns) == (200, {"outputs": [25.0, 30.0]})
    status, answer = post(client, "roofs:predict", rows)
    assert status == 200
    assert [row["label"] for row in answer["predictions"]] == ["flat", "flat"]
    assert sorted(answer["predictions"][0]) == ["class_id", "label", "logits", "probabilities"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"instances": [{"rooms": 2}]}, "keys ['roof', 'rooms']"),
        ({"instances": [{"rooms": 2, "roof": "", "Id": 1}]}, "keys ['roof', 'rooms']"),
        ({"instances": [[2, "Slate"]]}, "keys ['roof', 'rooms']"),
        ({"inputs": {"rooms": [2]}}, "keys ['roof', 'rooms']"),
        ({"instances": [{"rooms": None, "roof": ""}]}, "None; a number that is missing is NaN"),
        ({"instances": [{"rooms": "2", "roof": ""}]}, "expected type: float32"),
        ({"instances": [{"rooms": 2, "roof": None}]}, "expected type: string"),
        ({"instances": [{"rooms": 2, "roof": 3}]}, "expected type: string"),
    ],
)
def test_rows_of_another_form_are_400(client: Client, body: Any, words: str) -> None:
    status, answer = post(client, "houses:predict", body)
    assert status == 400
    assert words in answer["error"]


def test_examples_have_a_feature_for_each_column_and_may_leave_it_out(client: Client) -> None:
    examples = [{"rooms": 2.0, "roof": "Slate"}, {"roof": ["tin"]}, {"rooms": [1.0]}, {}]
    body: dict[str, Any] = {"signature_name": "regress", "examples": examples}
    assert post(client, "houses:regress", body) == (200, {"results": [25.0, 30.0, 10.0, 30.0]})
    body = {"signature_name": "classify", "examples": [{"rooms": 9.0}], "context": {"roof": "tin"}}
    status, answer = post(client, "roofs:classify", body)
    assert (status, [name for name, _ in answer["results"][0]]) == (200, ["steep", "flat"])
    # As in TensorFlow Serving, 2 is an integer feature, and the model's is of floats.
    body = {"signature_name": "regress", "examples": [{"rooms": 2}]}
    status, answer = post(client, "houses:regress", body)
    assert status == 400
    assert "expected type: float" in answer["error"]


def test_encoded_files_are_sent_as_base64(client: Client) -> None:
    pixels = np.zeros((9, 5, 3), np.uint8)
    pixels[..., 2] = 250
    text = base64.b64encode(tf.io.encode_png(pixels).numpy()).decode()
    signature = {"signature_name": "predict_bytes"}
    for rows in ([{"b64": text}], [{"image_bytes": {"b64": text}}]):
        status, answer = post(client, "colours:predict", {**signature, "instances": rows})
        assert (status, [row["label"] for row in answer["predictions"]]) == (200, ["blue"])
    for columns in ([{"b64": text}], {"image_bytes": [{"b64": text}]}):
        status, answer = post(client, "colours:predict", {**signature, "inputs": columns})
        assert (status, answer["outputs"]["label"]) == (200, ["blue"])
    assert post(client, "colours:predict", {**signature, "instances": ["no image"]})[0] == 400


def test_the_rest_client_takes_rows_as_the_local_one_does(url: str) -> None:
    rows: list[dict[str, Any]] = [{"rooms": 2, "roof": "Slate"}, {"rooms": None, "roof": None}]
    with RestClient(url, "houses", batch_size=1) as houses:
        found = houses.predict(rows)
        assert isinstance(found, NumberPredictions)
        assert found.prediction.tolist() == [25, 30]
        with pytest.raises(ServingError, match="row 0: 'two' is no number"):
            houses.predict([{"rooms": "two", "roof": ""}])
    with RestClient(url, "roofs") as roofs:
        predicted, classified = roofs.predict(rows), roofs.classify(rows)
    assert isinstance(predicted, Predictions)
    # The logits are 30 and 25, then 30 and 30.
    share = 1 / (1 + np.exp(-5.0))
    np.testing.assert_allclose(predicted.probabilities[:, 0], [share, 0.5], rtol=1e-6)
    assert classified.classes.tolist() == [[*ROOFS], [*ROOFS]]
    np.testing.assert_allclose(classified.scores[0], [share, 1 - share], rtol=1e-5)


def test_the_rest_client_sends_images_in_colour(url: str) -> None:
    images = np.zeros((3, *COLOUR_SHAPE), np.uint8)
    for index, channel in enumerate((2, 1, 0)):
        images[index, ..., channel] = 255
    with RestClient(url, "colours", batch_size=2) as client:
        assert client.predict(images).label.tolist() == [*COLOURS]
        assert client.classify(images).classes[:, 0].tolist() == [*COLOURS]


def test_the_command_answers_a_table_from_a_server(
    url: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from tfd2l.predict.command import main

    path = tmp_path / "rows.csv"
    path.write_text("rooms,roof\n2,Slate\n,tin\n")
    assert main([str(path), "--url", url, "--model", "houses"]) == 0
    assert capsys.readouterr().out == "rooms,roof,prediction\n2,Slate,25.0\n,tin,30.0\n"
    assert main([str(path), "--url", url, "--model", "roofs"]) == 0
    header = capsys.readouterr().out.splitlines()[0]
    assert header == "rooms,roof,label,probability_flat,probability_steep"
