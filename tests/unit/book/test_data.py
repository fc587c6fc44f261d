"""tfd2l/book/data.py: the batches of the data modules, against NumPy on the real images."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
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


def test_a_data_module_without_a_loader_says_what_to_define() -> None:
    with pytest.raises(NotImplementedError, match=r"DataModule has no get_dataloader\(train\)"):
        d2l.DataModule().train_dataloader()
