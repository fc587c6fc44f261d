"""The server over real sockets, with an application that waits when told to."""

from __future__ import annotations

import json
import signal
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from http.client import HTTPConnection
from pathlib import Path

import pytest
import requests

from tests.support.http_program import MOST_BYTES, connect, error_of, get, read, serving
from tests.support.served import DEADLINE_S, Server, until
from tfd2l.serve.server import bind

# What waitress logs.
QUEUED = "Task queue depth is 1\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with serving(folder) as server:
        yield server


def exchange(server: Server, text: bytes) -> bytes:
    """Send something, and read until the server closes."""
    with connect(server) as connection:
        connection.sendall(text)
        return read(connection)


def test_requests_are_answered_and_the_server_names_itself(server: Server) -> None:
    response = requests.post(server.url, data=b"x" * MOST_BYTES, timeout=DEADLINE_S)
    assert response.text == str(MOST_BYTES)
    assert response.headers["Server"] == "a test"


def test_an_overlong_body_is_413_even_for_a_client_that_sends_it_all_first(
    server: Server,
) -> None:
    # The last is far more than what the system keeps for either side.
    for size in (MOST_BYTES + 1, 3_000_000, 30_000_000):
        for _ in range(5):
            connection = HTTPConnection("127.0.0.1", server.port, timeout=DEADLINE_S)
            connection.request("POST", "/", b"x" * size)
            response = connection.getresponse()
            assert response.status == 413
            assert f"at most {MOST_BYTES} bytes" in json.loads(response.read())["error"]
            connection.close()


def test_an_overlong_body_in_chunks_is_413(server: Server) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(1000):
            yield b"x" * 10_000

    response = requests.post(server.url, data=chunks(), timeout=DEADLINE_S)
    assert response.status_code == 413
    assert response.json()["error"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        (b"nonsense\r\n\r\n", b"400"),
        (b"GET / HTTP/1.1\r\nNo colon\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", b"400"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
        (b"GET / HTTP/1.1\r\nX: " + b"x" * 5000 + b"\r\n\r\n", b"431"),
        (b"GET /" + b"x" * 5000, b"431"),
    ],
)
def test_what_is_no_proper_http_gets_a_json_error(
    server: Server, text: bytes, status: bytes
) -> None:
    answer = exchange(server, text)
    assert answer.split()[1] == status
    assert error_of(answer)
    assert get(server) == 200


def test_half_sent_requests_hold_up_nobody_and_are_closed_in_the_end(folder: Path) -> None:
    parts = [
        b"",
        b"POST / HT",
        b"POST / HTTP/1.1\r\nContent-Le",
        b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
    ]
    with serving(folder, idle_s=1) as impatient, ExitStack() as stack:
        slow = [stack.enter_context(connect(impatient)) for _ in range(100)]
        for number, connection in enumerate(slow):
            connection.sendall(parts[number % len(parts)])
        for _ in range(20):
            assert get(impatient) == 200
        for number, connection in enumerate(slow):
            answer = read(connection)
            assert answer == b"" if number % len(parts) == 0 else b" 408 " in answer[:20]
        assert get(impatient) == 200


def test_more_requests_than_threads_wait_for_each_other(server: Server, folder: Path) -> None:
    with ThreadPoolExecutor(6) as pool:
        waiting = [pool.submit(get, server, f"/wait{number}") for number in range(6)]
        until(lambda: len([*folder.glob("wait*")]) == 2)
        (folder / "go on").touch()
        assert [future.result() for future in waiting] == [200] * 6


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_running_requests(
    server: Server, folder: Path, number: signal.Signals
) -> None:
    with ThreadPoolExecutor(3) as pool, connect(server) as idle, connect(server) as half:
        half.sendall(b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf")
        # Two are running, and the third waits for a thread.
        waiting = [pool.submit(get, server, f"/wait{number}") for number in range(3)]
        until(lambda: len([*folder.glob("wait*")]) == 2 and server.log == QUEUED)
        server.process.send_signal(number)
        assert idle.recv(10) == b""
        assert half.recv(10) == b""
        with pytest.raises(ConnectionRefusedError):
            connect(server)
        (folder / "go on").touch()
        assert [future.result() for future in waiting] == [200] * 3
    assert server.process.wait(DEADLINE_S) == number
    assert server.log == QUEUED


def test_an_idle_server_ends_at_once(server: Server) -> None:
    with requests.Session() as session:
        session.get(server.url, timeout=DEADLINE_S)
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == signal.SIGTERM
    assert server.log == ""


def test_a_second_signal_does_not_wait(server: Server, folder: Path) -> None:
    def wait() -> None:
        with pytest.raises(requests.ConnectionError):
            get(server, "/wait")

    thread = threading.Thread(target=wait)
    thread.start()
    until((folder / "wait").exists)
    server.process.terminate()

    def refused() -> bool:
        try:
            connect(server).close()
        except ConnectionRefusedError:
            return True
        except ConnectionResetError:
            # Connected in the moment in which the server stopped listening.
            return False
        return False

    until(refused)
    server.process.terminate()
    assert server.process.wait(DEADLINE_S) == -signal.SIGTERM
    thread.join()


def test_an_address_that_is_taken_or_not_here_can_not_be_bound() -> None:
    with bind("127.0.0.1", 0) as first:
        first.listen()
        with pytest.raises(OSError, match="in use"):
            bind("127.0.0.1", first.getsockname()[1])
    # Set aside for documentation, so nobody's.
    with pytest.raises(OSError, match="assign"):
        bind("192.0.2.1", 0)
    with pytest.raises(socket.gaierror):
        bind("no host.invalid", 0)


def test_localhost_is_ipv4() -> None:
    with bind("localhost", 0) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
