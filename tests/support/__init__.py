"""Helpers that several test files share."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["ROOT", "run_python"]

ROOT = Path(__file__).parents[2]


def run_python(
    *arguments: str | Path,
    cwd: Path = ROOT,
    timeout_s: float = 300,
    environment: Mapping[str, str] | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run a Python that imports this project from any directory; return its status and texts."""
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(ROOT), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
    )
