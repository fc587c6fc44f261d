"""A WSGI application on waitress: its limits, JSON errors, and an end that finishes requests.

Waitress receives and sends in one thread without waiting for any client, and has others for the
application alone; so clients that send slowly hold up nobody.
"""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import create_server
from waitress.task import ErrorTask
from waitress.wasyncore import dispatcher, loop

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Limits", "bind", "serve_until_signal"]

# How long requests that are running may go on after a signal.
_LAST_REQUESTS_S = 30.0
# How much of a refused request is still read before the connection is closed, for a client that
# sends all of it before it reads the answer.
_LINGER_BYTES = 2**28


@dataclass(frozen=True)
class Limits:
    """What clients may ask of the server.

    Attributes:
        threads: requests that run at the same time; others wait.
        body_bytes: of a request.
        header_bytes: of a request.
        idle_s: seconds after which a connection is closed on which nothing happens.
        connections: at the same time; further ones wait.
    """

    threads: int = 8
    body_bytes: int = 2**25
    header_bytes: int = 2**14
    idle_s: int = 30
    connections: int = 1000


def bind(host: str, port: int) -> socket.socket:
    """A socket at this address that does not listen yet.

    Args:
        host: name or address.
        port: 0 takes one that is free.

    Raises:
        OSError: the address is taken or not this machine's.
    """
    [(family, kind, protocol, _, address), *_] = sorted(
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE),
        # localhost may be both, and most clients try IPv4 only.
        key=lambda found: found[0] != socket.AF_INET,
    )
    bound = socket.socket(family, kind, protocol)
    try:
        # Connections of a server before this one may still be closing.
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError:
        bound.close()
        raise
    return bound


def serve_until_signal(
    application: WSGIApplication,
    bound: socket.socket,
    limits: Limits,
    *,
    name: str,
    ready: Callable[[], None],
) -> int:
    """Answer requests until SIGTERM or SIGINT, then finish those that are running.

    A second signal ends the process as it would any other.

    Args:
        application: the WSGI application.
        bound: from `bind`; it is closed in the end.
        limits: what clients may ask.
        name: for the header `Server`.
        ready: is called when clients can connect.

    Returns:
        The signal's number.
    """
    server: Any = create_server(
        application,
        sockets=[bound],
        threads=limits.threads,
        # Waitress refuses what is as long.
        max_request_body_size=limits.body_bytes + 1,
        max_request_header_size=limits.header_bytes,
        channel_timeout=limits.idle_s,
        cleanup_interval=max(1, limits.idle_s // 4),
        connection_limit=limits.connections,
        # select has no more than 1024 files.
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
        ident=name,
    )
    server.channel_class = _Channel
    with _signals(server) as received:
        ready()
        while not received:
            _turn(server)
        _finish(server)
    return received[0]


@contextlib.contextmanager
def _signals(server: Any) -> Iterator[list[int]]:
    """The signals that come, in a list."""
    received: list[int] = []

    def receive(number: int, frame: object) -> None:
        received.append(number)
        for again in before:
            signal.signal(again, signal.SIG_DFL)
        server.pull_trigger()

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        for number in before:
            signal.signal(number, receive)
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _turn(server: Any, timeout_s: float = 1.0) -> None:
    """Receive and send what there is."""
    loop(timeout=timeout_s, use_poll=True, map=server._map, count=1)


def _finish(server: Any) -> None:
    """Stop accepting, end connections without a request, and wait for the others to be answered."""
    # What has arrived by now is answered too.
    _turn(server, 0)
    # The listening socket alone; the server's own close would end the loop.
    dispatcher.close(server)
    end = time.monotonic() + _LAST_REQUESTS_S
    while server.active_channels and time.monotonic() < end:
        for channel in list(server.active_channels.values()):
            if not channel.requests and not channel.total_outbufs_len:
                channel.handle_close()
        _turn(server, 0.1)
    server.task_dispatcher.shutdown(timeout=1)
    for channel in list(server.active_channels.values()):
        channel.handle_close()
    server.trigger.close()


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """The answer to what is no proper request, in the form that all other errors have."""

    def execute(self) -> None:
        error = self.request.error
        body = json.dumps({"error": f"{error.reason}: {error.body}"}).encode()
        self.status = f"{error.code} {error.reason}"
        self.response_headers.append(("Content-Type", "application/json"))
        self.set_close_on_finish()
        self.content_length = len(body)
        self.channel.unread_bytes = _LINGER_BYTES
        self.write(body)


class _Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection; after an error it is closed in two steps.

    Closed at once, with bytes of the client unread, the system would reset the connection, and the
    client lose the answer.

    Attributes:
        unread_bytes: how many may still come, after an error.
        lingers: whether the first step is done.
    """

    error_task_class = _JsonErrorTask
    unread_bytes = 0
    lingers = False

    def handle_close(self) -> None:
        """Close; if need be, for sending only at first."""
        if self.unread_bytes > 0 and self.connected and not self.lingers:
            self.lingers, self.will_close = True, False
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_WR)
                return
        super().handle_close()

    def readable(self) -> bool:
        """Whether to read."""
        return self.lingers or bool(super().readable())

    def handle_read(self) -> None:
        """Read; while it lingers, in vain. An idle connection is closed as any other."""
        if not self.lingers:
            super().handle_read()
            return
        # At the end of what is sent, it closes.
        self.unread_bytes -= len(self.recv(self.adj.recv_bytes))
        if self.unread_bytes <= 0:
            self.handle_close()
