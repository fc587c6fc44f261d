"""d2l.TensorBoard: charts by Keras' names, continued by a resumed fit, hyperparameters, images."""

from __future__ import annotations

import math
import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import tfd2l as d2l
from tests.support.data import Loaders
from tests.support.events import events_in, scalars_in
from tests.support.fits import Line, points
from tfd2l.common.figures import new_figure, save_figure
from tfd2l.engine.checkpoint import write_checkpoint
from tfd2l.engine.history import History

DATA = Loaders(points(4, 1), points(4, 4))


class Scheduled(Line):
    """Its rate of 0.25 is halved after each epoch of four steps."""

    def configure_optimizers(self) -> Any:
        schedule = keras.optimizers.schedules.ExponentialDecay(0.25, 4, 0.5, staircase=True)
        return keras.optimizers.SGD(schedule)


class StoppedError(Exception):
    """Ends a fit as a kill would, without another hook."""


class Interrupting(d2l.Callback):
    """Ends the fit after a step of an epoch, with a checkpoint two steps before."""

    def __init__(self, path: Path, epoch: int, step: int) -> None:
        self.path, self.epoch, self.step = path, epoch, step

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
        here = trainer.epoch, trainer.steps_of_epoch
        if here == (self.epoch, self.step):
            raise StoppedError
        if here == (self.epoch, self.step - 2):
            write_checkpoint(self.path, trainer.model, trainer.optim, trainer.state_dict())


def fit(model: d2l.Module, *callbacks: d2l.Callback, checkpoint: Path | None = None) -> History:
    model.plot_train_per_epoch = 4
    trainer = d2l.Trainer(3, callbacks=callbacks, run_eagerly=True, enable_progress_bar=False)
    return trainer.fit(model, DATA, checkpoint)


def approximately(values: list[float], first: int = 1) -> Any:
    return [(step, pytest.approx(value)) for step, value in enumerate(values, first)]


