"""The benchmark of the server: its exit status is 1 if requests failed."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import serving
from tests.support.rest_server import Canned, RestServer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[RestServer]:
    """A server that replaces the measured one."""
    with RestServer() as server:

        @contextlib.contextmanager
        def started(directory: Path) -> Iterator[str]:
            yield server.url

        monkeypatch.setattr(serving, "serving", started)
        for name in ("publish_first", "publish_next"):
            monkeypatch.setattr(serving, name, lambda base: None)
        monkeypatch.setattr(sys, "argv", ["serving", "--seconds", "0.3", "--connections", "2"])
        yield server


def test_the_benchmark_ends_with_0_if_all_requests_are_answered(
    server: RestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert serving.main() == 0
    rows = capsys.readouterr().out.splitlines()
    assert [row.split()[-1] for row in rows] == ["failed", "0", "0", "0", "0"]


def test_the_benchmark_ends_with_1_if_one_request_fails(
    server: RestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.canned.append(Canned(status=500, body=b"no"))
    assert serving.main() == 1
    assert "    500: no" in capsys.readouterr().out
