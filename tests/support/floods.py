"""Floods of requests and half-sent ones, against the development server as a process."""

from __future__ import annotations

import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import requests

REQUEST = b'{"instances": [[1, 1]]}'
# y = 2 a - 3.4 b + 4.2, as tests/support/served.py exports it.
ANSWER = 2 - 3.4 + 4.2
DEADLINE_S = 120
HALVES = (
    b"",
    b"POST / HT",
    b"GET /v1/models/linear HTTP/1.1\r\nHost: localhost\r\nX-Slow: ",
    b"POST /v1/models/linear:predict HTTP/1.1\r\nContent-Length: 100\r\n\r\n" + REQUEST[:5],
    b"POST /v1/models/linear:predict HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab",
)


@dataclass
class Target:
    """The server: its port, and the number of its process."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/models/linear:predict"

    def memory_mib(self) -> float:
        """Its resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)

    def ask(self) -> float:
        """Send a good request on a connection of its own; return the seconds until its answer."""
        begin = time.perf_counter()
        response = requests.post(self.url, data=REQUEST, timeout=DEADLINE_S)
        assert response.status_code == 200, response.text
        assert abs(response.json()["predictions"][0] - ANSWER) < 1e-6
        return time.perf_counter() - begin


@dataclass
class GoodClient:
    """Sends requests one after another during a flood; every answer must be right.

    Attributes:
        waits_s: seconds until each answer.
        faults: errors and wrong answers.
    """

    target: Target
    waits_s: list[float] = field(default_factory=list)
    faults: list[Exception] = field(default_factory=list)

    @contextmanager
    def asking(self) -> Iterator[GoodClient]:
        ended = threading.Event()

        def ask() -> None:
            while not (ended.is_set() and self.waits_s) and not self.faults:
                try:
                    self.waits_s.append(self.target.ask())
                except Exception as error:
                    self.faults.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        try:
            yield self
        finally:
            ended.set()
            thread.join()


def allow_many_files(number: int) -> None:
    """Let this process have so many connections at a time."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < number:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(number, hard), hard))


def half_sent(target: Target, number: int, stack: ExitStack) -> None:
    """Open connections with a request that is never finished; they close with the stack."""
    allow_many_files(number + 200)
    for index in range(number):
        connection = stack.enter_context(target.connect())
        connection.sendall(HALVES[index % len(HALVES)])


def flood(target: Target, number: int, threads: int = 16) -> None:
    """Send good requests as fast as possible, 50 at once on a connection, and read the answers."""
    request = (
        b"POST /v1/models/linear:predict HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n"
        % len(REQUEST)
    ) + REQUEST
    faults: list[object] = []

    def send(count: int) -> None:
        try:
            with target.connect() as connection:
                for begin in range(0, count, 50):
                    now = min(50, count - begin)
                    connection.sendall(request * now)
                    _read_answers(connection, now)
        except (OSError, AssertionError) as error:
            faults.append(error)

    share, rest = divmod(number, threads)
    senders = [threading.Thread(target=send, args=(share + (i < rest),)) for i in range(threads)]
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert not faults, faults


def _read_answers(connection: socket.socket, number: int) -> None:
    received = b""
    while received.count(b"HTTP/1.1 200 OK") < number or not received.rstrip().endswith(b"}"):
        part = connection.recv(1 << 16)
        assert part, "the server closed the connection"
        received += part
        assert received.count(b"HTTP/1.1 ") == received.count(b"HTTP/1.1 200 OK"), received[-500:]
