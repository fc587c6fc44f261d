"""`python -m tfd2l.serve`: serve exported models over TensorFlow Serving's REST interface.

By TensorFlow Serving where it is installed, and else by a development stand-in.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from tfd2l.common.errors import Tfd2lError
from tfd2l.common.startup import quiet_start
from tfd2l.deploy.models import DeployError
from tfd2l.deploy.models_config import read_models_config
from tfd2l.export.versions import hint_one_model, models_in, versions_in
from tfd2l.serve.model_server import PROGRAM, models_config, run_model_server
from tfd2l.serve.server import Limits, bind, serve_until_signal

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130
# Of the flags that the stand-in alone knows. The parser leaves out those that were not given, so
# that it can be told.
DEFAULTS = {
    "host": "127.0.0.1",
    "max_body_mb": Limits.body_bytes >> 20,
    "threads": Limits.threads,
    "idle_seconds": Limits.idle_s,
}
STAND_IN = "tfd2l development stand-in for TensorFlow Serving"
DESCRIPTION = f"""
Serve the models below a directory over the REST interface of TensorFlow Serving: {PROGRAM} is
started if it is installed, and otherwise a stand-in for development, which says so.
"""


class ServeError(Tfd2lError):
    """Nothing can be served; the text says why and what to do."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0 after SIGTERM, 130 after Ctrl-C, 2 for a wrong setting or directory; that
        of TensorFlow Serving, if it ran.
    """
    flags = _parser().parse_args(argv)
    try:
        models = _models_in(flags.directory)
        program = None if flags.stand_in else shutil.which(PROGRAM)
        _settle_stand_in(flags, program)
        with _bind(flags.host, flags.port) as bound:
            if program is None:
                return _run_stand_in(flags, bound)
            port = bound.getsockname()[1]
        where = f"http://127.0.0.1:{port}, and at all addresses of this machine"
        config = models_config(flags.directory, models)
        names = read_models_config(config)
        print(f"serving at {where}: {program}, for {', '.join(names)}", flush=True)
        return run_model_server(program, config, port=port, poll_s=flags.poll_seconds)
    except (ServeError, DeployError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return EXIT_USAGE
    except KeyboardInterrupt:
        print("interrupted before the first request", file=sys.stderr)
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tfd2l.serve",
        description=DESCRIPTION,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "directory", nargs="?", type=Path, default=Path("savedmodels"),
        help="has a directory for each model, with a directory for each version",
    )  # fmt: skip
    parser.add_argument("--port", type=_whole(0, 65535), default=8501, help="0 takes a free one")
    parser.add_argument(
        "--poll-seconds", type=_seconds, default=1.0, help="between looks for new versions"
    )
    parser.add_argument(
        "--stand-in", action="store_true", help=f"the stand-in, even if {PROGRAM} is installed"
    )
    group = parser.add_argument_group("the stand-in alone")
    own: list[tuple[str, Callable[[str], int | str], str]] = [
        ("host", str, "name or address to listen at"),
        ("max_body_mb", _whole(1, 1024), "longest request, in MiB"),
        ("threads", _whole(1, 256), "requests that run at the same time; others wait"),
        ("idle_seconds", _whole(1, 3600), "until a silent or late client's connection is closed"),
    ]
    for name, read, text in own:
        group.add_argument(
            f"--{name.replace('_', '-')}", type=read, help=f"{text} (default: {DEFAULTS[name]})",
            default=argparse.SUPPRESS,
        )  # fmt: skip
    return parser


def _settle_stand_in(flags: argparse.Namespace, program: str | None) -> None:
    """Refuse the stand-in's flags for the real server, which has none like them; else complete."""
    given = [f"--{name.replace('_', '-')}" for name in DEFAULTS if name in flags]
    if program is not None and given:
        raise ServeError(
            f"the stand-in alone has {' and '.join(given)}; {program}, which would be started, "
            "listens at all addresses. Add --stand-in to start that, or leave them out."
        )
    vars(flags).update({**DEFAULTS, **vars(flags)})


def _models_in(base: Path) -> dict[str, Path]:
    """The directories of the models that have a version, by name."""
    try:
        models = {name: base / name for name, found in models_in(base).items() if found}
        is_model = not models and bool(versions_in(base))
    except OSError as error:
        raise ServeError(
            f"the models' directory must be one that can be read; {error}. Train a model with "
            "python -m tfd2l.train, or name another directory."
        ) from error
    if is_model:
        raise ServeError(hint_one_model(base))
    if not models:
        raise ServeError(
            f"{base} has no model, that is no directory with versions named 1, 2, ... Train one "
            "with python -m tfd2l.train, or name another directory."
        )
    return models


def _bind(host: str, port: int) -> socket.socket:
    try:
        return bind(host, port)
    except OSError as error:
        raise ServeError(
            f"{host} port {port} can't be listened at: {error.strerror or error}. Choose another "
            "with --port (0 takes a free one) or --host."
        ) from error


def _run_stand_in(flags: argparse.Namespace, bound: socket.socket) -> int:
    """Serve by the stand-in until a signal."""
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
    # It says each time that a request waits for a thread.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    limits = Limits(
        threads=flags.threads, body_bytes=flags.max_body_mb << 20, idle_s=flags.idle_seconds
    )
    with quiet_start():
        from tfd2l.export.c_api import SessionError
        from tfd2l.serve.app import StandIn
        from tfd2l.serve.models import ServedModels
        from tfd2l.serve.page import PageApi, is_loopback

        try:
            models = ServedModels(flags.directory)
        except SessionError as error:
            raise ServeError(str(error)) from error
    with contextlib.closing(models):
        models.poll()
        if failures := models.failures():
            raise ServeError(
                f"TensorFlow Serving starts with no model whose highest version fails to load, as "
                f"{' and '.join(failures)} did. Publish a next version, or remove that one."
            )
        page = PageApi(models, host=flags.host)
        application = StandIn(models, page, max_body_bytes=limits.body_bytes)
        host, port = bound.getsockname()[:2]
        where = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if not is_loopback(flags.host):
            print(
                f"note: whoever can reach this machine at {where} can use this server; it asks for "
                "no password and encrypts nothing. Without --host it is for this machine alone.",
                file=sys.stderr,
            )
        with models.watching(flags.poll_seconds):
            number = serve_until_signal(
                application,
                bound,
                limits,
                name=STAND_IN,
                ready=lambda: print(
                    f"serving at {where}: {STAND_IN}, not the real one", flush=True
                ),
            )
    return EXIT_INTERRUPTED if number == signal.SIGINT else 0


def _whole(least: int, most: int) -> Callable[[str], int]:
    """A reader of whole numbers in a range."""

    def read(text: str) -> int:
        number = int(text)
        if not least <= number <= most:
            raise argparse.ArgumentTypeError(f"must be from {least} to {most}; got {text}")
        return number

    read.__name__ = "whole number"
    return read


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0.01 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"must be from 0.01 to 3600; got {text}")
    return seconds
