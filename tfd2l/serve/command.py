"""`python -m tfd2l.serve`: the development server, with TensorFlow Serving's REST interface."""

from __future__ import annotations

import argparse
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tfd2l.common.commands import (
    EXIT_INTERRUPTED,
    CommandParser,
    run_command,
    seconds,
    whole_number_from,
)
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.startup import quiet_start
from tfd2l.export.versions import hint_one_model, models_in, versions_in
from tfd2l.serve.server import Limits, bind, serve_until_signal

if TYPE_CHECKING:
    from tfd2l.serve.models import ServedModels

__all__ = ["main"]

NAME = "tfd2l development server"
DESCRIPTION = """
Serve the models below a directory over the REST interface of TensorFlow Serving, for development:
python -m tfd2l.deploy prints how to start TensorFlow Serving itself.
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
    _require_models(flags.directory)
    with _bind(flags.host, flags.port) as bound:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
        # Waitress warns each time that a request waits for a thread.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        with _loaded_models(flags.directory) as models:
            return _serve(models, bound, flags)


def _parser() -> CommandParser:
    parser = CommandParser("python -m tfd2l.serve", DESCRIPTION)
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"),
        help="has a directory for each model, with a directory for each version "
        "(default: %(default)s)",
    )  # fmt: skip
    for flag, default, read, text in (
        ("--port", 8501, whole_number_from(0, 65535), "0 takes a free one"),
        ("--host", "127.0.0.1", str, "name or address to listen at"),
        ("--poll-seconds", 1.0, seconds, "between looks for new versions"),
        ("--max-body-mb", Limits.body_bytes >> 20, whole_number_from(1, 1024),
         "longest request, in MiB"),
        ("--threads", Limits.threads, whole_number_from(1, 256),
         "requests that run at the same time; others wait"),
        ("--idle-seconds", Limits.idle_s, whole_number_from(1, 3600),
         "silence after which a connection is closed"),
    ):  # fmt: skip
        parser.add_argument(flag, type=read, default=default, help=f"{text} (default: {default})")
    return parser


def _require_models(base: Path) -> None:
    """Refuse a directory without a model that has a version."""
    try:
        if any(models_in(base).values()):
            return
        is_model = bool(versions_in(base))
    except OSError as error:
        raise ServeError(
            f"the models' directory must be readable; {error}. Train a model with "
            "python -m tfd2l.train, or name another directory."
        ) from error
    if is_model:
        raise ServeError(hint_one_model(base))
    raise ServeError(
        f"{base} has no model, that is no directory with versions named 1, 2, ... Train one "
        "with python -m tfd2l.train, or name another directory."
    )


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise ServeError(
            f"the server can't listen at {host} port {port}: {error.strerror or error}. Choose "
            "another with --port (0 takes a free one) or --host."
        ) from error


@contextlib.contextmanager
def _loaded_models(directory: Path) -> Iterator[ServedModels]:
    """Load the models of a directory; refuse one whose highest version fails."""
    with quiet_start():
        from tfd2l.export.c_api import SessionError
        from tfd2l.serve.models import ServedModels

        try:
            models = ServedModels(directory)
        except SessionError as error:
            raise ServeError(str(error)) from error
    with contextlib.closing(models):
        models.poll()
        if failures := models.failures():
            raise ServeError(
                f"{' and '.join(failures)} can't be loaded, and TensorFlow Serving does not start "
                "with a model whose highest version fails. Publish a next version, or remove this "
                "one."
            )
        yield models


def _serve(models: ServedModels, bound: socket.socket, flags: argparse.Namespace) -> int:
    """Answer requests until a signal; return the exit status."""
    from tfd2l.serve.app import Application
    from tfd2l.serve.page import PageApi, is_loopback

    limits = Limits(
        threads=flags.threads, body_bytes=flags.max_body_mb << 20, idle_s=flags.idle_seconds
    )
    page = PageApi(models, host=flags.host)
    application = Application(models, page, max_body_bytes=limits.body_bytes)
    host, port = bound.getsockname()[:2]
    url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
    if not is_loopback(flags.host):
        print(
            f"note: everyone who can reach this machine at {url} can use this server; it asks for "
            "no password and encrypts nothing. Without --host it serves this machine alone.",
            file=sys.stderr,
        )
    with models.watching(flags.poll_seconds):
        number = serve_until_signal(
            application,
            bound,
            limits,
            name=NAME,
            ready=lambda: print(f"serving at {url}: {NAME}, not TensorFlow Serving", flush=True),
        )
    return EXIT_INTERRUPTED if number == signal.SIGINT else 0
