"""Section 3.2: the tools and the three classes, with the source's signatures."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l


def test_a_method_added_later_works_on_an_object_made_before(
    capsys: pytest.CaptureFixture[str],
) -> None:
    class A:
        def __init__(self) -> None:
            self.b = 1

    a: Any = A()

    @d2l.add_to_class(A)
    def do(self: A) -> None:
        print('Class attribute "b" is', self.b)

    a.do()
    assert capsys.readouterr().out == 'Class attribute "b" is 1\n'


def test_hyperparameters_are_saved_except_ignored_ones() -> None:
    class B(d2l.HyperParameters):
        a: int
        b: int

        def __init__(self, a: int, b: int, c: int) -> None:
            self.save_hyperparameters(ignore=["c"])

    saved = B(a=1, b=2, c=3)
    assert (saved.a, saved.b) == (1, 2)
    assert not hasattr(saved, "c")


def test_the_board_draws_sine_and_cosine_at_their_own_pace() -> None:
    board = d2l.ProgressBoard("x")
    for x in np.arange(0, 10, 0.1):
        board.draw(x, np.sin(x), "sin", every_n=2)
        board.draw(x, np.cos(x), "cos", every_n=10)
    assert {label: len(points) for label, points in board.data.items()} == {"sin": 50, "cos": 10}
    first = board.data["cos"][0]
    x = np.arange(0, 1, 0.1)
    assert first.x == pytest.approx(x.mean())
    assert first.y == pytest.approx(np.cos(x).mean())
    (axes,) = board.figure().axes
    assert axes.get_xlabel() == "x"


def test_a_module_plots_twice_an_epoch_in_training_and_once_in_validation() -> None:
    module = d2l.Module()
    assert (module.hparams["plot_train_per_epoch"], module.hparams["plot_valid_per_epoch"]) == (
        2,
        1,
    )


class Mean(d2l.Module):
    """Learns one number: the mean of its data."""

    lr: float

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.m = tf.Variable(0.0)

    def forward(self, x: tf.Tensor) -> tf.Tensor:
        return self.m * tf.ones_like(x)

    def loss(self, y_hat: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.reduce_mean((y_hat - y) ** 2 / 2)

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(self.lr)


class Numbers(d2l.DataModule):
    """80 numbers for training, 20 for validation."""

    def __init__(self, batch_size: int = 10) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.x = tf.random.normal((100,), mean=5.0)

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        indices = slice(0, 80) if train else slice(80, None)
        return self.get_tensorloader((self.x, self.x), train, indices)


def test_the_three_classes_together_learn_the_mean() -> None:
    data, model = Numbers(), Mean(lr=0.1)
    trainer = d2l.Trainer(max_epochs=20)
    trainer.fit(model, data)
    # A step keeps nine tenths of the distance; the last few batches of ten decide the rest, with
    # a deviation of 1 / sqrt(10) * sqrt(0.1 / 1.9) = 0.07.
    assert float(model.m) == pytest.approx(float(tf.reduce_mean(data.x[:80])), abs=0.3)
    assert (trainer.num_train_batches, trainer.num_val_batches) == (8, 2)
    assert trainer.train_batch_idx == 160
    points = model.board.data
    assert {label: len(curve) for label, curve in points.items()} == {
        "train_loss": 40,
        "val_loss": 20,
    }
    assert model.board.xlim == [0, 20]


def test_data_modules_have_the_constructor_of_the_source() -> None:
    data = d2l.DataModule(root="../data", num_workers=4)
    assert dict(data.hparams) == {"root": "../data", "num_workers": 4}


def test_a_trainer_has_the_constructor_of_the_source() -> None:
    trainer = d2l.Trainer(3, num_gpus=0, gradient_clip_val=0)
    assert (trainer.max_epochs, trainer.gradient_clip_val) == (3, 0)


def test_a_step_is_traced_once_for_each_kind_of_batch_and_eagerly_called_for_each() -> None:
    calls = []

    class Counting(Mean):
        def training_step(self, batch: Any) -> tf.Tensor:
            calls.append(batch[0].shape)
            return super().training_step(batch)

    trainer = d2l.Trainer(max_epochs=3)
    trainer.fit(Mean(lr=0.1), Numbers())
    # One for training and one for validation.
    assert trainer.num_traces == 2
    d2l.Trainer(max_epochs=3, run_eagerly=True).fit(Counting(lr=0.1), Numbers())
    assert len(calls) == 24


def test_a_fit_takes_the_data_then_the_model_and_then_runs_epochs() -> None:
    order: list[Any] = []

    class Reporting(d2l.Trainer):
        def prepare_data(self, data: Any) -> None:
            super().prepare_data(data)
            order.append((self.num_train_batches, self.num_val_batches))

        def prepare_model(self, model: d2l.Module) -> None:
            super().prepare_model(model)
            order.append(model.trainer is self)

        def fit_epoch(self) -> None:
            super().fit_epoch()
            order.append(self.train_batch_idx)

    Reporting(max_epochs=2, num_gpus=0).fit(Mean(lr=0.1), Numbers())
    assert order == [(8, 2), True, 8, 16]


def test_a_module_says_how_many_points_its_curves_get_and_its_step_which_curves() -> None:
    class Fine(Mean):
        def __init__(self, lr: float, plot_train_per_epoch: int, plot_valid_per_epoch: int) -> None:
            super().__init__(lr)
            self.save_hyperparameters()

        def validation_step(self, batch: Any) -> None:
            super().validation_step(batch)
            self.plot("distance", tf.abs(self.m - tf.reduce_mean(batch[-1])), train=False)

    model = Fine(0.1, plot_train_per_epoch=4, plot_valid_per_epoch=2)
    d2l.Trainer(max_epochs=3).fit(model, Numbers())
    points = {label: len(curve) for label, curve in model.board.data.items()}
    assert points == {"train_loss": 12, "val_loss": 6, "val_distance": 6}
