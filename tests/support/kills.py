"""Kills a training run repeatedly, resumes it each time, and compares its end."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support.events import scalars_in
from tests.support.warm import WarmProcess
from tfd2l.common.arrays import read_weights
from tfd2l.engine.checkpoint import checkpoints

# Files below the trial's folder that appear while the command is in a phase.
PHASES = {
    "filling the cache": "tfd2l/fashion-mnist/.*",
    "writing a checkpoint": "run/checkpoints/.*",
    "writing metrics": "run/.metrics.csv.*",
    "publishing": "savedmodels/*/.staging-*",
}
# Maximum time from such a file's appearance to the kill: about the duration of the phase.
LONGEST_PHASE_S = {"publishing": 0.8}


@dataclass
class Trial:
    """Runs of one command, which are killed and resumed.

    They start with TensorFlow imported, so that kills at random moments fall into their own work.

    Attributes:
        folder: contains runs, exports and the data's cache.
        flags: the flags of `python -m tfd2l.train`.
        longest_s: the maximum time in seconds from a start to a kill.
        killed: the number of kills in each phase; "any" are those at random moments.
        finished: the number of runs that finished; each was compared with the reference.
        copies: checkpoints of the present run that a user copied, beside them.
    """

    folder: Path
    flags: list[str]
    longest_s: float
    killed: Counter[str] = field(default_factory=Counter)
    finished: int = 0
    copies: set[Path] = field(default_factory=set)

    def start(self, name: str) -> WarmProcess:
        """Start the run, or resume it."""
        known = (self.folder / name / "config.json").exists()
        flags = ["--resume", name] if known else [*self.flags, "--run-dir", name]
        self.output.unlink(missing_ok=True)
        return WarmProcess(
            ["-m", "tfd2l.train", *flags],
            cwd=self.folder,
            environment={**os.environ, "XDG_CACHE_HOME": str(self.folder)},
            outputs=(self.output, self.output),
        )

    @property
    def output(self) -> Path:
        """The file with the output of the last start."""
        return self.folder / "output.txt"

    def finish(self, name: str) -> None:
        """Let the run finish."""
        assert self.start(name).wait(300) == 0, self.output.read_text()

    def kill(self, name: str, kills: int, chance: random.Random) -> None:
        """Kill the run `kills` times at random moments and resume it; then let it finish."""
        for _ in range(kills):
            while True:
                process = self.start(name)
                try:
                    status = process.wait(chance.uniform(0, self.longest_s))
                except subprocess.TimeoutExpired:
                    break
                assert status == 0, self.output.read_text()
                self.start_anew(name)
            self.end(process, "any", name)
        self.finish(name)

    def kill_in(self, phase: str, name: str, chance: random.Random) -> None:
        """Kill the run in a phase; start a new one if it finishes before."""
        while True:
            if phase == "filling the cache":
                shutil.rmtree(self.folder / "tfd2l", ignore_errors=True)
            before = {*self.folder.glob(PHASES[phase])}
            process = self.start(name)
            while process.poll() is None and not {*self.folder.glob(PHASES[phase])} - before:
                time.sleep(0.0005)
            if process.poll() is None:
                time.sleep(chance.uniform(0, LONGEST_PHASE_S.get(phase, 0.01)))
                self.end(process, phase, name)
                return
            assert process.wait() == 0, self.output.read_text()
            self.start_anew(name)

    def end(self, process: WarmProcess, phase: str, name: str) -> None:
        """Kill the process and its children by SIGKILL."""
        process.kill_group()
        process.wait()
        self.killed[phase] += 1
        for path in checkpoints(self.folder / name / "checkpoints")[:1]:
            # A user keeps it, which no later run may remove or resume from.
            self.copies.add(Path(shutil.copy(path, path.with_name(f"{path.name}.mybest"))))

    def start_anew(self, name: str) -> None:
        """Compare a finished run and rename it, so that the next one starts from nothing."""
        self.compare(name, "reference")
        self.finished += 1
        self.copies.clear()
        run = self.folder / name
        run.rename(run.with_name(f"{run.name}-{time.monotonic_ns()}"))

    def compare(self, name: str, reference: str) -> None:
        """Compare metrics, events, variables and curves with those of a run without kills."""
        assert all(path.exists() for path in self.copies)
        table, expected = (
            pd.read_csv(self.folder / run / "metrics.csv").drop(columns="seconds")
            for run in (name, reference)
        )
        pd.testing.assert_frame_equal(table, expected, check_exact=True)
        (values, about), (wanted, known) = (self.last_state(run) for run in (name, reference))
        for one, same in zip(values, wanted, strict=True):
            np.testing.assert_array_equal(one, same)
        assert about["state"]["board"] == known["state"]["board"]
        assert self.events(name) == self.events(reference)
        assert (self.folder / name / "export.json").exists()

    def events(self, name: str) -> dict[tuple[str, str], list[tuple[int, float]]]:
        """Return the run's TensorBoard charts without the seconds, by run and tag."""
        found = scalars_in(self.folder / name / "tensorboard")
        del found["train", "epoch_seconds"]
        return found

    def last_state(self, name: str) -> tuple[list[np.ndarray[Any, Any]], Any]:
        """Return the content of the run's last checkpoint."""
        return read_weights(checkpoints(self.folder / name / "checkpoints")[0])
