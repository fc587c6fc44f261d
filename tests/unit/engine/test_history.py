"""Means and rows of the history."""

from __future__ import annotations

import math

import pytest

from tfd2l.engine.history import History, Mean, append_row


def test_a_mean_is_weighted_and_without_values_is_none_of_the_numbers() -> None:
    mean = Mean()
    assert math.isnan(mean.value)
    mean.add(1.0, 3)
    mean.add(5.0, 1)
    assert mean.value == pytest.approx(2.0)


def test_columns_that_appear_late_or_pause_have_gaps() -> None:
    history = History()
    append_row(history, {"epoch": 1, "loss": 0.5})
    append_row(history, {"epoch": 2, "acc": 0.9})
    assert history["epoch"] == [1, 2]
    assert history["loss"][0] == 0.5
    assert math.isnan(history["loss"][1])
    assert math.isnan(history["acc"][0])
    assert history["acc"][1] == 0.9


def test_a_notebook_shows_a_table_with_a_row_for_each_epoch() -> None:
    history = History(epoch=[1.0, 2.0], acc=[0.25, 1 / 3])
    assert history._repr_html_() == (
        "<table><thead><tr><th>epoch</th><th>acc</th></tr></thead><tbody>"
        "<tr><td>1</td><td>0.25</td></tr><tr><td>2</td><td>0.3333</td></tr></tbody></table>"
    )
