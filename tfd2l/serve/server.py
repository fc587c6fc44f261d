"""A WSGI application on waitress: its limits, and an end that finishes requests.

Waitress receives and sends in one thread without waiting for any client, and has others for the
application alone; so clients that send slowly hold up nobody. Nor do they keep others out: they
have so much time for a request, and the oldest goes when there is no room for a new one.
"""

from __future__ import annotations

import contextlib
import signal
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waitress.wasyncore import dispatcher, loop

from tfd2l.serve.http_connections import HttpServer

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Limits", "bind", "serve_until_signal"]

# How long requests that are running may go on after a signal.
_LAST_REQUESTS_S = 30.0


@dataclass(frozen=True)
class Limits:
    """What clients may ask of the server.

    Attributes:
        threads: requests that run at the same time; others wait.
        body_bytes: of a request. 1024 images, as many as TensorFlow Serving is told to take, are up
            to 4 MiB of JSON.
        header_bytes: of a request.
        idle_s: seconds after which a connection is closed on which nothing happens, or a request
            has begun and not arrived; each 16 KiB that arrived are a second more.
        connections: at the same time; for a further one, that is closed which has waited for its
            client the longest.
    """

    threads: int = 8
    body_bytes: int = 2**23
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
    server = HttpServer(
        application,
        bound,
        connections=limits.connections,
        idle_s=limits.idle_s,
        threads=limits.threads,
        # Waitress refuses what is as long.
        max_request_body_size=limits.body_bytes + 1,
        max_request_header_size=limits.header_bytes,
        # select has no more than 1024 files.
        asyncore_use_poll=True,
        clear_untrusted_proxy_headers=True,
        ident=name,
    )
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
