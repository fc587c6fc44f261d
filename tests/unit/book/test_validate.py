"""Trainer.validate: the numbers of a fit's last validation, and nothing changed by it."""

from __future__ import annotations

import copy
import itertools
from typing import Any

import numpy as np
import pytest

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, blobs, points


def quiet(epochs: int, **mode: Any) -> d2l.Trainer:
    return d2l.Trainer(epochs, enable_progress_bar=False, **mode)


@pytest.mark.parametrize("mode", MODES)
def test_the_mean_is_as_worked_by_hand_also_without_a_fit(mode: str) -> None:
    # At w = 0 the losses are y^2 / 2 = 2, 8 | 18, in batches of sizes 2 and 1.
    found = quiet(1, **MODES[mode]).validate(Line(), Loaders(None, points(3, 2)))
    assert found == {"val_loss": pytest.approx(28 / 3, rel=1e-6)}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        *itertools.product([*MODES, "default"], ["in memory"]),
        *itertools.product(["compiled", "eager", "default"], ["streamed"]),
        # XLA takes a second to compile a step.
        pytest.param("xla", "streamed", marks=pytest.mark.long),
    ],
)
def test_after_a_fit_it_gives_the_bits_of_the_last_validation(mode: str, kind: str) -> None:
    loader = batched(blobs(64), 3, shuffle=False)
    val = loader if kind == "in memory" else loader.map(lambda *batch: batch)
    data = Loaders(batched(blobs(8), 8, shuffle=True), val)
    model = d2l.MLP(3, num_hiddens=8, lr=0.1)
    # With 21 full batches in 50 epochs XLA takes over by default, whose bits are others.
    trainer = quiet(50 if (mode, kind) == ("default", "in memory") else 3, **MODES.get(mode, {}))
    history = trainer.fit(model, data)
    before = copy.deepcopy((trainer.state.to_json(), model.board.data)), trainer.epoch
    for _ in range(2):
        assert trainer.validate(model, data) == {
            name: history[name][-1] for name in ("val_loss", "val_acc")
        }
    assert (trainer.state.to_json(), model.board.data) == before[0]
    assert (trainer.epoch, model.trainer, trainer.history) == (before[1], trainer, history)


@pytest.mark.slow
def test_within_a_fit_it_changes_nothing() -> None:
    found = []

    class Validates(d2l.Callback):
        def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
            found.append(trainer.validate(trainer.model, data)["val_loss"])

        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            found.append(trainer.validate(trainer.model, data)["val_loss"])

    data = Loaders(points(5, 2), points(3, 2))
    expected = quiet(3).fit(Line(0.01), data)
    trainer = quiet(3, callbacks=[Validates()])
    history = trainer.fit(Line(0.01), data)
    assert {**history, "seconds": 0} == {**expected, "seconds": 0}
    assert set(history["val_loss"]) < set(found)
    assert trainer.num_traces == 4  # two sizes of batches in each of the fit's own steps


def test_a_step_patched_after_the_fit_takes_effect() -> None:
    class Patched(Line):
        pass

    data, model, trainer = Loaders(points(2, 2), points(2, 2)), Patched(), quiet(1)
    trainer.fit(model, data)

    @d2l.add_to_class(Patched)
    def validation_step(self: Any, batch: Any) -> None:
        self.plot("seven", 7.0, train=False)

    assert trainer.validate(model, data) == {"val_seven": 7.0}


def test_an_error_leaves_model_and_trainer_as_they_were() -> None:
    class Fails(Line):
        def validation_step(self, batch: Any) -> None:
            raise RuntimeError("no")

    model, trainer = Fails(), quiet(1)
    board, state = model.board, trainer.state
    with pytest.raises(RuntimeError, match="no"):
        trainer.validate(model, Loaders(None, points(2, 2)))
    assert (model.board, trainer.state) == (board, state)


@pytest.mark.parametrize("val", [None, [], iter(())])
def test_without_batches_it_says_so(val: Any) -> None:
    with pytest.raises(ValueError, match="no batches to validate on"):
        quiet(1).validate(Line(), Loaders(None, val))


def test_what_is_no_data_module_is_refused() -> None:
    with pytest.raises(TypeError, match="the data given is a ndarray"):
        quiet(1).validate(Line(), np.zeros((3, 1)))
