"""Kill a training run again and again, go on with it each time, and see how it ends."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tfd2l.checkpoint import checkpoints
from tfd2l.weights import read_weights

ROOT = Path(__file__).parents[2]


@dataclass
class Trial:
    """A run with a random generator for the moments at which it is killed.

    Attributes:
        folder: where it happens; runs, exports and the cache of the data are in it.
        flags: of `python -m tfd2l.train`.
        longest_s: a kill comes at most so many seconds after a start.
        killed: at which seconds kills came.
    """

    folder: Path
    flags: list[str]
    longest_s: float
    killed: list[float] = field(default_factory=list)

    def start(self, name: str) -> subprocess.Popen[str]:
        """Begin the run, or go on with it."""
        known = (self.folder / name / "config.json").exists()
        flags = ["--resume", name] if known else [*self.flags, "--run-dir", name]
        return subprocess.Popen(
            [sys.executable, "-m", "tfd2l.train", *flags],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": str(self.folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, name: str) -> str:
        """Let the run come to its end; what it said."""
        process = self.start(name)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def kill(self, name: str, kills: int, chance: random.Random) -> None:
        """Kill it so many times with SIGKILL, going on with it each time; then let it end."""
        while len(self.killed) < kills:
            process = self.start(name)
            moment_s = chance.uniform(0, self.longest_s)
            try:
                said, _ = process.communicate(timeout=moment_s)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.communicate()
                self.killed.append(moment_s)
                self.forget_empty(name)
            else:
                assert process.returncode == 0, said
                self.start_anew(name)
        self.finish(name)

    def forget_empty(self, name: str) -> None:
        """A run that was killed before it had written its settings is begun anew."""
        run = self.folder / name
        if run.exists() and not (run / "config.json").exists():
            self.move_away(run)

    def start_anew(self, name: str) -> None:
        """Put a finished run aside, so that the next one begins from nothing."""
        self.compare(name, "reference")
        self.move_away(self.folder / name)

    def move_away(self, run: Path) -> None:
        """Rename a run to something that no other has."""
        run.rename(run.with_name(f"{run.name}-{time.monotonic_ns()}"))

    def compare(self, name: str, reference: str) -> None:
        """Metrics, variables and curves are those of the run that nobody killed."""
        table, expected = (
            pd.read_csv(self.folder / run / "metrics.csv").drop(columns="seconds")
            for run in (name, reference)
        )
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
        (values, about), (wanted, known) = (self.last_state(run) for run in (name, reference))
        for one, same in zip(values, wanted, strict=True):
            np.testing.assert_array_equal(one, same)
        assert about["state"]["board"] == known["state"]["board"]
        assert (self.folder / name / "export.json").exists()

    def last_state(self, name: str) -> tuple[list[np.ndarray[Any, Any]], Any]:
        """What the run's last checkpoint holds."""
        return read_weights(checkpoints(self.folder / name / "checkpoints")[0])
