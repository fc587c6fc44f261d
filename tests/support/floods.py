"""Sends half requests and good ones to the development server."""

from __future__ import annotations

import resource
import socket
from contextlib import ExitStack
from dataclasses import dataclass
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
    """A server, by its port and the number of its process."""

    port: int
    pid: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1/models/linear:predict"

    def memory_mib(self) -> float:
        """Return the process's resident memory."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        [line] = [line for line in status.splitlines() if line.startswith("VmRSS")]
        return int(line.split()[1]) / 1024

    def query(self) -> None:
        """Send a good request on a connection of its own, and check the answer."""
        response = requests.post(self.url, data=REQUEST, timeout=DEADLINE_S)
        assert response.status_code == 200, response.text
        assert abs(response.json()["predictions"][0] - ANSWER) < 1e-6

    def send_halves(self, number: int, stack: ExitStack) -> None:
        """Open connections with requests that are never finished; the stack closes them."""
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(number + 200, hard)), hard))
        for index in range(number):
            connection = socket.create_connection(("127.0.0.1", self.port), DEADLINE_S)
            stack.enter_context(connection).sendall(HALVES[index % len(HALVES)])
