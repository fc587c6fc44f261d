"""A fake of a Jupyter kernel's front end."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.core.events import EventManager, available_events


class Notebook:
    """A fake Jupyter kernel: keeps what is displayed and updated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.shown: list[dict[str, str]] = []
        self.updates = 0
        display = SimpleNamespace(display=self.display)
        # IPython's own manager of events.
        self.events = EventManager(Any, available_events)  # type: ignore[arg-type]
        shell = SimpleNamespace(kernel=object(), events=self.events)
        ipython = SimpleNamespace(get_ipython=lambda: shell, display=display, version_info=(9, 0))
        monkeypatch.setitem(sys.modules, "IPython", ipython)
        monkeypatch.setitem(sys.modules, "IPython.display", display)

    def display(self, output: dict[str, str], *, raw: bool, display_id: bool = False) -> Any:
        """Take an output by MIME type, which is `raw` for IPython."""
        assert raw
        self.shown.append(output)
        return self

    def update(self, output: dict[str, str], *, raw: bool) -> None:
        assert raw
        self.updates += 1
        self.shown[-1] = output

    def end_cell(self) -> None:
        """Runs the callbacks of a cell that has run."""
        self.events.trigger("post_run_cell", None)
