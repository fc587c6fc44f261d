"""Signals stop a fit between two steps, with a checkpoint."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tfd2l as d2l
from tests.support.data import regression_data
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint
from tfd2l.export.signatures import export_regressor
from tfd2l.train.interrupt import InterruptedRunError, StopOnSignal


class RaiseSignal(d2l.Callback):
    """Sends this process a signal at a step."""

    def __init__(self, number: int, step: int) -> None:
        self.number, self.step = number, step

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
        if trainer.train_batch_idx == self.step:
            signal.raise_signal(self.number)


@pytest.fixture(autouse=True)
def _sighup_not_ignored(interruptible: None) -> Iterator[None]:
    """Undo what `nohup` and `&` do: tests and command would ignore the signals under them."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_fit_stops_at_the_next_step_and_resumes_from_there(
    number: signal.Signals, tmp_path: Path
) -> None:
    data = regression_data(320, 32)

    def model() -> d2l.LinearRegressionScratch:
        made = d2l.LinearRegressionScratch(2, lr=0.03)
        made.set_weights([np.zeros((2, 1)), np.zeros(1)])
        return made

    whole, cut, resumed = model(), model(), model()
    expected = d2l.Trainer(2).fit(whole, data)
    stop = StopOnSignal(
        lambda trainer: save_checkpoint(
            tmp_path, trainer.model, trainer.optim, trainer.state_dict()
        ).touch()
    )
    before = signal.getsignal(number)
    trainer = d2l.Trainer(2, steps_per_execution=1, callbacks=[RaiseSignal(number, 13), stop])
    with stop, pytest.raises(InterruptedRunError) as caught:
        trainer.fit(cut, data)
    assert caught.value.signal_number == number
    assert str(caught.value) == f"interrupted by {number.name}"
    assert signal.getsignal(number) is before
    (path,) = checkpoints(tmp_path)
    assert path.name == "epoch-00001.step-0000003"
    history = d2l.Trainer(2).fit(resumed, data, path)
    np.testing.assert_array_equal(resumed.w, whole.w)
    assert history["train_loss"] == expected["train_loss"]


def test_a_second_signal_and_one_after_the_fit_stop_the_run_at_once() -> None:
    trainer = d2l.Trainer(1)
    stop = StopOnSignal(lambda trainer: None)
    with stop:
        stop.on_epoch_begin(trainer)
        signal.raise_signal(signal.SIGINT)
        with pytest.raises(InterruptedRunError):
            signal.raise_signal(signal.SIGINT)
    late = StopOnSignal(lambda trainer: None)
    late.end_at_once()
    with late, pytest.raises(InterruptedRunError):
        signal.raise_signal(signal.SIGTERM)
    # A signal after the last epoch, when no step is left.
    between = StopOnSignal(lambda trainer: None)
    with between:
        between.on_epoch_begin(trainer)
        signal.raise_signal(signal.SIGHUP)
        with pytest.raises(InterruptedRunError, match="SIGHUP"):
            between.end_at_once()


def test_a_signal_before_the_first_epoch_ends_a_resumed_fit_that_skips_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, trainer = d2l.LinearRegressionScratch(2, lr=0.03), d2l.Trainer(2)
    trainer.fit(model, regression_data())
    path = save_checkpoint(tmp_path, model, trainer.optim, trainer.state_dict())

    class Hooks(list[Any]):
        """A loader whose hook, called for each skipped pass, gets the signal."""

        num_batches = property(len)

        def on_epoch_begin(self) -> None:
            signal.raise_signal(signal.SIGTERM)

        def on_epoch_end(self) -> None:
            raise AssertionError("the fit went on")

    data = regression_data()
    batches = Hooks(data.train_dataloader())
    monkeypatch.setattr(data, "train_dataloader", lambda: batches)
    stop = StopOnSignal(lambda trainer: None)
    with stop, pytest.raises(InterruptedRunError, match="SIGTERM"):
        d2l.Trainer(3, callbacks=[stop]).fit(model, data, path)


def test_an_interruption_that_tensorflow_turns_into_an_error_is_one_all_the_same() -> None:
    def turn() -> None:
        try:
            signal.raise_signal(signal.SIGTERM)
        except InterruptedRunError as error:
            raise RuntimeError("pybind11::error_already_set") from error

    stop = StopOnSignal(lambda trainer: None)
    with pytest.raises(InterruptedRunError, match="SIGTERM"), stop:
        turn()
    with pytest.raises(RuntimeError, match="another"), StopOnSignal(lambda trainer: None):
        raise RuntimeError("another")


def test_an_interruption_is_not_reported_as_an_error_of_the_model(tmp_path: Path) -> None:
    class Interrupted(d2l.LinearRegressionScratch):
        def forward(self, X: Any) -> Any:
            raise InterruptedRunError(signal.SIGINT)

    data = regression_data()
    # Tracing catches all errors of a step, and exporting all of the forward pass; but not this.
    with pytest.raises(InterruptedRunError):
        d2l.Trainer(1).fit(Interrupted(2, lr=0.03), data)
    with pytest.raises(InterruptedRunError):
        export_regressor(Interrupted(2, lr=0.03), tmp_path, num_inputs=2)


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with StopOnSignal(lambda trainer: None):
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)
