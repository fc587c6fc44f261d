"""The probes of compose.yaml and kubernetes.yaml, run as a container would on many servers."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deployments import add_models, deploy

Start = Callable[..., int]


@dataclass(frozen=True)
class Probe:
    """A probe's command, as the container runs it, and the seconds until it is given up."""

    command: list[str]
    patience_s: int


def probe_of(file: str, written: str) -> Probe:
    """The probe that a file asks for; in Kubernetes, two ask for the same."""
    if file == "compose.yaml":
        health = yaml.safe_load(written)["services"]["serving"]["healthcheck"]
        kind, *words = health["test"]
        assert kind == "CMD"
        # What Compose makes of it: a double dollar is a single one, and there are no others.
        assert all("$" not in word.replace("$$", "") for word in words)
        words = [word.replace("$$", "$") for word in words]
        return Probe(words, int(health["timeout"].removesuffix("s")))
    [deployment] = [d for d in yaml.safe_load_all(written) if d["kind"] == "Deployment"]
    [container] = deployment["spec"]["template"]["spec"]["containers"]
    startup, readiness = container["startupProbe"], container["readinessProbe"]
    assert startup["exec"] == readiness["exec"]
    return Probe(startup["exec"]["command"], startup["timeoutSeconds"])


@pytest.fixture(params=["compose.yaml", "kubernetes.yaml"])
def health(request: pytest.FixtureRequest, tmp_path: Path) -> Probe:
    """The probe of a server with two models."""
    models = add_models(tmp_path / "savedmodels", {"mlp": [1], "softmax": [7]})
    return probe_of(request.param, deploy(models)[request.param])


def probe(health: Probe, port: int) -> subprocess.CompletedProcess[str]:
    """Run the probe's own command, with another port and less patience."""
    command = [word.replace("/8501", f"/{port}") for word in health.command]
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


def test_models_that_are_available_are_healthy(health: Probe, start: Start) -> None:
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
    health: Probe, start: Start, text: str
) -> None:
    assert probe(health, start(answers(text))).returncode == 1
    assert probe(health, start(answers(status("AVAILABLE"), text))).returncode == 1


def test_an_unknown_model_is_not_healthy(health: Probe, start: Start) -> None:
    text = '{\n    "error": "Could not find any versions of model mlp"\n}'
    assert probe(health, start(answers(text, text), code=404)).returncode == 1


def test_where_nothing_listens_is_not_healthy(health: Probe) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        assert probe(health, free.getsockname()[1]).returncode == 1


@pytest.mark.slow
def test_a_server_that_hangs_is_given_up_in_time(health: Probe, start: Start) -> None:
    # The status of `timeout` itself, when it had to end the command.
    given_up = 124
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert probe(health, silent.getsockname()[1]).returncode == given_up
    port = start(answers(status("LOADING")), closes=False)
    assert probe(health, port).returncode == given_up
    # Its own patience ends before that of Compose or Kubernetes.
    assert int(health.command[1]) < health.patience_s
