"""Means of an epoch, and the table of the epochs."""

from __future__ import annotations

import math

import pytest

from tfd2l.engine.state import History, Mean


def test_a_mean_is_weighted_and_nan_without_values() -> None:
    assert math.isnan(Mean().value)
    assert Mean().plus(1.0, 3).plus(5.0, 1).value == pytest.approx(2.0)


def test_columns_without_a_value_in_an_epoch_have_nan_there() -> None:
    history = History()
    history.append_row({"epoch": 1, "loss": 0.5})
    history.append_row({"epoch": 2, "acc": 0.9})
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
