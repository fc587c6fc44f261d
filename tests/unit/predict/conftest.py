"""Shared by the tests of the clients: a REST server, and the programs of the documentation."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import pytest

from tests.support import ROOT
from tests.support.rest_server import RestServer


@pytest.fixture(scope="module")
def running() -> Iterator[RestServer]:
    """A server that all tests of a file share."""
    with RestServer() as server:
        yield server


@pytest.fixture
def server(running: RestServer) -> RestServer:
    """The shared server in its first state."""
    running.reset()
    return running


@pytest.fixture
def documented_program() -> Callable[[str], str]:
    """Finds the one Python program in savedmodels/README.md that contains a text."""

    def find(text: str) -> str:
        readme = (ROOT / "savedmodels/README.md").read_text(encoding="utf-8")
        programs = re.findall("```python\n(.*?)```", readme, re.DOTALL)
        [program] = [one for one in programs if text in one]
        return str(program)

    return find
