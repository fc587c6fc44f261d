"""Callbacks: the end of a fit, early stopping, checkpoints, and objects that are none."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import Loaders
from tests.support.fits import MODES, Line, points
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint
from tfd2l.engine.errors import CheckpointError


class Scripted(d2l.Module):
    """Its validation loss in each epoch is given, and its weight counts the epochs."""

    def __init__(self, losses: list[float], name: str = "loss") -> None:
        super().__init__()
        self.values = tf.constant(losses)
        self.name_of_value = name
        self.w = tf.Variable(0.0)

    def training_step(self, batch: Any) -> Any:
        return -self.w

    def validation_step(self, batch: Any) -> None:
        epoch = tf.cast(self.w, tf.int32) - 1
        self.plot(self.name_of_value, tf.gather(self.values, epoch), train=False)

    def configure_optimizers(self) -> Any:
        return d2l.SGD(1.0)


LOSSES = [5.0, 3.0, 4.0, 2.95, 3.5, 2.0, 1.0]


def fit(model: d2l.Module, *callbacks: d2l.Callback, checkpoint: Path | None = None) -> d2l.Trainer:
    trainer = d2l.Trainer(len(LOSSES), callbacks=callbacks, enable_progress_bar=False)
    trainer.fit(model, Loaders(points(2, 2), points(2, 2)), checkpoint)
    return trainer


@pytest.mark.slow
@pytest.mark.parametrize(
    ("patience", "min_delta", "best", "stopped"),
    [
        (1, 0.0, 2, 3),  # 4.0 is no improvement on 3.0
        (0, 0.0, 2, 3),
        (2, 0.0, 7, 0),  # 2.95 after one epoch without improvement
        (2, 0.1, 2, 4),  # 4.0 and 2.95 improve on 3.0 by too little
        (3, 0.1, 2, 5),
        (4, 0.1, 7, 0),  # 2.0 comes in time
    ],
)
def test_early_stopping_counts_epochs_without_improvement(
    patience: int, min_delta: float, best: int, stopped: int
) -> None:
    stop = d2l.EarlyStopping(patience=patience, min_delta=min_delta)
    trainer = fit(Scripted(LOSSES), stop)
    assert (stop.best_epoch, stop.stopped_epoch) == (best, stopped)
    assert len(trainer.history["epoch"]) == (stopped or len(LOSSES))
    assert stop.best == pytest.approx(LOSSES[best - 1])


@pytest.mark.slow
@pytest.mark.parametrize(("patience", "min_delta"), [(1, 0.0), (2, 0.1), (3, 0.1)])
def test_early_stopping_ends_where_keras_does(patience: int, min_delta: float) -> None:
    class Scores(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            logs["val_loss"] = LOSSES[epoch]

    net = keras.Sequential([keras.layers.Dense(1)])
    net.compile("sgd", "mse")
    theirs = keras.callbacks.EarlyStopping(patience=patience, min_delta=min_delta)
    told = net.fit(np.zeros((2, 1)), np.zeros((2, 1)), epochs=len(LOSSES), verbose=0,
                   callbacks=[Scores(), theirs])  # fmt: skip
    trainer = fit(Scripted(LOSSES), d2l.EarlyStopping(patience=patience, min_delta=min_delta))
    assert len(trainer.history["epoch"]) == len(told.epoch)


def test_the_best_weights_are_restored_and_validate_as_they_did() -> None:
    model = Scripted(LOSSES)
    stop = d2l.EarlyStopping(patience=2, min_delta=0.1, restore_best_weights=True)
    trainer = fit(model, stop)
    assert float(model.w) == 2.0
    assert trainer.validate(model, Loaders(None, points(2, 2))) == {"val_loss": 3.0}


def test_higher_is_better_for_an_accuracy_and_nan_never_is() -> None:
    accuracies = [math.nan, 0.5, math.nan, 0.7, 0.6, 0.6, 0.6]
    stop = d2l.EarlyStopping("val_acc", patience=2)
    fit(Scripted(accuracies, "acc"), stop)
    assert (stop.mode, stop.best_epoch, stop.stopped_epoch) == ("max", 4, 6)


def test_a_callback_serves_one_fit_after_the_other() -> None:
    stop = d2l.EarlyStopping(patience=1)
    for _ in range(2):
        assert fit(Scripted(LOSSES), stop).history["epoch"] == [1, 2, 3]


def test_a_monitor_that_is_not_there_is_answered_with_what_is() -> None:
    with pytest.raises(ValueError, match=r"'val_accuracy'.*monitor one of \['train_loss', 'val_l"):
        fit(Scripted(LOSSES), d2l.EarlyStopping("val_accuracy"))
    with pytest.raises(ValueError, match="'val_bleu' should become small or large; pass mode="):
        d2l.EarlyStopping("val_bleu")
    with pytest.raises(ValueError, match="mode must be 'auto', 'min' or 'max'; got 'up'"):
        d2l.EarlyStopping(mode="up")


def test_checkpoints_of_the_best_epoch_only_or_of_each(tmp_path: Path) -> None:
    fit(
        Scripted([*LOSSES[:6], 2.5]),
        d2l.ModelCheckpoint(tmp_path / "best", save_best_only=True),
        d2l.ModelCheckpoint(tmp_path / "{epoch:02d}-{val_loss:.1f}"),
    )
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["01-5.0", "02-3.0", "03-4.0", "04-3.0", "05-3.5", "06-2.0", "07-2.5", "best"]
    model = Scripted(LOSSES)
    model.load_weights(tmp_path / "best")
    assert float(model.w) == 6.0


def test_a_path_with_an_unknown_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"columns of the history in braces, \['epoch', 'train_lo"):
        fit(Scripted(LOSSES), d2l.ModelCheckpoint(tmp_path / "{val_acc}"))


@pytest.mark.slow
@pytest.mark.parametrize("epoch", [1, 3, 4])
def test_a_resumed_fit_stops_and_restores_like_one_without_a_break(
    epoch: int, tmp_path: Path
) -> None:
    def callbacks() -> list[d2l.Callback]:
        # The one that writes comes first, and yet has the state of the other after the epoch.
        return [
            d2l.ModelCheckpoint(tmp_path / "{epoch}"),
            d2l.EarlyStopping(patience=2, min_delta=0.1, restore_best_weights=True),
        ]

    whole = Scripted(LOSSES)
    expected = fit(whole, *callbacks()).history
    resumed, again = Scripted(LOSSES), callbacks()
    history = fit(resumed, *again, checkpoint=tmp_path / str(epoch)).history
    assert history["epoch"] == expected["epoch"] == [1, 2, 3, 4]
    assert float(whole.w) == float(resumed.w) == 2.0
    assert again[1].state_dict()["best"] == 3.0


def test_a_checkpoint_is_taken_along_without_its_callback_under_a_warning(tmp_path: Path) -> None:
    fit(Scripted(LOSSES), d2l.EarlyStopping(), d2l.ModelCheckpoint(tmp_path / "one"))
    with pytest.warns(UserWarning, match="has the state of EarlyStopping, and the trainer has no"):
        fit(Scripted(LOSSES), d2l.ModelCheckpoint(tmp_path / "x"), checkpoint=tmp_path / "one")


def test_a_checkpoint_with_best_weights_is_refused_by_another_model(tmp_path: Path) -> None:
    stop = d2l.EarlyStopping(restore_best_weights=True)
    fit(Scripted(LOSSES), stop, d2l.ModelCheckpoint(tmp_path / "one"))
    with pytest.raises(CheckpointError, match="with other variables"):
        fit(Line(), stop, checkpoint=tmp_path / "one")


class Stops(d2l.Callback):
    """Ends the fit in a hook of the second epoch."""

    def __init__(self, hook: str) -> None:
        setattr(self, hook, self.stop)
        self.ended = False

    def stop(self, trainer: d2l.Trainer, *values: Any) -> None:
        if trainer.epoch == 1:
            trainer.should_stop = True

    def on_fit_end(self, trainer: d2l.Trainer) -> None:
        self.ended = True


@pytest.mark.slow
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize(
    ("hook", "epochs", "steps"),
    [
        # The pass ends after the call, the validation follows, and the epoch counts.
        ("on_train_batches_end", 2, 4),
        ("on_epoch_end", 2, 6),
        ("on_epoch_begin", 1, 3),
    ],
)
def test_any_hook_can_end_the_fit(hook: str, epochs: int, steps: int, mode: str) -> None:
    stops = Stops(hook)
    trainer = d2l.Trainer(5, callbacks=stops, steps_per_execution=1, **MODES[mode])
    history = trainer.fit(Line(0.01), Loaders(points(3, 1), points(2, 2)))
    assert (len(history["val_loss"]), trainer.train_batch_idx, stops.ended) == (epochs, steps, True)


def test_an_eager_step_and_a_loop_of_ones_own_can_end_the_fit() -> None:
    class Enough(Line):
        def training_step(self, batch: Any) -> Any:
            loss = super().training_step(batch)
            if float(loss) < 0.5:
                self.trainer.should_stop = True
            return loss

    # w is 0, 1, 1.5 and the loss of (2 - w) x at x = 1: 2, 0.5, 0.125.
    trainer = d2l.Trainer(9, run_eagerly=True)
    assert len(trainer.fit(Enough(0.5), Loaders(points(1, 1)))["epoch"]) == 3

    class Own(d2l.Trainer):
        def fit_epoch(self) -> None:
            self.train_batch_idx += 1
            self.should_stop = self.epoch == 1

    assert Own(9).fit(Line(), Loaders(points(2, 2)))["epoch"] == [1, 2]


@pytest.mark.parametrize("epochs", [2, 5])
def test_a_changed_number_of_epochs_is_heeded(epochs: int) -> None:
    class Changes(d2l.Callback):
        def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
            trainer.max_epochs = epochs

    model = Line(0.01)
    trainer = d2l.Trainer(3, callbacks=[Changes()])
    assert len(trainer.fit(model, Loaders(points(2, 2)))["epoch"]) == epochs
    assert model.board.xlim == [0, epochs]


def test_keras_way_to_end_a_fit_works_too() -> None:
    class Ends(d2l.Callback):
        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            trainer.model.stop_training = True

    assert d2l.Trainer(3, callbacks=Ends()).fit(Line(0.01), Loaders(points(2, 2)))["epoch"] == [1]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (keras.callbacks.EarlyStopping(), "EarlyStopping: instead of Keras' take d2l.EarlyStoppi"),
        (keras.callbacks.ModelCheckpoint("x.keras"), "take d2l.ModelCheckpoint"),
        (keras.callbacks.LearningRateScheduler(abs), "take a schedule of keras.optimizers.sched"),
        (keras.callbacks.LambdaCallback(), "take a subclass of d2l.Callback"),
        (keras.callbacks.CSVLogger("x.csv"), "DataFrame"),
        (keras.callbacks.TensorBoard(), "d2l.TensorBoard"),
        (keras.callbacks.TerminateOnNaN(), "fit itself"),
        (print, "got builtin_function_or_method: derive it from d2l.Callback"),
        (d2l.EarlyStopping, "EarlyStopping is a class, so give EarlyStopping(...)"),
    ],
)
def test_what_is_no_callback_is_refused_with_what_is(given: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message.replace("(", r"\(").replace(")", r"\)")):
        d2l.Trainer(1, callbacks=[given])
    trainer = d2l.Trainer(1)
    trainer.callbacks.append(given)
    with pytest.raises(TypeError):
        trainer.fit(Line(), Loaders(points(2, 2)))


def test_each_keras_callback_has_a_sentence() -> None:
    for name in dir(keras.callbacks):
        cls: Any = getattr(keras.callbacks, name)
        if isinstance(cls, type):
            with pytest.raises(TypeError, match=f"{name}: "):
                d2l.Trainer(1, callbacks=[object.__new__(cls)])


def test_hooks_of_other_libraries_are_named_as_they_are_here() -> None:
    class Foreign(d2l.Callback):
        def on_train_begin(self, trainer: d2l.Trainer) -> None: ...

    with pytest.raises(
        TypeError, match="on_train_begin would never be called; name it on_fit_begi"
    ):
        d2l.Trainer(1, callbacks=[Foreign()])


def test_checkpoints_without_callbacks_have_the_form_of_before(tmp_path: Path) -> None:
    trainer = fit(Line(0.01))
    assert "callbacks" not in trainer.state_dict()
    save_checkpoint(tmp_path, trainer.model, trainer.optim, trainer.state_dict())
    # One that lacks the key is read by a trainer whose callbacks have a state.
    fit(Line(0.01), d2l.EarlyStopping(), checkpoint=checkpoints(tmp_path)[0])
