"""Steps in compiled loops: the number of steps in a call does not change the results."""

from __future__ import annotations

import keras
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tfd2l.engine.passes import calls as loops

NUM_BATCHES, TAIL_SIZE = 8, 1


class Draws(d2l.Module):
    """Plots the random number that each training step draws."""

    def __init__(self) -> None:
        super().__init__(plot_train_per_epoch=NUM_BATCHES)
        self.w = tf.Variable(0.0)

    def training_step(self, batch: tuple[tf.Tensor, ...]) -> tf.Tensor:
        self.plot("drawn", tf.random.uniform(()), train=True)
        return self.w * tf.reduce_mean(batch[0])

    def configure_optimizers(self) -> d2l.SGD:
        return d2l.SGD(0.1)


class Loader(d2l.DataModule):
    """Seven batches of four and one of one; no validation data."""

    def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
        X = tf.ones((4 * (NUM_BATCHES - 1) + TAIL_SIZE, 2))
        return batched((X, X), 4, shuffle=True) if train else None


def drawn(monkeypatch: pytest.MonkeyPatch, steps_in_a_call: int) -> list[float]:
    """Return the numbers that the steps of three epochs draw, with so many steps in a call."""
    monkeypatch.setattr(loops.CallSizer, "steps_in_a_call", lambda self: steps_in_a_call)
    keras.utils.set_random_seed(0)
    model = Draws()
    d2l.Trainer(max_epochs=3, run_eagerly=False).fit(model, Loader())
    return [point.y for point in model.board.data["train_drawn"]]


@pytest.mark.slow
def test_random_numbers_do_not_depend_on_the_number_of_steps_in_a_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A faster machine runs more steps in a call; the results of a seed must not differ.
    singly = drawn(monkeypatch, 1)
    assert drawn(monkeypatch, 3) == singly
    assert drawn(monkeypatch, 100) == singly
    # No two steps on full batches draw the same number.
    assert len(singly) == 3 * NUM_BATCHES
    full = [number for i, number in enumerate(singly) if (i + 1) % NUM_BATCHES]
    assert len({*full}) == len(full)


def test_a_pass_of_one_small_batch_runs_in_every_epoch() -> None:
    class Small(Loader):
        def get_dataloader(self, train: bool) -> tf.data.Dataset | None:
            return batched((tf.ones((3, 2)),) * 2, 4, shuffle=True) if train else None

    model = Draws()
    history = d2l.Trainer(max_epochs=3, run_eagerly=False).fit(model, Small())
    # The gradient is the inputs' mean, 1: w goes 0, -0.1, -0.2, and the loss is w.
    assert history["train_loss"] == pytest.approx([0, -0.1, -0.2])


def test_an_exhausted_loader_is_refused_in_the_second_epoch() -> None:
    spent = iter([(tf.ones((4, 2)),)] * 3)

    class Once(d2l.DataModule):
        def get_dataloader(self, train: bool) -> object:
            return spent if train else None

    message = "training_step has no batches in epoch 2.*iterated more than once"
    with pytest.raises(ValueError, match=message):
        d2l.Trainer(2).fit(Draws(), Once())
