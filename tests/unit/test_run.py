"""A run's directory: nothing overwritten, every file whole."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import tfd2l as d2l
from tfd2l.run import KEEP_CHECKPOINTS, RunDirectory, RunError, new_run_path


def test_metrics_events_and_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.write_config({"lr": 0.03}, {"name": "made up"})
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=8, num_val=8)
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    history = d2l.Trainer(5, callbacks=[run]).fit(model, data)
    table = pd.read_csv(run.path / "metrics.csv")
    pd.testing.assert_frame_equal(table, pd.DataFrame(history), check_dtype=False)
    config = json.loads((run.path / "config.json").read_text())
    assert config["settings"] == {"lr": 0.03}
    assert {"python", "tensorflow", "keras", "tfd2l"} <= set(config["versions"])
    kept = sorted(path.name for path in (run.path / "checkpoints").glob("*"))
    assert kept == [f"epoch-{epoch:05d}.step-0000000" for epoch in range(6 - KEEP_CHECKPOINTS, 6)]
    assert [path.name for path in run.path.rglob(".*")] == [".lock"]


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(RunError, match="not empty .it has 'notes'.*--run-dir"):
        RunDirectory(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="can't be made or read.*--run-dir"):
            RunDirectory(path)
    with pytest.raises(RunError, match="can't be made"):
        new_run_path(tmp_path / "file", "mlp")


def test_runs_of_one_second_get_directories_of_their_own(tmp_path: Path) -> None:
    paths = {new_run_path(tmp_path / "runs", "mlp") for _ in range(5)}
    assert len(paths) == 5
    assert all(path.is_dir() and path.name.startswith("mlp-") for path in paths)


def test_the_last_checkpoint_holds_the_weights_of_the_end(tmp_path: Path) -> None:
    from tfd2l.checkpoint import checkpoints, load_checkpoint

    run = RunDirectory(tmp_path / "run")
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=8, num_val=8)
    model, other = (d2l.LinearRegressionScratch(2, lr=0.03) for _ in range(2))
    d2l.Trainer(2, callbacks=[run]).fit(model, data)
    latest = checkpoints(run.path / "checkpoints")[0]
    assert load_checkpoint(latest, other)["epoch"] == 2
    np.testing.assert_array_equal(model.w, other.w)
