"""The WSGI application in process: HTTP methods, bodies, errors, and the limit on large bodies."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from werkzeug.test import Client, TestResponse

from tests.support.served import DEADLINE_S, client_of, export_models, loaded
from tfd2l.serve import app
from tfd2l.serve.server import Limits

MAX_BYTES = 100_000


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    with loaded(export_models(tmp_path_factory.mktemp("models"))) as models:
        yield client_of(models, max_bytes=MAX_BYTES)


def error_of(response: TestResponse) -> str:
    assert response.content_type == "application/json"
    document = json.loads(response.get_data())
    assert [*document] == ["error"]
    assert isinstance(document["error"], str)
    return str(document["error"])


def test_an_answer_is_json_with_status_200(client: Client) -> None:
    response = client.post("/v1/models/linear:predict", json={"instances": [[1, 1]]})
    assert response.status_code == 200
    assert response.content_type == "application/json"
    assert response.json == {"predictions": [pytest.approx(2.8)]}


def test_the_content_type_of_a_request_does_not_matter(client: Client) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", ""):
        response = client.post(
            "/v1/models/linear:predict",
            data=b'{"instances": [[1, 1]]}',
            content_type=content_type,
        )
        assert response.status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status", "words"),
    [
        ("POST", "/v1/models/none:predict", 404, "Servable not found"),
        ("GET", "/v1/foo", 400, "Malformed request: GET /v1/foo"),
        ("GET", "/v1/models/a%2Fb?x=%20", 404, "versions of model a/b?x= "),
        ("PATCH", "/v1/models/linear", 400, "Malformed request: PATCH"),
        ("TRACE", "/v1/models/linear", 501, "the method must be one of"),
        ("BREW", "/", 501, "the method must be one of"),
        ("GET", "/V1/foo", 400, "Malformed request: GET /V1/foo"),
        ("GET", "/v1", 404, "nothing is at '/v1'"),
        ("GET", "/v2/models", 404, "nothing is at '/v2/models'"),
        ("GET", "/monitoring/prometheus/metrics", 404, "nothing is at"),
        ("POST", "/page/models", 405, "not allowed"),
    ],
)
def test_errors_have_the_status_and_a_json_text(
    client: Client, method: str, path: str, status: int, words: str
) -> None:
    response = client.open(path, method=method, data=b'{"instances": [[1, 1]]}')
    assert response.status_code == status
    assert words in error_of(response)


def test_a_head_request_has_the_status_alone(client: Client) -> None:
    response = client.head("/v1/models/linear")
    assert response.status_code == 400
    assert response.get_data() == b""


def test_a_request_may_name_a_whole_url(client: Client) -> None:
    for target in ("http://host/v1/models/linear", "http://host/v1/models/linear/metadata"):
        response = client.get("/", environ_overrides={"REQUEST_URI": target})
        assert response.status_code == 200
    for target in ("http://[/v1/models/linear", "*", ""):
        response = client.get("/", environ_overrides={"REQUEST_URI": target, "PATH_INFO": "*"})
        assert response.status_code in (400, 404)
        assert error_of(response)


def test_an_overlong_body_is_413(client: Client) -> None:
    body = b'{"instances": [[1, 1]]}'
    exact = body + b" " * (MAX_BYTES - len(body))
    assert client.post("/v1/models/linear:predict", data=exact).status_code == 200
    response = client.post("/v1/models/linear:predict", data=exact + b" ")
    assert response.status_code == 413
    assert f"at most {MAX_BYTES} bytes" in error_of(response)


def test_a_body_may_be_packed_with_gzip_but_not_grow_beyond_the_limit(client: Client) -> None:
    def post(body: bytes) -> TestResponse:
        headers = {"Content-Encoding": "gzip"}
        return client.post("/v1/models/linear:predict", data=body, headers=headers)

    body = b'{"instances": [[1, 1]]}'
    assert post(gzip.compress(body)).status_code == 200
    response = post(gzip.compress(body + b" " * MAX_BYTES))
    assert response.status_code == 413
    assert error_of(response)
    for broken in (body, gzip.compress(body)[:-3], b""):
        response = post(broken)
        assert response.status_code == 400
        assert "document is empty" in error_of(response)


def test_a_bug_is_logged_and_answered_with_500(
    client: Client, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*arguments: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(app, "answer", fail)
    response = client.get("/v1/models/linear")
    assert response.status_code == 500
    assert "log" in error_of(response)
    [record] = caplog.records
    assert record.exc_info is not None


def test_one_large_body_is_parsed_at_a_time_and_small_ones_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    running, seen, lock = set[int](), list[int](), threading.Lock()
    # Two small requests and a running large one meet here; without one of them it times out.
    together = threading.Barrier(3)

    def record(models: Any, method: str, target: str, body: bytes) -> bytes:
        if len(body) <= 2**20:
            together.wait(DEADLINE_S)
            return b"{}"
        with lock:
            running.add(threading.get_ident())
            seen.append(len(running))
        if len(seen) == 1:
            together.wait(DEADLINE_S)
        time.sleep(0.02)
        with lock:
            running.remove(threading.get_ident())
        return b"{}"

    monkeypatch.setattr(app, "answer", record)
    models: Any = None
    client = client_of(models, max_bytes=2**22)

    def post(length: int) -> int:
        return client.post("/v1/models/linear:predict", data=b" " * length).status_code

    with ThreadPoolExecutor(7) as pool:
        assert [*pool.map(post, [2**20 + 1] * 5 + [2**20, 1])] == [200] * 7
    assert seen == [1] * 5


def test_as_many_images_as_the_server_takes_fit_into_a_request() -> None:
    # The widest that pixels get, with the spaces that json.dumps puts between.
    body = json.dumps({"instances": [[[255] * 28] * 28] * 1024})
    assert len(body) < Limits.body_bytes / 2
