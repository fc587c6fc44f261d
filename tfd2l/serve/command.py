"""`python -m tfd2l.serve`: the development server, with TensorFlow Serving's REST interface."""

from __future__ import annotations

import argparse
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipelines.basics.text import shown
from tfd2l.common.commands import (
    EXIT_INTERRUPTED,
    CommandParser,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.common.errors import Tfd2lError
from tfd2l.deploy.models import list_models
from tfd2l.serve.monitoring import metrics_path
from tfd2l.serve.server import (
    CONNECTIONS,
    IDLE_S,
    MAX_BODY_BYTES,
    THREADS,
    max_connections,
    serve_until_signal,
)

if TYPE_CHECKING:
    from tfd2l.serve.models import ServedModels

__all__ = ["main"]

NAME = "tfd2l development server"
DESCRIPTION = """
Serve the models below a directory over the REST interface of TensorFlow Serving, for development:
python -m tfd2l.deploy prints how to start TensorFlow Serving itself. A models.config in the
directory chooses versions, and a monitoring.config enables metrics for Prometheus.
"""


class ServeError(Tfd2lError):
    """Nothing can be served; the text says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 after SIGTERM, 130 after Ctrl-C, 2 for a wrong flag or directory.
    """
    return run_command(lambda: _run(argv), interrupted="interrupted before the first request")


def _run(argv: Sequence[str] | None) -> int:
    flags = _parser().parse_args(argv)
    list_models(flags.directory)
    path = metrics_path(flags.directory)
    with _listen(flags.host, flags.port) as bound:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
        # Waitress warns each time that a request waits for a thread.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        models = _load_models(flags.directory)
        with models.watching(flags.poll_seconds):
            number = _serve(models, bound, flags, path)
    return EXIT_INTERRUPTED if number == signal.SIGINT else 0


def _parser() -> CommandParser:
    parser = CommandParser(
        "serve",
        "[DIR] [flags]",
        DESCRIPTION,
        ["savedmodels", "savedmodels --port 0", "savedmodels --host 0.0.0.0 --threads 8"],
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"), metavar="DIR",
        help="has a directory for each model, with a directory for each version",
    )  # fmt: skip
    address, limits = map(parser.add_argument_group, ("address", "limits"))
    for group, flag, default, read, metavar, text in (
        (address, "--host", "127.0.0.1", _host, "HOST", "name or address to listen at"),
        (address, "--port", 8501, whole_number_from(0, 65535), "N", "0 takes a free one"),
        (limits, "--threads", THREADS, whole_number_from(1, 256), "N", "requests that run at once"),
        (limits, "--max-body-mb", MAX_BODY_BYTES >> 20, whole_number_from(1, 1024), "MIB",
         "longest request"),
        (limits, "--idle-seconds", IDLE_S, whole_number_from(1, 3600), "S",
         "silence that ends a connection"),
        (parser, "--poll-seconds", 1.0, seconds, "S", "time between looks for new versions"),
    ):  # fmt: skip
        group.add_argument(flag, type=read, default=default, metavar=metavar, help=text)
    return parser


def _host(text: str) -> str:
    """Read a host; an unset variable of a shell, "", would let all of the network in."""
    try:
        known = text.encode("idna") and not text.startswith(".")
    except UnicodeError:
        known = False
    if not known:
        raise argparse.ArgumentTypeError(f"must be a name or an address; got {shown(text)}")
    return text


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except OSError as error:
        raise ServeError(
            f"the server can't listen at {host} port {port}: {error.strerror or error}. Choose "
            "another with --port (0 takes a free one) or --host."
        ) from error


def _load_models(directory: Path) -> ServedModels:
    """Load the models of a directory; refuse one whose highest version fails."""
    from tfd2l.export.c_api.session import SessionError
    from tfd2l.serve.models import ServedModels

    try:
        models = ServedModels(directory)
    except SessionError as error:
        raise ServeError(str(error)) from error
    models.poll()
    if problems := models.problems():
        raise ServeError(problems[0])
    if failures := models.failures():
        raise ServeError(
            f"{' and '.join(failures)} can't be loaded, and TensorFlow Serving does not start "
            "with a model whose highest version fails. Publish a next version, or remove this one."
        )
    return models


def _serve(
    models: ServedModels, bound: socket.socket, flags: argparse.Namespace, path: str | None
) -> int:
    """Answer requests until a signal; return its number."""
    from tfd2l.serve.app import Application

    host, port = bound.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    only_loopback = ipaddress.ip_address(host).is_loopback
    if not only_loopback:
        print(
            f"note: everyone who can reach this machine at {url} can use this server; it asks for "
            "no password and encrypts nothing. Without --host it serves this machine alone.",
            file=sys.stderr,
        )
    if (connections := max_connections()) < CONNECTIONS:
        print(
            f"note: at most {connections} connections at a time, because this process may open few "
            "files; ulimit -n shows and sets how many.",
            file=sys.stderr,
        )
    max_body_bytes = flags.max_body_mb << 20
    application = Application(
        models,
        only_loopback=only_loopback,
        max_body_bytes=max_body_bytes,
        metrics_path=path,
    )
    return serve_until_signal(
        application,
        bound,
        threads=flags.threads,
        idle_s=flags.idle_seconds,
        max_body_bytes=max_body_bytes,
        name=NAME,
        ready=lambda: print(f"serving at {url}: {NAME}, not TensorFlow Serving", flush=True),
    )
