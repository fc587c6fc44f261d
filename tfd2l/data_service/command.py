"""`python -m tfd2l.data_service`: starts a `tf.data` service, or a further worker of one."""

from __future__ import annotations

import argparse
import re
import signal
import socket
import threading
from collections.abc import Sequence

from pipelines.basics.text import shown
from tfd2l.common.commands import CommandParser, UsageError, run_command, whole_number_from
from tfd2l.common.errors import reason

__all__ = ["main"]

DESCRIPTION = """
Start a tf.data service: a dispatcher with a worker, or with --dispatcher a further worker on
another machine. d2l.map_on_service sends it batches to prepare. Its ports have no authentication,
and TensorFlow opens them on all addresses of the machine: for a private network only.
"""
# By default a worker would try for an hour.
DISPATCHER_TIMEOUT_MS = 10_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command until a signal ends it.

    Returns:
        The exit status: 0 after SIGTERM, 130 after Ctrl-C, 2 for a wrong flag or address.
    """
    return run_command(lambda: _serve(_parse(argv)))


def _parse(argv: Sequence[str] | None) -> argparse.Namespace:
    flags = _parser().parse_args(argv)
    if flags.port is None:
        flags.port = 5050 if flags.dispatcher is None else 0
    try:
        # TensorFlow's servers share a port that is taken, and each gets some of the connections.
        socket.create_server(("", flags.port)).close()
    except OSError as error:
        raise UsageError(
            f"--port must be free; {flags.port} is taken ({error.strerror}). Give another one."
        ) from None
    return flags


def _serve(flags: argparse.Namespace) -> int:
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    import tensorflow as tf

    service = tf.data.experimental.service
    dispatcher = None
    try:
        address = flags.dispatcher
        if address is None:
            dispatcher = service.DispatchServer(service.DispatcherConfig(port=flags.port))
            port = dispatcher.target.rpartition(":")[2]
            address = f"{flags.host}:{port}"
        # %port% is replaced by the one that the worker gets.
        own = f"{flags.host}:%port%"
        worker = service.WorkerServer(
            service.WorkerConfig(
                dispatcher_address=address,
                worker_address=own,
                port=0 if dispatcher else flags.port,
                dispatcher_timeout_ms=DISPATCHER_TIMEOUT_MS,
            )
        )
    except tf.errors.OpError as error:
        raise UsageError(f"the tf.data service can't start: {reason(error)}") from None
    role = "a worker of the tf.data service" if dispatcher is None else "tf.data service"
    print(f"{role} at {address}; Ctrl-C ends it", flush=True)
    ended.wait()
    del worker, dispatcher
    return 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "data_service",
        "[flags]",
        DESCRIPTION,
        ["--host 10.0.0.5 --port 5050", "--host 10.0.0.6 --dispatcher 10.0.0.5:5050"],
    )
    parser.add_argument(
        "--host", type=_host, default="127.0.0.1", metavar="HOST",
        help="of this machine, as the others reach it",
    )  # fmt: skip
    parser.add_argument(
        "--port", type=whole_number_from(0, 65535), metavar="PORT",
        help="of the dispatcher, or of the further worker; 0 is a free one (default: 5050, or 0 "
        "with --dispatcher)",
    )  # fmt: skip
    parser.add_argument(
        "--dispatcher",
        type=_address,
        metavar="HOST:PORT",
        help="start a further worker of this one",
    )
    return parser


def _host(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]", text):
        raise argparse.ArgumentTypeError(f"must be a name or an address; got {shown(text)}")
    return text


def _address(text: str) -> str:
    if not re.fullmatch(r"([A-Za-z0-9._-]+|\[[0-9a-fA-F:]+\]):[0-9]{1,5}", text):
        raise argparse.ArgumentTypeError(f"must be HOST:PORT; got {shown(text)}")
    return text
