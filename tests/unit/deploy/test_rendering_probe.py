"""The health probe of compose.yaml, run as a container would, against servers good and bad."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployments import add_models, deploy

Start = Callable[..., int]


@pytest.fixture
def health(tmp_path: Path) -> dict[str, Any]:
    """The health check of a server with two models."""
    models = add_models(tmp_path / "savedmodels", {"mlp": [1], "softmax": [7]})
    file = yaml.safe_load(deploy(models)["compose.yaml"])
    check: dict[str, Any] = file["services"]["serving"]["healthcheck"]
    return check


def probe(health: dict[str, Any], port: int) -> subprocess.CompletedProcess[str]:
    """Run the probe's own command, with another port and less patience."""
    kind, *command = health["test"]
    assert kind == "CMD"
    # What Compose makes of it: a double dollar is a single one, and there are no others.
    assert all("$" not in word.replace("$$", "") for word in command)
    command = [word.replace("$$", "$").replace("/8501", f"/{port}") for word in command]
    assert command[:2] == ["timeout", "4"]
    command[1] = "1"
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


def status(*states: str, message: str = "") -> str:
    """The text of a model's status as TensorFlow Serving writes it, indented by one space."""
    versions = [
        {
            "version": str(number),
            "state": state,
            "status": {"error_code": "OK", "error_message": message},
        }
        for number, state in enumerate(states, 1)
    ]
    return json.dumps({"model_version_status": versions}, indent=1) + "\n"


@pytest.fixture
def start() -> Iterator[Start]:
    """Start servers that give each model's answer and then close, or leave, the connection."""
    servers: list[ThreadingHTTPServer] = []

    def start_it(answers: dict[str, str], *, code: int = 200, closes: bool = True) -> int:
        done = threading.Event()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = answers[self.path].encode()
                self.send_response(code)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)
                self.wfile.flush()
                if not closes:
                    done.wait(60)

            def log_message(self, format: str, *arguments: Any) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def server_close(self) -> None:
                done.set()
                super().server_close()

        server = Server(("127.0.0.1", 0), Handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        return int(server.server_address[1])

    yield start_it
    for server in servers:
        server.shutdown()
        server.server_close()


def answers(mlp: str, softmax: str = status("AVAILABLE")) -> dict[str, str]:
    return {"/v1/models/mlp": mlp, "/v1/models/softmax": softmax}


def test_models_that_are_available_are_healthy(health: dict[str, Any], start: Start) -> None:
    ran = probe(health, start(answers(status("AVAILABLE"))))
    assert ran.returncode == 0, ran.stderr
    # While another version loads or has ended, too; and the server may leave the connection open.
    ran = probe(health, start(answers(status("END", "AVAILABLE", "LOADING")), closes=False))
    assert ran.returncode == 0, ran.stderr


@pytest.mark.parametrize(
    "text",
    [
        status("LOADING"),
        status("END", message='of \\"state\\": \\"AVAILABLE\\" not a word'),
        status("END", "UNLOADING", message="AVAILABLE"),
        status(),
        "",
    ],
)
def test_a_model_that_is_not_available_is_not_healthy(
    health: dict[str, Any], start: Start, text: str
) -> None:
    assert probe(health, start(answers(text))).returncode == 1
    assert probe(health, start(answers(status("AVAILABLE"), text))).returncode == 1


def test_an_unknown_model_is_not_healthy(health: dict[str, Any], start: Start) -> None:
    text = '{\n    "error": "Could not find any versions of model mlp"\n}'
    assert probe(health, start(answers(text, text), code=404)).returncode == 1


def test_where_nothing_listens_is_not_healthy(health: dict[str, Any]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert probe(health, free.getsockname()[1]).returncode == 1


def test_a_server_that_hangs_is_given_up_in_time(health: dict[str, Any], start: Start) -> None:
    # The status of `timeout` itself, when it had to end the command.
    given_up = 124
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert probe(health, silent.getsockname()[1]).returncode == given_up
    port = start(answers(status("LOADING")), closes=False)
    assert probe(health, port).returncode == given_up
    # Its own patience ends before that of Compose.
    assert int(health["test"][2]) < int(health["timeout"].removesuffix("s"))
