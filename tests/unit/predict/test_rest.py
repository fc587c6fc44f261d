"""The way to a server and back, over real sockets: what fails, what is tried again, what is not."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

import pytest

from tests.support.rest_server import Canned, RestServer, unused_port
from tfd2l.predict.answers import ServingError
from tfd2l.predict.rest import Server

OK = Canned(200, b'{"all": "right"}')


@pytest.fixture
def server() -> Iterator[RestServer]:
    with RestServer() as running:
        yield running


def ask(server: RestServer | str, *, timeout_s: float = 30, retries: int = 3) -> bytes:
    url = server if isinstance(server, str) else server.url
    connection = Server(url, timeout_s=timeout_s, retries=retries)
    try:
        return connection.ask("POST", "/v1/models/mlp:predict", {"inputs": [1]}).content
    finally:
        connection.close()


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_server_that_is_busy_twice_is_asked_a_third_time(server: RestServer, status: int) -> None:
    server.canned += [Canned(status, b"busy"), Canned(status, b"busy"), OK]
    assert ask(server) == OK.body
    assert server.requests == [("POST", "/v1/models/mlp:predict")] * 3
    assert server.bodies == [b'{"inputs":[1]}'] * 3


def test_what_a_busy_server_goes_on_saying_is_not_waited_for(server: RestServer) -> None:
    server.canned += [Canned(503, b"busy", drip=True), OK]
    assert ask(server) == OK.body


def test_a_connection_that_breaks_is_made_again(server: RestServer) -> None:
    server.canned += ["drop", OK]
    assert ask(server) == OK.body
    assert len(server.requests) == 2


def test_after_the_last_try_the_answer_is_what_the_server_said(server: RestServer) -> None:
    server.canned += [Canned(503, b"busy")] * 2
    assert ask(server, retries=1) == b"busy"
    assert len(server.requests) == 2


def test_a_long_pause_that_the_server_asks_for_is_not_made(server: RestServer) -> None:
    server.canned += [Canned(503, b"", {"Retry-After": "100000"}), OK]
    assert ask(server) == OK.body


@pytest.mark.parametrize("status", [400, 404, 500])
def test_other_errors_are_not_tried_again(server: RestServer, status: int) -> None:
    server.canned.append(Canned(status, b"no"))
    assert ask(server) == b"no"
    assert len(server.requests) == 1


def test_where_nothing_listens_it_says_how_to_start_a_server() -> None:
    port = unused_port()
    with pytest.raises(
        ServingError,
        match=rf"no server answers at http://127\.0\.0\.1:{port}: .*refused.*"
        r"python -m tfd2l\.serve savedmodels/",
    ):
        ask(f"http://127.0.0.1:{port}", retries=1)


def test_a_name_that_no_machine_has_is_no_server_either() -> None:
    with pytest.raises(ServingError, match="no server answers at http://no-such-host.invalid"):
        ask("http://no-such-host.invalid:8501", retries=0)


def test_a_server_that_hangs_is_left_after_one_try(server: RestServer) -> None:
    server.canned.append("hang")
    with pytest.raises(ServingError, match=r"mlp:predict did not answer within timeout_s = 0\.3"):
        ask(server, timeout_s=0.3)
    assert len(server.requests) == 1


def test_a_server_that_accepts_nothing_is_left_after_one_try() -> None:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        port = listening.getsockname()[1]
        with pytest.raises(ServingError, match="did not answer within"):
            ask(f"http://127.0.0.1:{port}", timeout_s=0.2)


def test_an_answer_that_drips_for_ever_is_left(server: RestServer) -> None:
    server.canned.append(Canned(drip=True))
    with pytest.raises(ServingError, match="did not answer within"):
        ask(server, timeout_s=0.3)


@pytest.mark.parametrize("chunked", [False, True])
def test_an_answer_that_is_too_long_is_left(server: RestServer, chunked: bool) -> None:
    body = b"[" + b" " * (17 * 2**20)
    if chunked:
        chunks = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        server.canned.append(Canned(200, chunks, {"Transfer-Encoding": "chunked"}))
    else:
        server.canned.append(Canned(200, body))
    with pytest.raises(ServingError, match="at most 16,777,216 bytes.*smaller batch_size"):
        ask(server)


def test_chunks_are_put_together(server: RestServer) -> None:
    chunks = b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    server.canned.append(Canned(200, chunks, {"Transfer-Encoding": "chunked"}))
    assert ask(server) == b"abcde"


def test_an_answer_that_breaks_off_is_no_answer(server: RestServer) -> None:
    server.canned.append(Canned(200, b"half", {"Content-Length": "100"}))
    with pytest.raises(ServingError, match="broke off"):
        ask(server)


def test_redirects_are_not_followed(server: RestServer) -> None:
    with RestServer() as other:
        location = f"{other.url}/v1/models/mlp:predict"
        server.canned.append(Canned(307, b"", {"Location": location}))
        connection = Server(server.url, timeout_s=30, retries=3)
        reply = connection.ask("POST", "/v1/models/mlp:predict", {})
        connection.close()
        assert (reply.status, reply.location) == (307, location)
        assert other.requests == []


def test_a_proxy_of_the_environment_is_not_asked_about_this_machine(
    server: RestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{unused_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    server.canned.append(OK)
    assert json.loads(ask(server)) == {"all": "right"}
    with pytest.raises(ServingError, match="proxy"):
        ask("http://no-such-host.invalid", retries=0)


def test_connections_are_kept_between_requests(server: RestServer) -> None:
    connection = Server(server.url, timeout_s=30, retries=0)
    for _ in range(3):
        connection.ask("GET", "/v1/models/mlp")
    connection.close()
    assert len(server.requests) == 3
    assert len(server.connections) == 1


@pytest.mark.parametrize(
    "url",
    ["", "127.0.0.1:8501", "ftp://host", "http://", "http://host:99999", "http://[::1",
     "http://host/?q=1", "http://user:secret@host", "http://host/#here", "http://host:x"],
)  # fmt: skip
def test_what_is_no_address_of_a_server_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url must be a server's address"):
        Server(url, timeout_s=1, retries=0)


@pytest.mark.parametrize(
    ("timeout_s", "retries"), [(0, 1), (-1, 1), (float("inf"), 1), (float("nan"), 1), (1, -1)]
)
def test_times_and_tries_out_of_range_are_refused(timeout_s: float, retries: int) -> None:
    with pytest.raises(ValueError, match="(timeout_s|retries) must be .*; got "):
        Server("http://host", timeout_s=timeout_s, retries=retries)


def test_what_stands_before_the_paths_is_kept() -> None:
    assert Server("https://host/tf/", timeout_s=1, retries=0).url == "https://host/tf"
