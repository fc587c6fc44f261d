"""Workers that are killed, stopped or interrupted: the others end, and the run can go on."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

import pytest

from tests.support.kills import Trial
from tests.support.teams import Crew, random_fault
from tfd2l.engine.checkpoint import checkpoints
from tfd2l.train.workers.team import EXIT_WORKER_LOST

FLAGS = "--model linear --device cpu --epochs 40 --export last --publish-anyway"
LOST = (signal.SIGKILL, signal.SIGSTOP)


@pytest.mark.long
@pytest.mark.parametrize("count", [2, 3])
def test_twenty_faults_at_random_moments_change_nothing(count: int, tmp_path: Path) -> None:
    crew, chance, faults = Crew(tmp_path, count), random.Random(count), 0
    started_s = time.monotonic()
    crew.start(f"{FLAGS} --run-dir reference")
    crew.wait_until_connected()
    connected_s = time.monotonic()
    assert crew.wait() == [0] * count, crew.outputs()
    longest_s = time.monotonic() - connected_s
    assert time.monotonic() - started_s < 120
    run, trial = tmp_path / "run", Trial(tmp_path, [], 0)
    while faults < 20:
        known = (run / "config.json").exists()
        crew.start("--resume run" if known else f"{FLAGS} --run-dir run")
        crew.wait_until_connected()
        time.sleep(chance.uniform(0, longest_s))
        number, victim = random_fault(count, chance)
        ended = [one.poll() for one in crew.processes]
        statuses = crew.disturb(number, victim)
        if any(status is not None for status in ended):
            # It had finished by itself.
            assert set(statuses) <= {0, 128 + number}, crew.outputs()
        else:
            faults += 1
            check_end(crew, number, victim, statuses)
        if (run / "export.json").exists():
            trial.compare("run", "reference")
            run.rename(tmp_path / f"finished-{faults}-{time.monotonic_ns()}")
    if (run / "config.json").exists():
        crew.start("--resume run")
        assert crew.wait() == [0] * count, crew.outputs()
        trial.compare("run", "reference")


def check_end(crew: Crew, number: signal.Signals, victim: int, statuses: list[int]) -> None:
    """Check statuses and last lines after a fault, which may have met the end of the run."""
    allowed = {0, EXIT_WORKER_LOST} if number in LOST else {0, EXIT_WORKER_LOST, 128 + number}
    assert set(statuses) <= allowed, crew.outputs()
    for worker in range(crew.count):
        for line in crew.lines(worker):
            assert "Traceback" not in line, crew.outputs()
            if line.startswith("error: "):
                assert f"worker {victim} (" in line, crew.outputs()
                assert "; start all again" in line


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
@pytest.mark.parametrize("victim", [0, 1])
def test_the_others_name_a_lost_worker_and_the_way_on(
    number: signal.Signals, victim: int, tmp_path: Path
) -> None:
    crew = Crew(tmp_path, 2)
    crew.start(f"{FLAGS} --epochs 100000 --run-dir run")
    while not checkpoints(tmp_path / "run" / "checkpoints"):
        time.sleep(0.1)
    assert crew.disturb(number, victim) == [EXIT_WORKER_LOST], crew.outputs()
    last = crew.lines(1 - victim)[-1]
    assert last.startswith(f"error: worker {victim} (127.0.0.1:")
    assert last.endswith("has ended or can't be reached; start all again with --resume run")
