"""Runs other programs, measures their whole time, and prints tables of medians."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]


def timed(command: Sequence[str], cwd: Path = ROOT, **variables: str) -> tuple[float, str]:
    """Run a program, which must succeed; return its seconds from start to exit and its output."""
    environment = {"TF_CPP_MIN_LOG_LEVEL": "3", **os.environ, "PYTHONPATH": str(ROOT), **variables}
    # Where it is set, every run would measure again how fast Python compiles its sources.
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started_s = time.perf_counter()
    process = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    seconds = time.perf_counter() - started_s
    if process.returncode != 0:
        last = process.stderr.strip().splitlines()[-1:] or ["no message"]
        raise SystemExit(f"{' '.join(command)} failed: {last[0]}")
    return seconds, process.stdout


def last_json(text: str) -> Any:
    """Parse the last line as JSON."""
    return json.loads(text.splitlines()[-1])


def table(title: str, unit: str, figures: dict[str, list[float]]) -> None:
    """Print the medians over rounds, and the first row's ratio to each, taken within a round."""
    print(f"\n{title:<34}{unit:>12}{'min':>10}{'max':>10}{'ours/it':>10}", flush=True)
    ours = next(iter(figures.values()))
    for name, values in figures.items():
        ratio = statistics.median(a / b for a, b in zip(ours, values, strict=True))
        print(
            f"{name:<34}{statistics.median(values):>12.4g}{min(values):>10.4g}{max(values):>10.4g}"
            f"{ratio:>10.3f}",
            flush=True,
        )
