"""tfd2l/book/data.py: the batches of the data modules, against NumPy on the real images."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from pipelines.batching import batched
from pipelines.idx_files import DataError


def test_batches_are_float_images_in_0_to_1_with_their_labels(
    fashion: fashion_mnist.Arrays,
) -> None:
    data = d2l.FashionMNIST(batch_size=64, arrays=fashion)
    X, y = next(iter(data.val_dataloader()))
    assert (X.shape, X.dtype) == ((64, 28, 28, 1), tf.float32)
    assert (y.shape, y.dtype) == ((64,), tf.int32)
    # One rounding of float32.
    np.testing.assert_allclose(X[..., 0], fashion.val_images[:64] / 255, rtol=2e-7)
    np.testing.assert_array_equal(y, fashion.val_labels[:64])


@pytest.mark.slow
def test_a_shuffled_pass_has_every_image_with_its_own_label(fashion: fashion_mnist.Arrays) -> None:
    data = d2l.FashionMNIST(batch_size=256, arrays=fashion)
    loader = data.train_dataloader()
    assert len(loader) == 235
    sizes, counts, sums = [], np.zeros(10, int), np.zeros(10)
    for X, y in loader:
        sizes.append(len(y))
        np.add.at(counts, y.numpy(), 1)
        np.add.at(sums, y.numpy(), X.numpy().sum(axis=(1, 2, 3), dtype=np.float64))
    assert sizes == [256] * 234 + [96]
    assert list(counts) == [6000] * 10
    by_class = [
        fashion.train_images[fashion.train_labels == c].sum(dtype=np.float64) for c in range(10)
    ]
    # A label beside the wrong image would change its class' sum of light.
    np.testing.assert_allclose(sums * 255, by_class, rtol=1e-6)


@pytest.mark.parametrize("size", [(32, 32), (14, 20)])
def test_images_are_resized_as_tensorflow_does(
    fashion: fashion_mnist.Arrays, size: tuple[int, int]
) -> None:
    data = d2l.FashionMNIST(batch_size=8, resize=size, arrays=fashion)
    X, _ = next(iter(data.val_dataloader()))
    expected = tf.image.resize(fashion.val_images[:8, ..., None] / 255, size, antialias=True)
    assert X.shape == (8, *size, 1)
    np.testing.assert_allclose(X, expected, atol=1e-5)


@pytest.mark.parametrize("size", [(0, 28), (28,), "28", (28.0, 28.0)])
def test_a_bad_size_is_refused(fashion: fashion_mnist.Arrays, size: object) -> None:
    with pytest.raises(ValueError, match=r"resize must be \(height, width\) in pixels"):
        d2l.FashionMNIST(resize=size, arrays=fashion)  # type: ignore[arg-type]  # the point


def test_without_validation_examples_the_loader_is_none() -> None:
    data = d2l.SyntheticRegressionData([1.0], 0.0, num_train=3, num_val=0)
    assert data.val_dataloader() is None
    assert len(data.X) == 3


def test_labels_have_names_and_images_can_be_shown(fashion: fashion_mnist.Arrays) -> None:
    data = d2l.FashionMNIST(arrays=fashion)
    batch = next(iter(data.val_dataloader()))
    # The first test images, as every reader of the book has seen them.
    assert data.text_labels(batch[1][:4]) == ["ankle boot", "pullover", "trouser", "trouser"]
    data.visualize(batch)
    assert len(data.train[0]) == 60_000
    assert len(data.val[1]) == 10_000


def test_root_is_the_only_place_that_is_searched(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"train-images-idx3-ubyte"):
        d2l.FashionMNIST(root=tmp_path)


def test_synthetic_data_splits_training_and_validation() -> None:
    data = d2l.SyntheticRegressionData([2, -3.4], 4.2, num_train=10, num_val=5, batch_size=4)
    X = np.concatenate([X for X, _ in data.val_dataloader()])
    np.testing.assert_array_equal(X, data.X[10:])
    assert sorted(float(y) for _, ys in data.train_dataloader() for y in ys[:, 0]) == sorted(
        float(y) for y in data.y[:10, 0]
    )


def test_a_tensorloader_has_the_examples_of_its_indices() -> None:
    class Mine(d2l.DataModule):
        def __init__(self) -> None:
            super().__init__()
            self.batch_size = 2

    X = np.arange(6.0)
    (batch, last) = Mine().get_tensorloader([X, 10 * X], train=False, indices=slice(2, 5))
    np.testing.assert_array_equal(batch, [[2, 3], [20, 30]])
    np.testing.assert_array_equal(last, [[4], [40]])


class Numbers(d2l.DataModule):
    """The numbers from 0 to 29 in batches of eight, from memory or mapped by tf.data."""

    batch_size = 8

    def __init__(self, seed: int = 0, mapped: bool = False) -> None:
        super().__init__()
        self.seed, self.mapped = seed, mapped

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        loader = self.get_tensorloader((np.arange(30), np.arange(30)), train)
        return loader.map(lambda X, y: (X, y)) if self.mapped else loader


def order(loader: Any) -> tuple[int, ...]:
    return tuple(int(x) for X, _ in loader for x in X)


def orders(data: d2l.DataModule) -> list[tuple[int, ...]]:
    """Two passes each over loaders from every method that gives one."""
    arrays = (np.arange(30), np.arange(30))
    loaders = [
        data.train_dataloader(),
        data.train_dataloader(),
        data.get_dataloader(True),
        data.get_tensorloader(arrays, train=True),
    ]
    return [order(loader) for loader in loaders for _ in range(2)]


@pytest.mark.slow
@pytest.mark.parametrize("mapped", [False, True])
def test_each_pass_over_each_training_loader_has_an_order_of_its_own(mapped: bool) -> None:
    found = orders(Numbers(mapped=mapped))
    assert all(sorted(pass_) == list(range(30)) for pass_ in found)
    assert len({*found}) == len(found) == 8
    assert orders(Numbers(mapped=mapped)) == found
    assert not {*orders(Numbers(seed=1, mapped=mapped))} & {*found}


def test_the_first_loader_has_the_orders_of_the_seed() -> None:
    arrays = (np.arange(30), np.arange(30))
    loader = batched(arrays, 8, shuffle=True, seed=0)
    assert orders(Numbers())[:2] == [order(loader), order(loader)]


def test_validation_loaders_keep_the_order_and_use_up_no_other() -> None:
    data = Numbers()
    for loader in (data.val_dataloader(), data.get_dataloader(False), data.val_dataloader()):
        assert order(loader) == tuple(range(30))
    assert order(data.train_dataloader()) == orders(Numbers())[0]


@pytest.mark.slow
@pytest.mark.parametrize("mapped", [False, True])
def test_a_fit_has_the_same_orders_whatever_was_read_before(mapped: bool) -> None:
    class Guess(d2l.Module):
        """A number that follows the last batches, so that it depends on their order."""

        def __init__(self) -> None:
            super().__init__()
            self.guess = tf.Variable(0.0)

        def training_step(self, batch: Any) -> Any:
            return tf.reduce_mean((tf.cast(batch[0], tf.float32) - self.guess) ** 2)

        def configure_optimizers(self) -> Any:
            return d2l.SGD(0.1)

    def fitted(data: d2l.DataModule) -> list[float]:
        model, trainer = Guess(), d2l.Trainer(3, run_eagerly=True)
        data.val_dataloader = lambda: None  # type: ignore[method-assign]
        return [*trainer.fit(model, data)["train_loss"], float(model.guess)]

    used = Numbers(mapped=mapped)
    before = orders(used)
    assert fitted(used) == fitted(used) == fitted(Numbers(mapped=mapped))
    # The fits have not moved the reader's own sequence.
    assert order(used.train_dataloader()) not in before
    assert used.next_sequence() == 5


@pytest.mark.slow
def test_the_books_data_modules_shuffle_each_training_loader(
    fashion: fashion_mnist.Arrays,
) -> None:
    few = dataclasses.replace(
        fashion,
        train_images=fashion.train_images[:40],
        train_labels=fashion.train_labels[:40],
    )
    rows = pd.DataFrame({"Id": [], "LotArea": [], "SalePrice": []})
    rows = pd.DataFrame({name: [str(i) for i in range(1, 21)] for name in rows})
    makes: list[Callable[[], d2l.DataModule]] = [
        lambda: d2l.FashionMNIST(arrays=few),
        lambda: d2l.KaggleHouse(64, train=rows),
        lambda: d2l.SyntheticRegressionData([2.0], 0.0, num_train=20),
    ]
    for make in makes:

        def firsts(data: d2l.DataModule) -> list[bytes]:
            return [next(iter(data.train_dataloader()))[0].numpy().tobytes() for _ in range(4)]

        found = firsts(make())
        assert len({*found}) == 4
        assert firsts(make()) == found


def test_tables_lists_and_chosen_rows_become_batches() -> None:
    table = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [4.0, 5.0, 6.0]}, index=[7, 8, 9])
    data = Numbers()
    for X, y, rows in (
        (table, table["a"], slice(0, 2)),
        ([[1.0, 4.0], [2.0, 5.0], [3.0, 6.0]], [1.0, 2.0, 3.0], [0, 1]),
        (tf.constant(table), table["a"].to_numpy(), np.array([True, True, False])),
    ):
        [(found, targets)] = data.get_tensorloader((X, y), train=False, indices=rows)
        np.testing.assert_array_equal(found, [[1, 4], [2, 5]])
        np.testing.assert_array_equal(targets, [1, 2])


@pytest.mark.parametrize(
    ("w", "b"),
    [
        (tf.constant([2, -3]), 4),
        (np.array([[2], [-3]]), tf.constant(4)),
        ([2, -3], np.int64(4)),
        (tf.Variable([2.0, -3.0]), tf.Variable(4.0)),
    ],
    ids=["tensor", "column", "list", "variable"],
)
def test_the_weights_of_synthetic_data_may_be_numbers_of_any_type(w: Any, b: Any) -> None:
    data = d2l.SyntheticRegressionData(w, b, noise=0, num_train=3, num_val=0)
    assert (data.w.dtype, np.ravel(data.w).tolist(), data.b) == (tf.float32, [2, -3], 4.0)
    # Three float32 operations on numbers below 16.
    np.testing.assert_allclose(data.y, data.X @ [[2.0], [-3.0]] + 4, atol=1e-5)


def test_a_data_module_without_a_loader_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"DataModule has no get_dataloader\(train\)"):
        d2l.DataModule().train_dataloader()
