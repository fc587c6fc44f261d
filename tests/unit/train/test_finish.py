"""The check of a finished run: diverged models are not published."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pandas as pd
import pytest

import tfd2l as d2l
from tfd2l.engine.history import History
from tfd2l.export.models import interface
from tfd2l.train import command as train
from tfd2l.train.finish import UnfitModelError, check_fit, check_interface
from tfd2l.train.settings.config import ConfigError

HISTORY = History(epoch=[1.0, 2.0], train_loss=[4.0, 2.0], val_loss=[3.0, 1.0])


def built() -> d2l.LinearRegressionScratch:
    return d2l.LinearRegressionScratch(2, lr=0.03)


def test_finite_numbers_are_published_even_if_an_earlier_validation_was_nan() -> None:
    check_fit(built(), History({**HISTORY, "val_loss": [math.nan, 1.0]}))


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_an_infinite_or_nan_metric_is_named_with_its_epoch(value: float) -> None:
    pattern = f"val_loss is {value} in epoch 2. Nothing is published; begin a new run with a small"
    with pytest.raises(UnfitModelError, match=pattern):
        check_fit(built(), History({**HISTORY, "val_loss": [1.0, value]}))


def test_an_infinite_weight_is_named() -> None:
    model = built()
    model.w[1, 0].assign(math.inf)
    with pytest.raises(UnfitModelError, match="after epoch 2 variable . of the model, 'w.*NaN. No"):
        check_fit(model, HISTORY)


@pytest.mark.parametrize(
    ("batch_size", "message"),
    [
        # Three steps, each of which roughly squares the loss; the last one overflows float32.
        (334, "the validation loss became inf at step 1 of the validation of epoch 1; "),
        # Two steps: the numbers are finite, but useless.
        (500, "the training loss grew from "),
    ],
)
def test_a_diverged_run_publishes_nothing_and_names_the_remedy(
    batch_size: int,
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--model", "linear", "--lr", "1e6", "--epochs", "1"]
    assert train.main([*flags, "--batch-size", str(batch_size)]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: {message}")
    assert said.count("\n") == 1
    assert not Path("savedmodels").exists()


@pytest.mark.slow
def test_a_run_that_diverged_in_a_later_epoch_can_be_resumed_with_a_smaller_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    # Each of an epoch's two steps multiplies the distance by some 1 - 100, until float32 overflows.
    flags = ["--model", "linear-scratch", "--lr", "100", "--epochs", "30", "--batch-size", "500"]
    assert train.main([*flags, "--run-dir", "run"]) == 2
    error, hint = capsys.readouterr().err.splitlines()
    assert "try a smaller learning rate" in error
    assert hint == "resume from the last checkpoint with --resume run --lr 10"
    # Now each step halves it: 1e19 is 1e-5 after eighty.
    assert train.main(["--resume", "run", "--lr", "0.5", "--epochs", "60"]) == 0
    table = pd.read_csv("run/metrics.csv")
    assert table["epoch"].tolist() == [*range(1, 61)]
    # The noise has a standard deviation of 0.01, and the loss is half of a square.
    assert table["val_loss"].iloc[-1] == pytest.approx(0.01**2 / 2, rel=0.1)


def test_new_categories_are_no_other_model_but_another_type_is(tmp_path: Path) -> None:
    def houses(**columns: list[object]) -> d2l.Table:
        prices = [1.0, 2.0, 4.0, 8.0]
        return d2l.Table(pd.DataFrame({**columns, "Price": prices}), target="Price", val_share=0)

    (tmp_path / "1/assets.extra").mkdir(parents=True)
    (tmp_path / "1/saved_model.pb").touch()
    before = houses(Roof=["Tin", "Slate", "Tin", "Tin"], Rooms=[1, None, 4, 5])
    card = interface(before)
    assert card["input"]["choices"] == {"Roof": ["Slate", "Tin"]}
    assert card["input"]["example"] == {"Rooms": 1.0, "Roof": "Tin"}
    assert card["input"]["takes_missing"] is True
    (tmp_path / "1/assets.extra/card.json").write_text(json.dumps(card))
    check_interface(tmp_path, houses(Roof=["Tin", "Reed", "Tin", None], Rooms=[2, 7, 4, 5]), False)
    with pytest.raises(ConfigError, match="with another input. Choose"):
        check_interface(
            tmp_path, houses(Roof=["a", "b", "a", "a"], Rooms=["x", "y", "y", "y"]), False
        )
