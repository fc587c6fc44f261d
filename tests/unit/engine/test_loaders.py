"""Loaders: the kinds that a data module may give, their length, batches, examples and errors."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines.batching import batched
from tests.support.data import Loaders
from tests.support.fits import Line
from tfd2l.engine.loaders import (
    BatchesByIndex,
    Reiterable,
    as_batch,
    batch_size_of,
    count_batches,
    example_of,
    indexed,
    loader_of,
    skip_passes,
)


def loader() -> tf.data.Dataset:
    return batched([np.arange(5.0), np.arange(5)], 2, shuffle=False)


class Rows(keras.utils.PyDataset):  # type: ignore[misc]  # Keras has no types
    """Four batches of one point, in an order that `on_epoch_end` draws anew."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.random, self.order = np.random.default_rng(0), np.arange(1.0, 5)
        self.calls: list[str] = []

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> Any:
        x = np.full((1, 1), self.order[index], np.float32)
        return x, 2 * x

    def on_epoch_begin(self) -> None:
        self.calls.append("begin")

    def on_epoch_end(self) -> None:
        self.calls.append("end")
        self.random.shuffle(self.order)


class OldSequence:
    """Batches by index, without an iterator or an IndexError."""

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> Any:
        return np.ones((2, 1), np.float32), np.ones((2, 1), np.float32)


def xs(batches: Any) -> list[float]:
    return [float(x) for X, _ in batches for x in np.ravel(X)]


@pytest.mark.parametrize(
    ("source", "count"),
    [
        (loader(), 3),
        ([1, 2], 2),
        (loader().filter(lambda X, y: True), None),
        (iter([1]), None),
        ([], 0),
        (BatchesByIndex(Rows()), 4),
    ],
    ids=["data set", "list", "filtered", "iterator", "empty", "PyDataset"],
)
def test_batches_are_counted_if_their_number_is_known(source: Any, count: int | None) -> None:
    assert count_batches(source) == count


def test_a_length_that_the_loader_refuses_is_unknown() -> None:
    class Unknown(OldSequence):
        def __len__(self) -> int:
            raise TypeError("PyTorch's IterableDataset has no len")

    assert count_batches(Unknown()) is None


def test_an_endless_data_set_is_refused() -> None:
    with pytest.raises(ValueError, match=r"repeats without end.*take\(100\)"):
        count_batches(loader().repeat())

    class Endless(Rows):
        num_batches = None

    with pytest.raises(ValueError, match=r"Endless\.num_batches is None.*number of batches"):
        loader_of(Loaders(Endless()), train=True)


def test_only_data_sets_of_indexed_batches_have_them() -> None:
    assert indexed(loader()) is not None
    assert indexed(loader().take(1)) is None
    assert indexed([1]) is None


def test_an_example_is_taken_without_using_up_an_iterator() -> None:
    example = example_of(loader())
    assert example is not None
    assert example[0].shape == (1,)
    generator = iter([(np.ones(2), np.ones(2))])
    assert example_of(loader_of(Loaders(generator), train=True)) is None
    assert len(list(generator)) == 1
    assert example_of([]) is None
    rows = Rows()
    assert example_of(BatchesByIndex(rows)) is not None
    assert rows.calls == []


def test_an_iterator_is_used_first_and_then_made_again() -> None:
    made: list[int] = []

    def make() -> Iterator[int]:
        made.append(1)
        return iter([1, 2])

    found = loader_of(Loaders(make), train=True)
    assert isinstance(found, Reiterable)
    assert len(made) == 1
    assert [list(found), list(found)] == [[1, 2], [1, 2]]
    assert len(made) == 2
    batches = [1, 2]
    assert loader_of(Loaders(batches), train=True) is batches


def test_the_hooks_of_a_pydataset_run_around_each_pass() -> None:
    rows = Rows()
    found = loader_of(Loaders(rows), train=True)
    first, second = xs(found), xs(found)
    assert rows.calls == ["begin", "end"] * 2
    assert first == [1, 2, 3, 4]
    # NumPy's generator of seed 0 draws another order.
    assert second != first
    assert sorted(second) == first


