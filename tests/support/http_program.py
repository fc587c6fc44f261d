"""`tfd2l.serve.server` as a process, with an application that waits until it may answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from pathlib import Path

import requests

from tests.support.served import DEADLINE_S, Server, running

MAX_BYTES = 100_000
# Longer than what the system keeps for a connection by default.
LONG_ANSWER = 1_000_000
PROGRAM = f"""
import socket, sys, time
from pathlib import Path
from tfd2l.serve import server

folder = Path(sys.argv[1])

def application(environ, start_response):
    length = len(environ["wsgi.input"].read())
    path = environ["PATH_INFO"]
    if path.startswith("/wait"):
        (folder / path[1:]).touch()
        while not (folder / "finish").exists():
            time.sleep(0.01)
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"x" * {LONG_ANSWER} if path.endswith("long") else str(length).encode()]

server.CONNECTIONS = int(sys.argv[3])
bound = socket.create_server(("127.0.0.1", 0))
url = f"http://127.0.0.1:{{bound.getsockname()[1]}}"
sys.exit(server.serve_until_signal(
    application, bound, name="a test", ready=lambda: print(url, flush=True),
    threads=2, idle_s=int(sys.argv[2]), max_body_bytes={MAX_BYTES},
))
"""


@contextlib.contextmanager
def serving(folder: Path, *, idle_s: int = 60, connections: int = 500) -> Iterator[Server]:
    """The server; paths that begin with /wait are answered when `folder` has a file 'finish'."""
    limits = [str(idle_s), str(connections)]
    with running(["-c", PROGRAM, str(folder), *limits], folder / "log") as server:
        yield server


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), DEADLINE_S)


def read(connection: socket.socket) -> bytes:
    """Everything until the server closes."""
    return b"".join(iter(lambda: connection.recv(65536), b""))


def get(server: Server, path: str = "/") -> int:
    return requests.get(server.url + path, timeout=DEADLINE_S).status_code
