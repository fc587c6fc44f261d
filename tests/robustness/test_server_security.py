"""The development server against hostile clients: paths, JSON texts, half-sent requests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import requests

from tests.support.floods import Target
from tests.support.served import Server, export_models, running
from tfd2l.serve.server import CONNECTIONS


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = export_models(tmp_path_factory.mktemp("models"))
    (base.parent / "outside" / "1").mkdir(parents=True)
    return Path(base)


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    log = tmp_path_factory.mktemp("log") / "log"
    with running(
        ["-m", "tfd2l.serve", str(models), "--port", "0", "--idle-seconds", "1"], log, warm=True
    ) as server:
        yield server
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.log


@pytest.fixture
def target(server: Server) -> Target:
    return Target(server.port, server.process.pid)


def test_it_listens_on_this_machine_alone_and_warns_with_another_host(
    server: Server, models: Path, tmp_path: Path
) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert "no password" not in server.log
    flags = [str(models), "--port", "0", "--host", "0.0.0.0"]
    with running(["-m", "tfd2l.serve", *flags], tmp_path / "other", warm=True) as other:
        assert "asks for no password and encrypts nothing" in other.log


@pytest.mark.parametrize(
    "name",
    ["..%2Foutside", "../outside", "%2e%2e/outside", "linear%2F..%2F..%2Foutside", "%00", "..",
     "linear%00", "%2Fetc", "a" * 5000],
)  # fmt: skip
def test_no_model_name_leads_out_of_the_models_directory(server: Server, name: str) -> None:
    for rest in (f"{name}/metadata", f"{name}/versions/1", f"{name}:predict"):
        # Set afterwards, because the library would resolve the points.
        request = requests.Request("GET" if ":" not in rest else "POST", server.url, data=b"{}")
        prepared = request.prepare()
        prepared.url = f"{server.url}/v1/models/{rest}"
        with requests.Session() as session:
            answer = session.send(prepared, timeout=60)
        assert answer.status_code in (400, 404), answer.text
        assert "error" in answer.json()


BOMBS = [
    b'{"instances": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"instances": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
    b'{"instances": [[' + b"9" * 100_000 + b", 1]]}",
    b'{"instances": [' + b"[]," * 300_000 + b"[]]}",
    b'{"instances": [[1, 1]], "signature_name": "' + b"a" * 1_000_000 + b'"}',
    b"\xff\xfe" * 500_000,
]


def test_no_json_text_harms_it(target: Target) -> None:
    target.query()
    before = target.memory_mib()
    for bomb in BOMBS:
        for _ in range(3):
            answer = requests.post(target.url, data=bomb, timeout=60)
            assert answer.status_code in (400, 404), answer.text[:200]
            assert len(answer.json()["error"]) < 1000
    target.query()
    assert target.memory_mib() - before < 100


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.9, 2])
def test_good_clients_are_answered_during_half_sent_requests_in_bounded_memory(
    target: Target, share: float
) -> None:
    target.query()
    before = target.memory_mib()
    with ExitStack() as stack:
        # Beyond the limit, a client waits until silent connections are closed.
        target.send_halves(int(share * CONNECTIONS), stack)
        for _ in range(20):
            target.query()
        inside = target.memory_mib()
    assert inside - before < 60
