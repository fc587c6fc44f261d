"""The data module of a run: what it says, and the limit of batches."""

from __future__ import annotations

import numpy as np
import pytest

import tfd2l as d2l
from tfd2l.train.data import LimitedData, make_data, task_of
from tfd2l.train.settings.config import from_settings


def test_the_linear_models_learn_made_up_data(capsys: pytest.CaptureFixture[str]) -> None:
    data = make_data(from_settings({"model": "weight-decay"}), None, say=print)
    assert capsys.readouterr().out.startswith("data: 1,000 + 1,000 made-up examples of y = Xw + b")
    assert task_of(data) == "regression"
    assert isinstance(data, d2l.SyntheticRegressionData)


def test_a_limit_takes_the_first_batches_of_each_epochs_own_order() -> None:
    whole = d2l.SyntheticRegressionData([2.0], 1.0, num_train=40, num_val=24, batch_size=8)
    limited = LimitedData(whole, 2)
    seen = []
    for epoch in range(2):
        with whole.fixed_sequence(epoch):
            expected = [X.numpy() for X, _ in whole.train_dataloader()][:2]
        with limited.fixed_sequence(epoch):
            found = [X.numpy() for X, _ in limited.train_dataloader()]
        np.testing.assert_array_equal(found, expected)
        seen.append(np.sort(np.ravel(found)))
    # Two orders, of which different examples come first.
    assert not np.array_equal(seen[0], seen[1])
    assert [len(X) for X, _ in limited.val_dataloader()] == [8, 8]
    assert limited.describe() == {**whole.describe(), "limit_batches": 2}
    # The export has all of it.
    assert len(limited.raw_examples()[1]) == 24


def test_a_limited_run_makes_so_many_steps() -> None:
    data = LimitedData(d2l.SyntheticRegressionData([2.0], 1.0, batch_size=8), 3)
    trainer = d2l.Trainer(2, enable_progress_bar=False)
    trainer.fit(d2l.LinearRegressionScratch(1, lr=0.01), data)
    assert (trainer.train_batch_idx, trainer.val_batch_idx) == (6, 6)
