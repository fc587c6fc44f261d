"""Starting TensorFlow Serving, with a program in its place that records how it was started."""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

import pytest
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.support.served import DEADLINE_S, running, until
from tfd2l.deploy import command as deploy
from tfd2l.serve import command as serve
from tfd2l.serve.model_server import models_config, run_model_server

RECORDER = f"""#!{sys.executable}
import json, os, signal, sys, time
from pathlib import Path

folder = Path(os.environ["RECORD"])
config = [flag.partition("=")[2] for flag in sys.argv if flag.startswith("--model_config_file=")]
record = {{"flags": sys.argv[1:], "config": Path(config[0]).read_text()}}
for number in (signal.SIGTERM, signal.SIGINT):
    signal.signal(number, lambda number, frame: sys.exit(100 + number))
(folder / "aside").write_text(json.dumps(record))
(folder / "aside").rename(folder / "record")
end = os.environ.get("END", "")
if end.startswith("-"):
    os.kill(os.getpid(), -int(end))
if end:
    sys.exit(int(end))
time.sleep(600)
"""


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program by the server's name on the path."""
    folder = tmp_path / "bin"
    folder.mkdir()
    path = folder / "tensorflow_model_server"
    path.write_text(RECORDER)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("RECORD", str(tmp_path))
    return path


@pytest.fixture
def base(tmp_path: Path) -> Path:
    for path in ("mlp/1", "mlp/2", "softmax/3", "empty"):
        (tmp_path / "models" / path).mkdir(parents=True)
    return tmp_path / "models"


def parse(text: str) -> dict[str, str]:
    """Base paths by the names of the models, as the server reads the file."""
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    models = config.model_config_list.config
    assert {model.model_platform for model in models} == {"tensorflow"}
    return {model.name: model.base_path for model in models}


def test_the_configuration_has_absolute_paths_and_any_names(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    odd = 'a "b" \\ ä\n'
    text = models_config(tmp_path, {"mlp": Path("models/mlp"), odd: Path("/models") / odd})
    assert parse(text) == {"mlp": f"{tmp_path}/models/mlp", odd: f"/models/{odd}"}


@pytest.mark.parametrize(("end", "status"), [("0", 0), ("7", 7), ("-9", 137)])
def test_its_exit_status_is_handed_on_and_its_configuration_removed(
    program: Path,
    base: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    end: str,
    status: int,
) -> None:
    monkeypatch.setenv("END", end)
    handlers = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    text = models_config(base, {"mlp": base / "mlp"})
    found = run_model_server(str(program), text, port=8502, poll_s=0.2)
    assert found == status
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == handlers
    record = json.loads((tmp_path / "record").read_text())
    port, config, labels, poll, threads = record["flags"]
    assert port == "--rest_api_port=8502"
    # Whole seconds are all that it takes.
    assert poll == "--file_system_poll_wait_seconds=1"
    assert labels == "--allow_version_labels_for_unavailable_models=true"
    assert threads == "--num_load_threads=2"
    assert parse(record["config"]) == {"mlp": str(base / "mlp")}
    assert not Path(config.partition("=")[2]).exists()


def test_a_program_that_can_not_be_started_is_an_os_error(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        run_model_server(str(tmp_path / "none"), "", port=1, poll_s=1)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_starts_it_if_it_is_installed_and_hands_on_signals(
    program: Path, base: Path, tmp_path: Path, number: signal.Signals
) -> None:
    command = ["-m", "tfd2l.serve", str(base), "--port", "0", "--poll-seconds", "3"]
    with running(command, tmp_path / "log") as server:
        assert f"{program}, for mlp, softmax" in server.first_line
        assert "stand-in" not in server.first_line
        until((tmp_path / "record").exists)
        record = json.loads((tmp_path / "record").read_text())
        port, _, _, poll, _ = record["flags"]
        assert port == f"--rest_api_port={server.port}"
        assert server.port > 0
        assert poll == "--file_system_poll_wait_seconds=3"
        assert parse(record["config"]) == {name: str(base / name) for name in ("mlp", "softmax")}
        server.process.send_signal(number)
        assert server.process.wait(DEADLINE_S) == 100 + number
    assert server.log == ""


def test_pins_and_labels_of_deploy_hold(
    program: Path, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for version in ("mlp/1", "mlp/2", "softmax/3"):
        (base / version / "saved_model.pb").touch()
    for path in (base, *base.rglob("*")):
        path.chmod(0o755)
    flags = ["--pin", "mlp=1,2", "--stable", "mlp=1", "--canary", "mlp=2"]
    assert deploy.main([str(base), *flags]) == 0
    monkeypatch.setenv("END", "0")
    assert serve.main([str(base), "--port", "0"]) == 0
    text = json.loads((tmp_path / "record").read_text())["config"]
    assert parse(text) == {name: str(base / name) for name in ("mlp", "softmax")}
    config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    mlp, softmax = config.model_config_list.config
    assert [*mlp.model_version_policy.specific.versions] == [1, 2]
    assert {**mlp.version_labels} == {"stable": 1, "canary": 2}
    assert softmax.model_version_policy.latest.num_versions == 1


@pytest.mark.parametrize(
    "flags",
    [
        ["--host", "127.0.0.1"],
        ["--max-body-mb", "4"],
        ["--threads", "8"],
        ["--idle-seconds", "30"],
        ["--host", "127.0.0.1", "--max-body-mb", "4"],
    ],
)
def test_flags_that_it_does_not_know_are_refused_and_not_dropped(
    program: Path, base: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    # The defaults too: it would listen at all addresses, asked for this machine's own.
    assert serve.main([str(base), "--port", "0", *flags]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"error: the stand-in alone has {' and '.join(flags[::2])}; ")
    assert str(program) in error
    assert "--stand-in" in error
    assert not (tmp_path / "record").exists()
