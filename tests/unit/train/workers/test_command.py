"""The command on two workers of this machine."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tests.support.teams import Crew
from tests.support.warm import run_warm
from tfd2l.common.arrays import read_weights
from tfd2l.engine.checkpoint import checkpoints
from tfd2l.train.settings.config import from_settings
from tfd2l.train.workers.team import facts_of_run

FLAGS = "--model linear --device cpu --epochs 2 --early-stopping 5 --publish-anyway"


@pytest.mark.slow
def test_two_workers_make_the_run_of_one_and_the_chief_alone_keeps_it(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 2)
    crew.start(f"{FLAGS} --run-dir run", chief=True)
    alone = run_warm(
        "-m", "tfd2l.train", *FLAGS.split(), "--run-dir", "alone", "--export-dir", "other",
        cwd=tmp_path, environment={"TF_CONFIG": ""},
    )  # fmt: skip
    assert alone.returncode == 0, alone.stderr
    assert crew.wait() == [0, 0], crew.outputs()
    start, end = crew.lines(1)
    assert start.startswith("worker 1 (127.0.0.1:")
    assert start.endswith(" of 2: the run is kept by worker 0")
    assert end.endswith(" of 2: the run in run has ended")
    assert crew.text(0).count("train loss") == 1
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"0.txt", "1.txt", "run", "alone", "savedmodels", "other"}
    assert [path.name for path in (tmp_path / "savedmodels" / "linear").iterdir()] == ["1"]
    tables = [pd.read_csv(tmp_path / run / "metrics.csv") for run in ("run", "alone")]
    left, right = (table.drop(columns="seconds") for table in tables)
    # Sums in another order round differently.
    pd.testing.assert_frame_equal(left, right, check_exact=False, rtol=1e-5)
    for one, other in zip(*map(last_weights, (tmp_path / "run", tmp_path / "alone")), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def last_weights(run: Path) -> list[np.ndarray]:
    """The arrays of a run's last checkpoint."""
    return read_weights(checkpoints(run / "checkpoints")[0])[0]


@pytest.mark.long
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
@pytest.mark.parametrize("victim", [0, 1])
def test_a_signal_to_one_worker_ends_all_after_the_same_step(
    number: signal.Signals, victim: int, tmp_path: Path
) -> None:
    crew = Crew(tmp_path, 2)
    crew.start(f"{FLAGS} --epochs 100000 --run-dir run")
    crew.wait_for_checkpoint()
    assert crew.disturb(number, victim) == [128 + number] * 2, crew.outputs()
    for worker in (0, 1):
        assert crew.lines(worker)[-1] == (
            f"interrupted by {number.name} at worker {victim}; resume with --resume run"
        )


@pytest.mark.long
def test_a_worker_with_another_batch_size_ends_all_with_one_line(tmp_path: Path) -> None:
    crew = Crew(tmp_path, 2)
    crew.start(f"{FLAGS} --run-dir run", ("", "--batch-size 64"))
    assert crew.wait() == [2, 2], crew.outputs()
    for worker in (0, 1):
        last = crew.lines(worker)[-1]
        assert last.startswith(
            "error: all workers must train alike; --batch-size is 64 on worker 1"
        )
    assert not (tmp_path / "run").exists()


def test_the_facts_of_a_run_are_what_shapes_it(tmp_path: Path) -> None:
    file = tmp_path / "nets.py"
    file.write_text("one")
    settings = {"model": f"{file}:Net", "batch_size": 64, "run_dir": "a", "export_dir": "b"}
    data = {"name": "folder", "source": "/here", "files": {"train": "abc"}}

    def facts(other: dict[str, object] | None = None, where: str = "/here") -> dict[str, object]:
        config = from_settings({**settings, **(other or {})})
        return facts_of_run(config, {**data, "source": where}, None)

    def differing(one: dict[str, object], other: dict[str, object]) -> list[str]:
        return [name for name in one if one[name] != other[name]]

    first = facts()
    assert differing(first, facts({"run_dir": "c", "export_dir": "d", "keep_versions": 3})) == []
    assert differing(first, facts(where="/there")) == []
    assert differing(first, facts({"batch_size": 32})) == ["--batch-size"]
    assert differing(first, facts({"checkpoint_every": 5})) == ["--checkpoint-every"]
    assert first["data: files: train"] == "abc"
    file.write_text("two")
    assert differing(first, facts()) == ["the SHA-256 of the model file"]
