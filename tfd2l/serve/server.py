"""Runs a WSGI application on waitress until a signal ends it.

Waitress receives and sends in one thread that never waits for a client, and runs the application in
others, so a slow client delays nobody. Its settings limit the connections and close silent ones.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["CONNECTIONS", "IDLE_S", "MAX_BODY_BYTES", "THREADS", "max_connections",
           "serve_until_signal"]  # fmt: skip

# Of a request; 1,024 images are up to 4 MiB of JSON.
MAX_BODY_BYTES = 2**23
# Requests that run at the same time; others wait.
THREADS = 8
# Seconds of silence after which a connection is closed.
IDLE_S = 30
# Open at the same time; further clients wait until one is closed. Each may take two files, its
# socket and a long body, and Linux allows a process 1,024 by default.
CONNECTIONS = 500
# Files beside those of connections: of waitress, and of a version that is loaded.
_OTHER_FILES = 16
_ACCEPT_PAUSE_S = 0.1


class PatientSocket(socket.socket):
    """A listening socket that waits a moment after it could not accept a connection.

    Without a free file the connection stays in the queue, and the socket readable: the server would
    try again at once, for ever.
    """

    def accept(self) -> tuple[socket.socket, object]:
        """Accept a connection; BlockingIOError, as if there were none, if no file is free."""
        try:
            return super().accept()
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM):
                raise
            time.sleep(_ACCEPT_PAUSE_S)
            raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN)) from error


def max_connections() -> int:
    """Return how many connections this process has files for, at most `CONNECTIONS`."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return CONNECTIONS
    free = limit - len([*Path("/dev/fd").iterdir()]) - _OTHER_FILES
    return max(1, min(CONNECTIONS, free // 2))


class _Parser(HTTPRequestParser):  # type: ignore[misc]  # waitress has no types
    def parse_header(self, header_plus: bytes) -> None:
        """Parse the head of a request; ParsingError, so 400, for a length that is no int."""
        try:
            super().parse_header(header_plus)
        except ValueError as error:
            # Python converts no number of thousands of digits.
            raise ParsingError("Content-Length is invalid") from error


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    parser_class = _Parser


def serve_until_signal(
    application: WSGIApplication,
    bound: socket.socket,
    *,
    name: str,
    ready: Callable[[], None],
    threads: int = THREADS,
    idle_s: int = IDLE_S,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> int:
    """Answer requests until SIGTERM or SIGINT, then finish the running ones for up to 5 seconds.

    Requests that wait for a thread by then get no answer. A second signal ends the process at once.

    Args:
        application: the WSGI application.
        bound: a listening socket; it is detached, and closed in the end.
        name: the value of the header `Server`.
        ready: called when the server answers.
        threads: requests that run at the same time; others wait.
        idle_s: seconds of silence after which a connection is closed.
        max_body_bytes: length of a request beyond which the application answers 413.

    Returns:
        The signal's number.
    """
    listening = PatientSocket(bound.family, bound.type, bound.proto, fileno=bound.detach())
    server = _server(application, listening, name, threads, idle_s, max_body_bytes)
    received: list[int] = []

    def end(number: int, frame: object) -> None:
        received.append(number)
        for each in (signal.SIGTERM, signal.SIGINT):
            signal.signal(each, signal.SIG_DFL)
        # New clients are refused, and another server can take the port.
        listening.close()
        raise SystemExit

    # `run` handles SystemExit itself: it waits for the running requests.
    with contextlib.suppress(SystemExit):
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, end)
        ready()
        server.run()
    server.close()
    return received[0]


def _server(
    application: WSGIApplication,
    listening: socket.socket,
    name: str,
    threads: int,
    idle_s: int,
    max_body_bytes: int,
) -> Any:
    """Make waitress' server for a listening socket."""
    server = create_server(
        application,
        sockets=[listening],
        threads=threads,
        # Waitress counts two files of its own.
        connection_limit=max_connections() + 2,
        channel_timeout=idle_s,
        # Seconds between two searches for silent connections.
        cleanup_interval=max(1, idle_s // 8),
        max_request_header_size=2**14,
        # Waitress refuses longer bodies and closes the connection, and a client that is still
        # sending may miss the answer. So shorter ones are read, and the application answers 413.
        max_request_body_size=4 * max_body_bytes,
        # select() takes file numbers below 1,024 only.
        asyncore_use_poll=True,
        ident=name,
    )
    server.channel_class = _Channel
    return server
