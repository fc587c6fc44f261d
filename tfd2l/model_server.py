"""TensorFlow Serving itself, where it is installed: its configuration and its process."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from google.protobuf import text_encoding

__all__ = ["PROGRAM", "models_config", "run_model_server"]

PROGRAM = "tensorflow_model_server"


def models_config(models: Mapping[str, Path]) -> str:
    """The text of a ModelServerConfig.

    Args:
        models: directories by the models' names.
    """
    entries = [
        f"  config {{ name: {_quoted(name)} base_path: {_quoted(str(path.absolute()))} "
        'model_platform: "tensorflow" }\n'
        for name, path in sorted(models.items())
    ]
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def run_model_server(program: str, models: Mapping[str, Path], *, port: int, poll_s: float) -> int:
    """Run the server until it ends, and hand on SIGTERM and SIGINT to it.

    Args:
        program: its path.
        models: directories by the models' names.
        port: of the REST interface.
        poll_s: seconds after which it looks for new versions; it takes whole ones.

    Returns:
        Its exit status, or 128 and the signal that ended it.

    Raises:
        OSError: it can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="tfd2l-serve-") as folder:
        config = Path(folder, "models.config")
        config.write_text(models_config(models), encoding="utf-8")
        status = _run(
            [
                program,
                f"--rest_api_port={port}",
                f"--model_config_file={config}",
                f"--file_system_poll_wait_seconds={max(1, round(poll_s))}",
                # With one, a version that fails holds up the next one until its last retry.
                "--num_load_threads=2",
            ]
        )
    return status if status >= 0 else 128 - status


def _run(command: Sequence[str]) -> int:
    """Run a program that gets this process's signals."""
    process: subprocess.Popen[bytes] | None = None
    received: list[int] = []

    def hand_on(number: int, frame: object) -> None:
        received.append(number)
        if process is not None:
            process.send_signal(number)

    before = {number: signal.signal(number, hand_on) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        process = subprocess.Popen(command)
        # Those that came before it was there.
        for number in received:
            process.send_signal(number)
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _quoted(text: str) -> str:
    return f'"{text_encoding.CEscape(text, as_utf8=True)}"'
