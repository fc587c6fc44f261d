"""The probes against the development server, which answers as the docs say, and against others."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from waitress.server import create_server

from tests.robustness import serving_probes
from tests.robustness.serving_probes import PROBES, Target, run
from tests.support.rest_server import Canned, RestServer
from tests.support.served import export_models, loaded
from tfd2l.serve.app import Application
from tfd2l.serve.command import NAME


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The development server in this process, which looks for new versions all the time."""
    base = export_models(tmp_path_factory.mktemp("models"))
    models = loaded(base)
    with socket.create_server(("127.0.0.1", 0)) as bound, models.watching(0.05):
        server = create_server(Application(models), sockets=[bound], threads=8, ident=NAME)
        thread = threading.Thread(target=server.run)
        thread.start()
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        yield Target(url, "clothes", "linear", base, seconds=0.3)
        server.close()
        thread.join()


def test_the_development_server_answers_as_the_docs_say(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(target, PROBES) == 0
    out = capsys.readouterr().out
    assert "the development server" in out
    assert len(out.splitlines()) == 2 + 2 + len(PROBES)
    assert "not tried" not in out
    # Nothing is left in the models' directory.
    assert target.directory is not None
    assert [path.name for path in (target.directory / "clothes").iterdir()] == ["1"]


def test_without_a_directory_nothing_is_published(
    target: Target, capsys: pytest.CaptureFixture[str]
) -> None:
    reading = replace(target, directory=None)
    probes = [probe for probe in PROBES if "loaded" in probe.name]
    assert run(reading, probes) == 0
    assert "| not tried |" in capsys.readouterr().out


def test_an_answer_that_is_not_as_documented_gives_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(serving_probes, "PATIENCE_S", 0.2)
    with RestServer() as server:
        # As with batching: good requests fail. An empty one waits until the next one arrives.
        server.canned = [Canned(200, b"{}"), *[Canned(400, b"{}")] * 10_000]
        assert serving_probes.main(["--url", server.url, "--seconds", "0.1"]) == 1
        server.canned = ["hang"]
        assert serving_probes.empty_batch(Target(server.url, "mlp", "linear")) == "no answer"
    lines = capsys.readouterr().out.splitlines()
    differing = [line.split("|")[1].strip() for line in lines if "DIFFERS" in line]
    assert lines[0].endswith("TensorFlow Serving")
    assert differing[:2] == [probe.name for probe in PROBES[:2]]
    assert "an image of 27 rows" not in differing
