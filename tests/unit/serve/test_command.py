"""The command as a process, and the flags and directories that it refuses."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.support import ROOT
from tests.support.served import (
    DEADLINE_S,
    Server,
    export_linear,
    export_models,
    running,
    until,
)
from tests.support.warm import run_warm
from tfd2l.serve import command
from tfd2l.serve.server import MAX_BODY_BYTES


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_models(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def server(base: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = [str(base), "--port", "0", "--poll-seconds", "0.05"]
    log = tmp_path_factory.mktemp("log") / "log"
    with running(["-m", "tfd2l.serve", *flags], log) as server:
        yield server
        server.process.terminate()
        assert server.process.wait(DEADLINE_S) == 0
        assert "Traceback" not in server.log


def post(server: Server, target: str, document: Any) -> requests.Response:
    url = f"{server.url}/v1/models/{target}"
    return requests.post(url, json=document, timeout=DEADLINE_S)


def run(*flags: str) -> subprocess.CompletedProcess[str]:
    return run_warm("-m", "tfd2l.serve", *flags)


@pytest.mark.slow
def test_it_prints_its_address_and_that_it_is_the_development_server(server: Server) -> None:
    assert server.first_line == (
        f"serving at {server.url}: tfd2l development server, not TensorFlow Serving\n"
    )
    assert server.url.startswith("http://127.0.0.1:")
    response = requests.get(f"{server.url}/v1/models/linear", timeout=DEADLINE_S)
    assert response.headers["Server"] == "tfd2l development server"
    [status] = response.json()["model_version_status"]
    assert status["state"] == "AVAILABLE"


@pytest.mark.slow
def test_predictions_and_errors_are_json(server: Server) -> None:
    for target, document, status in [
        ("linear:predict", {"instances": [[1, 2]]}, 200),
        ("linear:predict", {"instances": [[1, 2, 3]]}, 400),
        ("none:predict", {"instances": [[1, 2]]}, 404),
        ("linear:predict", {"instances": [[1, 2]], "x": "x" * MAX_BODY_BYTES}, 413),
    ]:
        response = post(server, target, document)
        assert response.status_code == status
        assert [*response.json()] == ["predictions" if status == 200 else "error"]
    assert requests.get(server.url, timeout=DEADLINE_S).status_code == 200


@pytest.mark.slow
def test_it_follows_new_versions_and_logs_one_that_fails(server: Server, base: Path) -> None:
    (base / "swapped").mkdir()
    export_linear(base / "swapped", 1, bias=1)

    def answer() -> Any:
        return post(server, "swapped:predict", {"instances": [[0, 0]]}).json().get("predictions")

    until(lambda: answer() == [1])
    export_linear(base / "swapped", 2, bias=2)
    until(lambda: answer() == [2])
    (base / "swapped" / "3").write_text("a plain file")
    until(lambda: "version 3 of swapped can't be served" in server.log)
    assert answer() == [2]
    assert "version 1 of swapped has ended" in server.log
    url = f"{server.url}/v1/models/swapped"
    states = requests.get(url, timeout=DEADLINE_S).json()["model_version_status"]
    assert [(state["version"], state["state"]) for state in states] == [
        ("3", "END"), ("2", "AVAILABLE"), ("1", "END"),
    ]  # fmt: skip
    (base / "swapped" / "3").unlink()


@pytest.mark.slow
def test_ctrl_c_ends_it_with_status_130(base: Path, tmp_path: Path) -> None:
    flags = [str(base), "--port", "0"]
    with (
        running(["-m", "tfd2l.serve", *flags], tmp_path / "log", warm=True) as server,
        requests.Session() as session,
    ):
        session.get(f"{server.url}/v1/models/linear", timeout=DEADLINE_S)
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(DEADLINE_S) == 130
        assert "Traceback" not in server.log


@pytest.mark.slow
def test_it_does_not_start_with_a_version_that_fails(base: Path, tmp_path: Path) -> None:
    (tmp_path / "linear").symlink_to(base / "linear")
    (tmp_path / "broken" / "7").mkdir(parents=True)
    ran = run(str(tmp_path), "--port", "0")
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert "saved_model.pb" in ran.stderr
    last = ran.stderr.splitlines()[-1]
    assert last.startswith("error: broken/7 can't be loaded")


@pytest.mark.slow
def test_it_does_not_start_with_a_configuration_that_can_not_be_read(
    base: Path, tmp_path: Path
) -> None:
    (tmp_path / "linear").symlink_to(base / "linear")
    (tmp_path / "models.config").write_text("{" * 400)
    ran = run(str(tmp_path), "--port", "0")
    assert ran.returncode == 2
    assert "Traceback" not in ran.stderr
    assert ran.stderr.splitlines()[-1].startswith("error: models.config is not followed until")


def test_help_needs_nothing_slow() -> None:
    program = (
        "import sys; from tfd2l.serve.command import main\n"
        "try: main(['--help'])\n"
        "except SystemExit as end: code = end.code\n"
        "print(code, {'tensorflow', 'keras', 'numpy', 'matplotlib'} & {*sys.modules})"
    )
    output = subprocess.check_output([sys.executable, "-c", program], text=True, cwd=ROOT)
    assert "--poll-seconds" in output
    assert output.endswith("0 set()\n")


def complaint(capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    assert command.main([*flags]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    [line] = error.splitlines()
    assert line.startswith("error: ")
    return str(line)


def test_a_missing_directory_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for name in ("none", "file"):
        line = complaint(capsys, str(tmp_path / name))
        assert str(tmp_path / name) in line
        assert "python -m tfd2l.train" in line


def test_a_directory_without_a_model_is_named(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "models" / "mlp" / ".staging-1").mkdir(parents=True)
    assert "has no model" in complaint(capsys, str(tmp_path / "models"))
    (tmp_path / "models" / "mlp" / "1").mkdir()
    line = complaint(capsys, str(tmp_path / "models" / "mlp"))
    assert f"Name the one above it: {tmp_path / 'models'}" in line


def test_a_monitoring_config_that_is_none_is_refused(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "mlp" / "1").mkdir(parents=True)
    (tmp_path / "monitoring.config").write_text("prometheus { }")
    assert "monitoring.config must be a MonitoringConfig" in complaint(capsys, str(tmp_path))


def test_a_port_that_is_taken_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "mlp" / "1").mkdir(parents=True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = complaint(capsys, str(tmp_path), "--port", port)
    assert f"can't listen at 127.0.0.1 port {port}: Address already in use" in line
    assert "--port" in line
    assert "host.invalid port 8501" in complaint(capsys, str(tmp_path), "--host", "host.invalid")


@pytest.mark.parametrize(
    "flags",
    [
        ["--port", "65536"],
        ["--port", "x"],
        ["--poll-seconds", "0"],
        ["--unknown"],
    ],
)
def test_wrong_flags_are_refused(capsys: pytest.CaptureFixture[str], flags: list[str]) -> None:
    line = complaint(capsys, *flags)
    assert flags[0] in line
    assert flags[-1] in line
    assert "--help" in line
