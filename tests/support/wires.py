"""Connections between processes of this machine that can be cut while both sides run on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time

__all__ = ["Wires"]


class Wires:
    """Ports that forward to others until they are cut: then nothing passes, and nothing closes."""

    def __init__(self) -> None:
        self._cut = threading.Event()

    def port_to(self, target: int) -> int:
        """A new port of this machine that forwards to another one."""
        server = socket.create_server(("127.0.0.1", 0))
        _in_background(self._serve, server, target)
        return int(server.getsockname()[1])

    def cut(self) -> None:
        """Let nothing pass from now on."""
        self._cut.set()

    def _serve(self, server: socket.socket, target: int) -> None:
        while True:
            _in_background(self._connect, server.accept()[0], target)

    def _connect(self, one: socket.socket, target: int) -> None:
        # The process at the other end may still be starting.
        for _ in range(600):
            with contextlib.suppress(ConnectionRefusedError):
                other = socket.create_connection(("127.0.0.1", target))
                _in_background(self._pass_on, one, other)
                self._pass_on(other, one)
                return
            time.sleep(0.1)

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError), source, sink:
            while data := source.recv(65536):
                while self._cut.is_set():
                    time.sleep(1)
                sink.sendall(data)


def _in_background(function: object, *arguments: object) -> None:
    threading.Thread(target=function, args=arguments, daemon=True).start()  # type: ignore[arg-type]
