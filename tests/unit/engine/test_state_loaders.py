"""Resuming on loaders that shuffle: the next epoch has the order that it would have had."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.fits import Line
from tfd2l.engine.checkpoint import checkpoints, save_checkpoint

POINTS = np.arange(1, 13, dtype=np.float32)[:, None]


class InMemory(d2l.DataModule):
    """Twelve points in batches of three."""

    batch_size = 3

    def get_dataloader(self, train: bool) -> Any:
        return self.get_tensorloader((POINTS, 2 * POINTS), train) if train else None


class Mapped(InMemory):
    """The same points, mapped by tf.data, so that they stream."""

    def get_dataloader(self, train: bool) -> Any:
        loader = super().get_dataloader(train)
        return loader.map(lambda X, y: (X, y)) if train else None


class Generated(InMemory):
    """A generator that asks for a shuffled loader in each pass."""

    def get_dataloader(self, train: bool) -> Iterator[Any]:
        yield from super().get_dataloader(train) or ()


class Batches(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Batches of three in an order that changes at the end of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.points, self.random = POINTS.copy(), np.random.default_rng(0)

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        X = self.points[3 * index : 3 * index + 3]
        return X, 2 * X

    def on_epoch_end(self) -> None:
        self.random.shuffle(self.points)


class ByIndex(InMemory):
    """The same points in a PyDataset."""

    def get_dataloader(self, train: bool) -> Any:
        return Batches() if train else None


class Saves(d2l.Callback):
    """Writes a checkpoint after two epochs."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
        if trainer.epoch + 1 == 2:
            save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())


@pytest.mark.slow
@pytest.mark.parametrize("data", [InMemory, Mapped, Generated, ByIndex])
def test_a_fit_resumes_with_the_same_orders_whatever_was_read_before(
    data: Callable[[], d2l.DataModule], tmp_path: Path
) -> None:
    used = data()
    for _ in range(3):
        [*used.train_dataloader()]
    whole, resumed, unused = Line(lr=0.01), Line(lr=0.01), Line(lr=0.01)
    expected = d2l.Trainer(4, callbacks=[Saves(tmp_path)], run_eagerly=True).fit(whole, data())
    [path] = checkpoints(tmp_path)
    for module in (used, data()):
        history = d2l.Trainer(4, run_eagerly=True).fit(resumed, module, path)
        assert history["train_loss"] == expected["train_loss"]
        np.testing.assert_array_equal(resumed.w, whole.w)
    # A pass in another order ends with other weights.
    d2l.Trainer(4, run_eagerly=True).fit(unused, Ordered())
    assert (tf.convert_to_tensor(unused.w) != tf.convert_to_tensor(whole.w)).numpy().any()


class Ordered(InMemory):
    """The same points in one order."""

    def get_dataloader(self, train: bool) -> Any:
        return self.get_tensorloader((POINTS, 2 * POINTS), False) if train else None