def test_a_pydataset_trains_and_validates_as_in_memory_and_reshuffles() -> None:
    rows, validation = Rows(), Rows()
    history = d2l.Trainer(2).fit(Line(lr=0.01), Loaders(rows, validation))
    assert rows.calls == validation.calls == ["begin", "end"] * 2
    again = Rows()
    expected, w = [], 0.0
    for _ in range(2):
        # Each step is of one point: the loss (w x - 2 x)^2 / 2, its gradient (w x - 2 x) x.
        losses = []
        for x in again.order:
            losses.append((w * x - 2 * x) ** 2 / 2)
            w -= 0.01 * (w * x - 2 * x) * x
        again.on_epoch_end()
        expected.append(np.mean(losses))
    # A handful of float32 operations a step.
    assert history["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_passes_that_were_made_before_are_skipped() -> None:
    whole, rest = loader_of(Loaders(Rows()), train=True), loader_of(Loaders(Rows()), train=True)
    passes = [xs(whole) for _ in range(3)]
    skip_passes(rest, 2)
    assert xs(rest) == passes[2]


def test_workers_that_do_not_run_are_named() -> None:
    with pytest.warns(UserWarning, match=r"reads the batches of Rows one after the other"):
        loader_of(Loaders(Rows(workers=2)), train=True)


def test_an_object_with_length_and_items_ends_after_its_length() -> None:
    found = loader_of(Loaders(OldSequence()), train=True)
    assert len(list(found)) == count_batches(found) == 3
    trainer = d2l.Trainer(2)
    trainer.fit(Line(), Loaders(OldSequence()))
    assert trainer.train_batch_idx == 6


def test_a_batch_of_any_structure_becomes_a_tuple_of_tensors() -> None:
    X, (y, z) = as_batch([np.ones((3, 2), np.float32), [np.arange(3), tf.zeros(3)]])
    assert all(tf.is_tensor(part) for part in (X, y, z))
    assert batch_size_of((X, y)) == 3
    assert batch_size_of((X, tf.constant(1.0))) == 1
    named, _ = as_batch(({"a": [1.0, 2.0], "b": np.ones(2)}, [0, 1]))
    assert {name: part.shape for name, part in named.items()} == {"a": (2,), "b": (2,)}


def test_lists_of_numbers_and_tables_become_one_tensor() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0], "b": [3.0, 4.0]}, index=[7, 9])
    for X in ([[1.0, 3.0], [2.0, 4.0]], ((1, 3), (2, 4)), table):
        found, y = as_batch((X, table["a"]))
        np.testing.assert_array_equal(y, [1, 2])
        np.testing.assert_array_equal(found, [[1, 3], [2, 4]])


def test_ragged_and_sparse_tensors_reach_the_model() -> None:
    class Sums(d2l.Module):
        def __init__(self) -> None:
            super().__init__()
            self.w = tf.Variable(0.0)

        def forward(self, X: Any) -> Any:
            dense = tf.sparse.to_dense(X) if isinstance(X, tf.SparseTensor) else X.to_tensor()
            return self.w * tf.reduce_sum(dense, axis=1)

        def loss(self, y_hat: Any, y: Any) -> Any:
            return tf.reduce_mean((y_hat - y) ** 2)

        def configure_optimizers(self) -> Any:
            return d2l.SGD(0.01)

    y = tf.constant([3.0, 3.0])
    for X in (tf.ragged.constant([[1.0, 2.0], [3.0]]), tf.sparse.from_dense([[1.0, 2.0], [3, 0]])):
        model = Sums()
        history = d2l.Trainer(1, run_eagerly=False).fit(model, Loaders([(X, y)]))
        # At w = 0 the loss is 3^2, the gradient -2 * 3 * 3.
        assert history["train_loss"] == [9.0]
        assert float(model.w) == pytest.approx(0.18)


def test_a_generator_that_shuffles_gets_a_fresh_order_in_each_epoch_of_a_fit() -> None:
    class Shuffled(d2l.DataModule):
        batch_size = 4

        def get_dataloader(self, train: bool) -> Iterator[Any]:
            yield from self.get_tensorloader((np.arange(20.0), np.arange(20)), train)

    data = Shuffled()
    for _ in data.train_dataloader():
        pass
    found = loader_of(data, train=True)
    passes = [xs(found) for _ in range(3)]
    assert len({*map(tuple, passes)}) == 3
    # Neither the reader's own passes nor an earlier fit change the orders of a fit.
    resumed = loader_of(data, train=True)
    skip_passes(resumed, 2)
    assert xs(resumed) == passes[2]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert xs(loader_of(Shuffled(), train=True)) == passes[0]
