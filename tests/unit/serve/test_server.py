"""The server over real sockets: its limits, slow clients, and its end after a signal."""

from __future__ import annotations

import contextlib
import resource
import signal
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.http_program import (
    LONG_ANSWER,
    MAX_BYTES,
    connect,
    get,
    read,
    serving,
)
from tests.support.served import DEADLINE_S, Server, until
from tfd2l.serve.server import PatientSocket, max_connections

HALF = b"POST / HTTP/1.1\r\nContent-Length: 100\r\n\r\nhalf"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with serving(tmp_path) as server:
        yield server


def refuses(server: Server) -> bool:
    """Return True if nobody can connect."""
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        # Connected at the moment at which the server stopped listening.
        return False
    return False


def test_requests_are_answered_and_the_server_names_itself(server: Server) -> None:
    response = requests.post(server.url, data=b"x" * MAX_BYTES, timeout=DEADLINE_S)
    assert response.text == str(MAX_BYTES)
    assert response.headers["Server"] == "a test"


def test_bodies_up_to_four_times_the_limit_reach_the_application_and_longer_ones_are_413(
    server: Server,
) -> None:
    # So that it can answer 413 itself.
    body = b"x" * (4 * MAX_BYTES - 1)
    assert requests.post(server.url, data=body, timeout=DEADLINE_S).text == str(len(body))
    head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (4 * MAX_BYTES)
    with connect(server) as connection:
        connection.sendall(head)
        assert read(connection).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("value", [b"9" * 5000, b"-1", b"1_0", b"0x10", b""])
def test_a_length_that_is_no_number_is_400(server: Server, value: bytes) -> None:
    with connect(server) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: " + value + b"\r\n\r\n")
        assert connection.recv(12) == b"HTTP/1.1 400"
    assert get(server) == 200
    assert "exception" not in server.log


def send_halves(server: Server, number: int, stack: ExitStack) -> list[socket.socket]:
    """Connections with requests that are never finished; they close with the stack."""
    connections = [stack.enter_context(connect(server)) for _ in range(number)]
    for connection in connections:
        connection.sendall(HALF)
    return connections


@pytest.mark.slow
def test_a_connection_is_closed_after_its_silence(tmp_path: Path) -> None:
    with serving(tmp_path, idle_s=1) as impatient, ExitStack() as stack:
        for connection in send_halves(impatient, 10, stack):
            assert read(connection) == b""
        assert get(impatient) == 200


@pytest.mark.slow
def test_beyond_the_limit_of_connections_a_client_waits_until_silent_ones_are_closed(
    tmp_path: Path,
) -> None:
    with serving(tmp_path, idle_s=2, connections=10) as small, ExitStack() as stack:
        begin_s = time.monotonic()
        send_halves(small, 20, stack)
        assert get(small) == 200
        # The silence that is allowed, with the second to which the server rounds it.
        assert time.monotonic() - begin_s > 1


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_after_the_running_requests(
    server: Server, tmp_path: Path, number: signal.Signals
) -> None:
    def length(path: str) -> int:
        return len(requests.get(server.url + path, timeout=DEADLINE_S).content)

    with ThreadPoolExecutor(2) as pool, connect(server) as half:
        half.sendall(HALF)
        running = [pool.submit(length, path) for path in ("/wait1", "/wait2long")]
        until(lambda: len([*tmp_path.glob("wait*")]) == 2)
        server.process.send_signal(number)
        until(lambda: refuses(server))
        (tmp_path / "finish").touch()
        assert [future.result() for future in running] == [1, LONG_ANSWER]
    assert server.process.wait(DEADLINE_S) == number
    assert "Canceling" not in server.log


def test_requests_that_wait_for_a_thread_at_the_signal_are_not_answered(
    server: Server, tmp_path: Path
) -> None:
    with ThreadPoolExecutor(2) as pool, connect(server) as third:
        running = [pool.submit(get, server, f"/wait{number}") for number in range(2)]
        until(lambda: len([*tmp_path.glob("wait*")]) == 2)
        # A thread that just started may have made a request wait, too.
        queued = server.log.count("Task queue depth")
        third.sendall(b"GET / HTTP/1.1\r\n\r\n")
        until(lambda: server.log.count("Task queue depth") > queued)
        server.process.terminate()
        until(lambda: refuses(server))
        (tmp_path / "finish").touch()
        assert [future.result() for future in running] == [200] * 2
        assert third.recv(10) == b""
    assert server.process.wait(DEADLINE_S) == signal.SIGTERM
    assert "Canceling 1 pending task(s)" in server.log


def test_an_idle_server_ends_at_once_without_a_word(server: Server) -> None:
    with requests.Session() as session:
        session.get(server.url, timeout=DEADLINE_S)
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == signal.SIGTERM
    assert server.log == ""


def test_a_second_signal_does_not_wait(server: Server, tmp_path: Path) -> None:
    def wait() -> None:
        with contextlib.suppress(requests.ConnectionError):
            get(server, "/wait")

    thread = threading.Thread(target=wait)
    thread.start()
    until((tmp_path / "wait").exists)
    server.process.terminate()
    until(lambda: refuses(server))
    server.process.terminate()
    assert server.process.wait(DEADLINE_S) == -signal.SIGTERM
    thread.join()


def test_without_a_free_file_a_connection_waits_in_the_queue_and_the_server_a_moment() -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    with socket.create_server(("127.0.0.1", 0)) as bound:
        address = bound.getsockname()
        listening = PatientSocket(bound.family, bound.type, bound.proto, fileno=bound.detach())
    with listening, socket.create_connection(address):
        begin_s = time.monotonic()
        resource.setrlimit(resource.RLIMIT_NOFILE, (3, before[1]))
        try:
            with pytest.raises(BlockingIOError):
                listening.accept()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, before)
        assert time.monotonic() - begin_s > 0.05
        connection, _ = listening.accept()
        connection.close()


def test_the_limit_on_connections_follows_the_limit_on_files(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used = len([*Path("/dev/fd").iterdir()])
    # A connection takes two files, and 16 are for others.
    for limit, expected in (
        (10_000, 500), (used + 16 + 60, 30), (16, 1), (resource.RLIM_INFINITY, 500),
    ):  # fmt: skip
        monkeypatch.setattr(resource, "getrlimit", lambda _, limit=limit: (limit, limit))
        assert abs(max_connections() - expected) <= (expected == 30)
