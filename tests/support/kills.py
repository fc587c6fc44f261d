"""Kill a training run again and again, go on with it each time, and see how it ends."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import tensorflow as tf

from tests.support import ROOT
from tfd2l.common.arrays import read_weights
from tfd2l.engine.checkpoint import checkpoints

# What appears while the command is at something, below the trial's folder.
PHASES = {
    "filling the cache": "tfd2l/fashion-mnist/.*",
    "writing a checkpoint": "run/checkpoints/.*",
    "writing metrics": "run/.metrics.csv.*",
    "publishing": "savedmodels/*/.staging-*",
}
# How long after that a kill comes at most: as long as each of them takes.
LONGEST_PHASE_S = {"publishing": 0.8}


@dataclass
class Trial:
    """A run with a random generator for the moments at which it is killed.

    Attributes:
        folder: where it happens; runs, exports and the cache of the data are in it.
        flags: of `python -m tfd2l.train`.
        longest_s: a kill comes at most so many seconds after a start.
        killed: how many kills came in which phase; "any" are those at random moments.
        finished: how many runs came to their end, each of them compared with the reference.
    """

    folder: Path
    flags: list[str]
    longest_s: float
    killed: Counter[str] = field(default_factory=Counter)
    finished: int = 0

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
            start_new_session=True,
        )

    def finish(self, name: str) -> str:
        """Let the run come to its end; what it said."""
        process = self.start(name)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, said
        return said

    def kill(self, name: str, kills: int, chance: random.Random) -> None:
        """Kill it so many times at random moments, going on with it each time; then let it end."""
        for _ in range(kills):
            while True:
                process = self.start(name)
                try:
                    said, _ = process.communicate(timeout=chance.uniform(0, self.longest_s))
                except subprocess.TimeoutExpired:
                    break
                assert process.returncode == 0, said
                self.start_anew(name)
            self.end(process, "any", name)
        self.finish(name)

    def kill_in(self, phase: str, name: str, chance: random.Random) -> None:
        """Kill it while it is at something; a run that finished first is begun anew."""
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
            said, _ = process.communicate()
            assert process.returncode == 0, said
            self.start_anew(name)

    def end(self, process: subprocess.Popen[str], phase: str, name: str) -> None:
        """SIGKILL for the process and its children."""
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        self.killed[phase] += 1

    def start_anew(self, name: str) -> None:
        """Put a finished run aside, so that the next one begins from nothing."""
        self.compare(name, "reference")
        self.finished += 1
        self.move_away(self.folder / name)

    def move_away(self, run: Path) -> None:
        """Rename a run to something that no other has."""
        run.rename(run.with_name(f"{run.name}-{time.monotonic_ns()}"))

    def compare(self, name: str, reference: str) -> None:
        """Metrics, events, variables and curves are those of the run that nobody killed."""
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

    def events(self, name: str) -> list[tuple[int, str, float]]:
        """What TensorBoard would show of the run: epoch, name and value, but for the seconds."""
        return [
            (event.step, value.tag, float(tf.make_ndarray(value.tensor)))
            for path in sorted((self.folder / name / "tensorboard").iterdir())
            for event in tf.compat.v1.train.summary_iterator(str(path))
            for value in event.summary.value
            if value.tag != "seconds"
        ]

    def last_state(self, name: str) -> tuple[list[np.ndarray[Any, Any]], Any]:
        """What the run's last checkpoint holds."""
        return read_weights(checkpoints(self.folder / name / "checkpoints")[0])
