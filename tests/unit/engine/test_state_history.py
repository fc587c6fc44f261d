"""Means of an epoch, and the table and picture of the epochs."""

from __future__ import annotations

import math

import pytest

from tfd2l.engine import history as history_module
from tfd2l.engine.history import History
from tfd2l.engine.state import Mean


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


def test_the_history_draws_its_metrics_against_the_epochs() -> None:
    history = History(epoch=[1.0, 2.0, 3.0], train_loss=[3.0, 2.0, 1.5], seconds=[9.0, 9.0, 9.0],
                      val_acc=[math.nan, 0.5, math.nan])  # fmt: skip
    axes = history.plot()
    lines = {line.get_label(): line for line in axes.lines}
    assert lines.keys() == {"train_loss", "val_acc"}
    assert lines["train_loss"].get_xydata().tolist() == [[1, 3.0], [2, 2.0], [3, 1.5]]
    # A single point is drawn as a dot, since a line through it would be invisible.
    assert lines["val_acc"].get_xydata().tolist() == [[2, 0.5]]
    assert (lines["train_loss"].get_marker(), lines["val_acc"].get_marker()) == ("", "o")
    assert (axes.get_xlabel(), all(x.is_integer() for x in axes.get_xticks())) == ("epoch", True)
    assert [line.get_label() for line in history.plot("val_acc").lines] == ["val_acc"]


def test_a_notebook_shows_the_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[object] = []

    def show(figure: object) -> bool:
        shown.append(figure)
        return True

    monkeypatch.setattr(history_module, "show_figure", show)
    assert History(epoch=[1.0], train_loss=[3.0]).plot() is None
    assert len(shown) == 1


def test_a_single_epoch_has_no_fractions_on_its_axis() -> None:
    axes = History(epoch=[1.0], loss=[0.5]).plot()
    axes.figure.draw_without_rendering()
    assert all(float(x).is_integer() for x in axes.get_xticks())


@pytest.mark.parametrize(
    ("history", "names", "message"),
    [
        (History(), (), r"the history has no metrics to plot; its columns are \[\]"),
        (History(epoch=[1.0], loss=[1.0]), ("acc",), r"no 'acc' to plot.* \['epoch', 'loss'\]"),
    ],
)
def test_what_is_not_there_is_not_plotted(
    history: History, names: tuple[str, ...], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        history.plot(*names)
