"""Runs a WSGI application on waitress until a signal ends it.

Waitress receives and sends in one thread that never waits for a client, and runs the application in
others, so a slow client delays nobody. Its settings limit the connections and close silent ones.
"""

from __future__ import annotations

import contextlib
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from waitress.server import create_server

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["Limits", "bind", "serve_until_signal"]

# Waitress refuses longer bodies and closes the connection, and a client that is still sending may
# miss the answer. So shorter ones are read whole, and the application answers them with 413.
_READ_BODIES = 4


@dataclass(frozen=True)
class Limits:
    """The server's limits.

    Attributes:
        threads: requests that run at the same time; others wait.
        body_bytes: of a request. 1,024 images are up to 4 MiB of JSON.
        header_bytes: of a request.
        idle_s: seconds of silence after which a connection is closed.
        connections: open at the same time; further clients wait until one is closed. Each may take
            two files, its socket and a long body, and Linux allows a process 1,024 by default.
    """

    threads: int = 8
    body_bytes: int = 2**23
    header_bytes: int = 2**14
    idle_s: int = 30
    connections: int = 500


def bind(host: str, port: int) -> socket.socket:
    """Bind a socket that does not listen yet.

    Args:
        host: name or address.
        port: 0 takes a free one.

    Raises:
        OSError: the address is taken, or does not belong to this machine.
    """
    [(family, kind, protocol, _, address), *_] = sorted(
        socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE),
        # localhost may be both, and most clients try IPv4 only.
        key=lambda found: found[0] != socket.AF_INET,
    )
    bound = socket.socket(family, kind, protocol)
    try:
        # Connections of an earlier server may still be closing.
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
    """Answer requests until SIGTERM or SIGINT, then finish the running ones for up to 5 seconds.

    Requests that wait for a thread by then get no answer. A second signal ends the process at once.

    Args:
        application: the WSGI application.
        bound: a socket from `bind`; it is closed in the end.
        limits: the server's limits.
        name: the value of the header `Server`.
        ready: called when clients can connect.

    Returns:
        The signal's number.
    """
    server = create_server(
        application,
        sockets=[bound],
        threads=limits.threads,
        # Waitress counts two files of its own.
        connection_limit=limits.connections + 2,
        channel_timeout=limits.idle_s,
        # Seconds between two searches for silent connections.
        cleanup_interval=max(1, limits.idle_s // 8),
        max_request_header_size=limits.header_bytes,
        max_request_body_size=_READ_BODIES * limits.body_bytes,
        # select() takes file numbers below 1,024 only.
        asyncore_use_poll=True,
        ident=name,
    )
    received: list[int] = []

    def end(number: int, frame: object) -> None:
        received.append(number)
        for each in handlers:
            signal.signal(each, signal.SIG_DFL)
        # New clients are refused, and another server can take the port.
        bound.close()
        raise SystemExit

    handlers = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        # `run` handles SystemExit itself: it waits for the running requests.
        with contextlib.suppress(SystemExit):
            for number in handlers:
                signal.signal(number, end)
            ready()
            server.run()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        server.close()
    return received[0]
