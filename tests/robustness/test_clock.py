"""Fits and runs do not depend on the system's clock."""

from __future__ import annotations

import itertools
import os
import time
from pathlib import Path

import numpy as np
import pytest

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.engine.history import History
from tfd2l.train.records import RunError
from tfd2l.train.run_directory import RunDirectory, new_run_path

YEAR_S = 365 * 24 * 3600.0


def test_a_clock_that_jumps_changes_neither_a_fit_nor_the_choice_of_its_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = regression_data(64, 32)

    def fit(directory: RunDirectory) -> tuple[History, np.ndarray]:
        model = d2l.LinearRegressionScratch(2, lr=0.03)
        model.set_weights([np.zeros((2, 1)), np.zeros(1)])
        history = d2l.Trainer(4, callbacks=[directory]).fit(model, data)
        return history, model.w.numpy()

    expected, w = fit(RunDirectory(tmp_path / "reference"))
    jumps = itertools.cycle([1e9, 1e9 + YEAR_S, 1e9 - YEAR_S])
    monkeypatch.setattr(time, "time", lambda: next(jumps))
    directory = RunDirectory(tmp_path / "run")
    history, same = fit(directory)
    np.testing.assert_array_equal(same, w)
    assert history["train_loss"] == expected["train_loss"]
    assert min(history["seconds"]) > 0
    # The checkpoint with the oldest date has the highest number.
    found = sorted((tmp_path / "run" / "checkpoints").iterdir())
    for age, path in enumerate(found):
        os.utime(path, (1e9 - age * YEAR_S,) * 2)
    latest = directory.last_good_checkpoint(say=print)
    assert latest is not None
    assert latest.name == "epoch-00004.step-0000000"


def test_two_runs_of_one_second_get_directories_of_their_own(tmp_path: Path) -> None:
    assert len({new_run_path(tmp_path, "mlp") for _ in range(20)}) == 20
    with pytest.raises(RunError, match="can't be made"):
        new_run_path(Path(os.devnull), "mlp")