def test_epochs_are_in_keras_charts_and_losses_by_step(tmp_path: Path) -> None:
    history = fit(Scheduled(), d2l.TensorBoard(tmp_path))
    found = scalars_in(tmp_path)
    # w = 2 fits; the batch (x, 2x) has the loss x² (w - 2)² / 2 and the gradient x² (w - 2).
    rest, losses = -2.0, []
    for step in range(12):
        x, rate = step % 4 + 1, 0.25 / 2 ** (step // 4)
        losses.append(x**2 * rest**2 / 2)
        rest -= rate * x**2 * rest
    assert found.pop(("train", "batch_loss")) == approximately(losses)
    assert found == {
        ("train", "epoch_loss"): approximately(history["train_loss"]),
        ("train", "epoch_learning_rate"): approximately([0.125, 0.0625, 0.03125]),
        ("train", "epoch_seconds"): approximately(history["seconds"]),
        ("validation", "epoch_loss"): approximately(history["val_loss"]),
    }


# Keras converts a variable of its own in a way that NumPy is about to drop.
@pytest.mark.filterwarnings("ignore:__array__:DeprecationWarning")
def test_the_names_are_those_that_keras_writes(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    theirs = keras.callbacks.TensorBoard(tmp_path / "keras", update_freq=1, write_graph=False)
    x = np.ones((4, 1))
    model.fit(x, x, validation_data=(x, x), verbose=0, callbacks=[theirs])
    fit(Scheduled(), d2l.TensorBoard(tmp_path / "d2l"))
    of_keras, ours = set(scalars_in(tmp_path / "keras")), set(scalars_in(tmp_path / "d2l"))
    assert ours - of_keras == {("train", "epoch_seconds")}
    assert of_keras - ours == {("validation", "evaluation_loss_vs_iterations")}


@pytest.mark.parametrize(("epoch", "step"), [(0, 3), (1, 3), (2, 4)])
def test_a_resumed_fit_continues_its_charts_without_loss_or_double_points(
    epoch: int, step: int, tmp_path: Path
) -> None:
    fit(Scheduled(), d2l.TensorBoard(tmp_path / "whole"))
    path, charts = tmp_path / "checkpoint", tmp_path / "charts"
    with pytest.raises(StoppedError):
        fit(Scheduled(), d2l.TensorBoard(charts), Interrupting(path, epoch, step))
    # All that was before the interruption is there, though no hook came after it.
    steps = [step for step, _ in scalars_in(charts)["train", "batch_loss"]]
    assert steps == list(range(1, 4 * epoch + step + 1))
    fit(Scheduled(), d2l.TensorBoard(charts), checkpoint=path)
    whole, resumed = scalars_in(tmp_path / "whole"), scalars_in(charts)
    for found in (whole, resumed):
        assert [step for step, _ in found.pop(("train", "epoch_seconds"))] == [1, 2, 3]
    assert resumed == whole


def test_a_fit_resumed_with_charts_that_it_began_without_has_all_but_the_rates(
    tmp_path: Path,
) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(StoppedError):
        fit(Scheduled(), Interrupting(path, 1, 3))
    fit(Scheduled(), d2l.TensorBoard(tmp_path / "charts"), checkpoint=path)
    found = scalars_in(tmp_path / "charts")
    assert [step for step, _ in found["train", "epoch_learning_rate"]] == [2, 3]
    assert [step for step, _ in found["validation", "epoch_loss"]] == [1, 2, 3]


def test_a_fit_may_resume_without_the_charts_that_it_began_with(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    with pytest.raises(StoppedError):
        fit(Scheduled(), d2l.TensorBoard(tmp_path), Interrupting(path, 1, 3))
    # A warning would be an error.
    fit(Scheduled(), checkpoint=path)


def test_a_second_fit_replaces_the_first_ones_events_and_no_others(tmp_path: Path) -> None:
    charts = d2l.TensorBoard(tmp_path)
    fit(Scheduled(), charts)
    [ours] = (tmp_path / "train").iterdir()
    foreign = ["notes", "events.out.tfevents.1.host.1.0.v2", f"{ours.name}.mybest"]
    for name in foreign:
        shutil.copy(ours, tmp_path / "train" / name)
    fit(Scheduled(), charts)
    names = {path.name for path in (tmp_path / "train").iterdir()}
    assert len(names) == 4
    assert names > set(foreign)
    assert ours.name not in names


def test_hyperparameters_of_model_trainer_and_caller_are_shown(tmp_path: Path) -> None:
    given = {"batch_size": np.int64(1), "data": Path("a/b"), "resize": (28, 28), "shift": 0}
    fit(Scheduled(lr=0.5), d2l.TensorBoard(tmp_path, given))
    messages = {
        value.tag: HParamsPluginData.FromString(value.metadata.plugin_data.content)
        for run, _, value in events_in(tmp_path)
        if run == "."
    }
    start = messages["_hparams_/session_start_info"].session_start_info
    shown = {n: getattr(v, v.WhichOneof("kind")) for n, v in start.hparams.items()}
    assert shown == {
        "lr": 0.5, "max_epochs": 3, "gradient_clip_val": 0,
        "batch_size": 1, "data": "a/b", "resize": "(28, 28)", "shift": 0,
    }  # fmt: skip
    # 1 is TensorBoard's number for a success.
    assert messages["_hparams_/session_end_info"].session_end_info.status == 1


def test_an_image_is_kept_as_it_is_and_read_by_tensorboard(tmp_path: Path) -> None:
    figure = new_figure((2, 1))
    save_figure(figure, tmp_path / "picture.png")
    charts = d2l.TensorBoard(tmp_path / "charts")
    fit(Scheduled(), charts)
    charts.write_image("confusion", tmp_path / "picture.png", step=3)
    reader = EventAccumulator(str(tmp_path / "charts")).Reload()
    [event] = reader.Tensors("confusion")
    width, height, png = event.tensor_proto.string_val
    assert event.step == 3
    assert reader.SummaryMetadata("confusion").plugin_data.plugin_name == "images"
    decoded = tf.io.decode_png(png)
    assert decoded.shape[:2] == (int(height), int(width))
    assert png == (tmp_path / "picture.png").read_bytes()


def test_what_a_row_lacks_is_left_out(tmp_path: Path) -> None:
    class Late(d2l.Callback):
        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            if row["epoch"] == 2:
                trainer.history["val_late"] = [math.nan, 0.5]

    fit(Scheduled(), Late(), d2l.TensorBoard(tmp_path))
    assert scalars_in(tmp_path)["validation", "epoch_late"] == [(2, 0.5)]


def test_only_the_chief_of_several_processes_writes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(d2l.Trainer, "is_chief", False)
    charts = d2l.TensorBoard(tmp_path / "charts")
    fit(Scheduled(), charts)
    assert not (tmp_path / "charts").exists()


def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "train").touch()
    with pytest.raises(OSError, match=r"events for TensorBoard .*train' .*; make room, or remove"):
        fit(Scheduled(), d2l.TensorBoard(tmp_path))
