"""Workers that are killed, stopped, interrupted or cut off: the others end, the run can go on."""

from __future__ import annotations

import json
import os
import random
import signal
import time
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.kills import Trial
from tests.support.teams import LIMIT_S, Crew, free_addresses, random_fault
from tests.support.warm import WarmProcess
from tests.support.wires import Wires
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
@pytest.mark.parametrize("count", [2, 3])
def test_the_others_name_a_lost_worker_and_the_way_on(
    count: int, number: signal.Signals, victim: int, tmp_path: Path
) -> None:
    crew = Crew(tmp_path, count)
    crew.start(f"{FLAGS} --epochs 100000 --run-dir run")
    crew.wait_for_checkpoint()
    assert crew.disturb(number, victim) == [EXIT_WORKER_LOST] * (count - 1), crew.outputs()
    for other in {*range(count)} - {victim}:
        last = crew.lines(other)[-1]
        assert last.startswith(f"error: worker {victim} (127.0.0.1:"), crew.outputs()
        assert last.endswith("has ended or can't be reached; start all again with --resume run")


@pytest.mark.long
def test_workers_that_are_cut_off_from_each_other_both_end(tmp_path: Path) -> None:
    wires = Wires()
    own = free_addresses(2)
    wired = [f"127.0.0.1:{wires.port_to(int(one.partition(':')[2]))}" for one in own]
    workers = []
    for number in (0, 1):
        addresses = [own[i] if i == number else wired[i] for i in (0, 1)]
        task = {"type": "worker", "index": number}
        cluster = {"cluster": {"worker": addresses}, "task": task}
        workers.append(
            WarmProcess(
                ["-m", "tests.support.replicas", "endless"],
                cwd=ROOT,
                environment={**os.environ, "TF_CONFIG": json.dumps(cluster)},
                outputs=(tmp_path / f"{number}.out", tmp_path / f"{number}.err"),
            )
        )
    try:
        while not all((tmp_path / f"{i}.err").exists() for i in (0, 1)):
            time.sleep(0.2)
        while not all("begun" in (tmp_path / f"{i}.err").read_text() for i in (0, 1)):
            time.sleep(0.2)
        time.sleep(15)  # the fit has begun by then, on a slow machine too
        wires.cut()
        deadline_s = time.monotonic() + LIMIT_S
        while not all((tmp_path / f"{i}.out").read_text() for i in (0, 1)):
            assert time.monotonic() < deadline_s
            time.sleep(0.2)
    finally:
        for worker in workers:
            worker.kill()
    for number in (0, 1):
        error = json.loads((tmp_path / f"{number}.out").read_text())
        assert error.startswith(f"WorkerError: worker {1 - number} ({wired[1 - number]}) has ended")
