"""Waitress' server with connections that can't be held for good: by silence, nor byte by byte."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from typing import TYPE_CHECKING, Any

from waitress.channel import HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask
from waitress.utilities import Error

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

__all__ = ["HttpServer"]

# A second more is allowed for so many bytes of a request that have arrived. Who is slower than
# this for longer than the limit is on a line where nothing else would work either.
_SLOWEST_BYTES_PER_S = 2**14
# How much of a refused request is still read before the connection is closed, for a client that
# sends all of it before it reads the answer.
_LINGER_BYTES = 2**28
# Waitress counts its listening socket and its trigger among the connections.
_OTHER_FILES = 2


class _RequestTimeoutError(Error):  # type: ignore[misc]  # waitress has no types
    code = 408
    reason = "Request Timeout"


class _JsonErrorTask(ErrorTask):  # type: ignore[misc]  # waitress has no types
    """The answer to what is no proper request, in the form that all other errors have."""

    def execute(self) -> None:
        error, text = self.request.error, self.request.error.body
        if error.code == 413:
            # Waitress names the length that it refuses, one more than the longest.
            text = f"a request has at most {self.channel.adj.max_request_body_size - 1} bytes"
        body = json.dumps({"error": f"{error.reason}: {text}"}).encode()
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
        request: the one that is begun, waitress' own.
        begun: whether a part of a request is here, and not all of it.
        since_s: when the request began, or the server had nothing more to do for the client.
        allowed_s: what the part that is here adds to the time for the request.
        unread_bytes: how many may still come, after an error.
        lingers: whether the first step is done.
    """

    error_task_class = _JsonErrorTask
    request: Any = None
    begun = False
    allowed_s = 0.0
    unread_bytes = 0
    lingers = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.since_s = time.monotonic()

    def received(self, data: bytes) -> bool:
        """Take what came of a request; the server's `add_task` ends it when it is whole."""
        if not self.begun:
            self.begun, self.since_s, self.allowed_s = True, time.monotonic(), 0.0
        self.allowed_s += len(data) / _SLOWEST_BYTES_PER_S
        return bool(super().received(data))

    def service(self) -> None:
        """Answer a request, in a thread of the application."""
        super().service()
        self.since_s = time.monotonic()

    def end_if_late(self, limit_s: float) -> None:
        """End it if the client is silent for so long, or its request on the way for longer."""
        with self.requests_lock:
            if not self.requests and self._is_late(limit_s):
                self._end(limit_s)

    def _is_late(self, limit_s: float) -> bool:
        silent_s = time.time() - self.last_activity
        on_the_way_s = time.monotonic() - self.since_s if self.begun else 0.0
        return silent_s > limit_s or on_the_way_s > limit_s + self.allowed_s

    def _end(self, limit_s: float) -> None:
        """Answer with 408 if there is a request to answer, and close."""
        if not self.begun or self.request is None or self.lingers:
            self.will_close = True
            return
        self.request.error = _RequestTimeoutError(
            f"a request must arrive within {limit_s} s, and a second more for each "
            f"{_SLOWEST_BYTES_PER_S} bytes of it"
        )
        # As waitress does with a request that it refuses.
        self.requests.append(self.request)
        self.request = None
        self.server.add_task(self)

    def drop(self) -> None:
        """Close it at once, for another one."""
        with self.requests_lock:
            self.unread_bytes = 0
            self.handle_close()

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


class HttpServer(TcpWSGIServer):  # type: ignore[misc]  # waitress has no types
    """Waitress' server on a bound socket, for a loop that calls it.

    Of as many connections as it may have, it drops the one whose client it has waited for the
    longest to take another one; requests that are waiting or running are never dropped.
    """

    channel_class = _Channel

    def __init__(
        self,
        application: WSGIApplication,
        bound: socket.socket,
        *,
        connections: int,
        idle_s: float,
        **settings: Any,
    ) -> None:
        """Listen at once.

        Args:
            application: the WSGI application.
            bound: where to listen.
            connections: how many it may have at the same time.
            idle_s: seconds that a client may be silent, or take to send a request; for a long one
                there is more.
            settings: waitress' own.
        """
        self._connections, self._idle_s = connections, idle_s
        super().__init__(
            application,
            _sock=bound,
            bind_socket=False,
            sockinfo=(bound.family, bound.type, bound.proto, bound.getsockname()),
            # So that it never stops accepting of itself.
            connection_limit=connections + _OTHER_FILES + 1,
            cleanup_interval=max(1, int(idle_s) // 8),
            **settings,
        )

    def add_task(self, task: _Channel) -> None:
        """Have a whole request answered by a thread."""
        task.begun = False
        super().add_task(task)

    def maintenance(self, now: float) -> None:
        """End the connections whose clients take too long; it is called every few seconds."""
        for channel in list(self.active_channels.values()):
            channel.end_if_late(self._idle_s)

    def readable(self) -> bool:
        """Whether to accept."""
        return bool(super().readable()) and (not self._is_full() or bool(self._waiting()))

    def handle_accept(self) -> None:
        """Accept a connection, in the place of another one if need be."""
        if self._is_full() and (waiting := self._waiting()):
            min(waiting, key=lambda channel: channel.since_s).drop()
        super().handle_accept()

    def _is_full(self) -> bool:
        return len(self.active_channels) >= self._connections

    def _waiting(self) -> list[_Channel]:
        """The connections on which the next step is the client's."""
        return [channel for channel in self.active_channels.values() if not channel.requests]
