"""TensorFlow Serving itself, where it is installed: its configuration and its process."""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tfd2l.deploy.models_config import CONFIG_FILE, quoted, with_real_paths

__all__ = ["PROGRAM", "models_config", "run_model_server"]

PROGRAM = "tensorflow_model_server"


def models_config(directory: Path, models: Mapping[str, Path]) -> str:
    """The text of a ModelServerConfig: that of `deploy`, with its pins and labels, if there is one.

    Args:
        directory: where it is.
        models: directories by the models' names, to serve the last version of each otherwise.

    Raises:
        OSError: it can't be read.
    """
    deployed = directory / CONFIG_FILE
    if deployed.exists():
        return with_real_paths(deployed.read_text(encoding="utf-8", errors="replace"), directory)
    entries = [
        f"  config {{ name: {quoted(name)} base_path: {quoted(str(path.absolute()))} "
        'model_platform: "tensorflow" }\n'
        for name, path in sorted(models.items())
    ]
    return f"model_config_list {{\n{''.join(entries)}}}\n"


def run_model_server(program: str, config: str, *, port: int, poll_s: float) -> int:
    """Run the server until it ends, and hand on SIGTERM and SIGINT to it.

    Args:
        program: its path.
        config: the text of a ModelServerConfig.
        port: of the REST interface.
        poll_s: seconds after which it looks for new versions; it takes whole ones.

    Returns:
        Its exit status, or 128 and the signal that ended it.

    Raises:
        OSError: it can't be started.
    """
    with tempfile.TemporaryDirectory(prefix="tfd2l-serve-") as folder:
        path = Path(folder, CONFIG_FILE)
        path.write_text(config, encoding="utf-8")
        status = _run(
            [
                program,
                f"--rest_api_port={port}",
                f"--model_config_file={path}",
                # Else it does not start with a label, as nothing is loaded yet.
                "--allow_version_labels_for_unavailable_models=true",
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
