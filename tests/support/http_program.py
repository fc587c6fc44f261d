"""A server of our own with an application that waits when told to, as a process."""

from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.support.served import DEADLINE_S, Server, running

MOST_BYTES = 100_000
PROGRAM = f"""
import sys, time
from pathlib import Path
from tfd2l.serve.server import Limits, bind, serve_until_signal

folder = Path(sys.argv[1])

def application(environ, start_response):
    length = len(environ["wsgi.input"].read())
    if environ["PATH_INFO"].startswith("/wait"):
        (folder / environ["PATH_INFO"][1:]).touch()
        while not (folder / "go on").exists():
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [str(length).encode()]

bound = bind("127.0.0.1", 0)
limits = Limits(
    threads=2,
    body_bytes={MOST_BYTES},
    header_bytes=4000,
    idle_s=int(sys.argv[2]),
    connections=int(sys.argv[3]),
)
url = f"http://127.0.0.1:{{bound.getsockname()[1]}}"
number = serve_until_signal(
    application, bound, limits, name="a test", ready=lambda: print(url, flush=True)
)
sys.exit(number)
"""


@contextlib.contextmanager
def serving(folder: Path, *, idle_s: int = 60, connections: int = 500) -> Iterator[Server]:
    """The server; paths that begin with /wait are answered when `folder` has a file 'go on'."""
    limits = [str(idle_s), str(connections)]
    with running(["-c", PROGRAM, str(folder), *limits], folder / "log") as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), DEADLINE_S)


def read(connection: socket.socket) -> bytes:
    """All until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def get(server: Server, path: str = "/") -> int:
    return requests.get(server.url + path, timeout=DEADLINE_S).status_code


def error_of(answer: bytes) -> str:
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Type: application/json" in head
    assert b"Server: a test" in head
    document = json.loads(body)
    assert [*document] == ["error"]
    return str(document["error"])
