"""Connections that are held by clients which send slowly, and never go silent."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from tests.support.http_program import connect, error_of, get, read, serving
from tests.support.served import Server, until

BEGINNINGS = (
    b"POST / HTTP/1.1\r\nContent-Length: 1000\r\n\r\n",
    b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3E8\r\n",
    b"GET / HTTP/1.1\r\nX-Slow: ",
)


@contextmanager
def dribbling(server: Server, number: int) -> Iterator[list[socket.socket]]:
    """Connections with a request that goes on arriving, a byte every 0.2 s."""
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(number)]
        for index, connection in enumerate(slow):
            connection.sendall(BEGINNINGS[index % len(BEGINNINGS)])
        ended = threading.Event()

        def dribble() -> None:
            while not ended.wait(0.2):
                for connection in slow:
                    with suppress(OSError):
                        connection.send(b"x")

        thread = threading.Thread(target=dribble)
        thread.start()
        try:
            yield slow
        finally:
            ended.set()
            thread.join()


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[Server]:
    """A server that waits a second for a request."""
    with serving(tmp_path, idle_s=1) as server:
        yield server


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Server]:
    """A server that is patient, and has ten connections at most."""
    with serving(tmp_path, connections=10) as server:
        yield server


def test_a_request_that_dribbles_in_is_408_though_it_is_never_silent(impatient: Server) -> None:
    begin_s = time.monotonic()
    with dribbling(impatient, 9) as slow:
        for connection in slow:
            answer = read(connection)
            assert answer.split()[1] == b"408"
            assert "arrive within 1 s" in error_of(answer)
    # After the second that it has, and the one until the server looks again.
    assert 1 <= time.monotonic() - begin_s < 10


def test_a_long_request_has_more_time(impatient: Server) -> None:
    # 96 KiB are six seconds more, however they are cut.
    body = b"x" * 98_304
    with connect(impatient) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body))
        for start in range(0, len(body), 16_384):
            time.sleep(0.5)
            connection.sendall(body[start : start + 16_384])
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")


def test_more_dribblers_than_connections_keep_nobody_out(small: Server, tmp_path: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        running_one = pool.submit(get, small, "/wait")
        until((tmp_path / "wait").exists)
        with dribbling(small, 40):
            for _ in range(20):
                assert get(small) == 200
        # It waited for no client, so it was not dropped for one.
        (tmp_path / "go on").touch()
        assert running_one.result() == 200


def test_the_connection_that_goes_first_is_the_one_waited_for_the_longest(small: Server) -> None:
    with ExitStack() as stack:
        connections = [stack.enter_context(connect(small)) for _ in range(10)]
        for connection in connections:
            connection.sendall(BEGINNINGS[0])
            time.sleep(0.01)
        assert get(small) == 200
        assert connections[0].recv(10) == b""
        for connection in connections[1:]:
            connection.sendall(b"x" * 1000)
            assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
