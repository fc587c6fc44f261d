"""Section 4.2: Fashion-MNIST's sizes, shapes, labels, loaders and pictures."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from tfd2l.book.data_modules import labelled_images as data_file

LABELS = [
    "t-shirt",
    "trouser",
    "pullover",
    "dress",
    "coat",
    "sandal",
    "shirt",
    "sneaker",
    "bag",
    "ankle boot",
]


@pytest.fixture
def data(fashion: fashion_mnist.Arrays) -> d2l.FashionMNIST:
    return d2l.FashionMNIST(resize=(32, 32), arrays=fashion)


def labels_of(loader: tf.data.Dataset) -> np.ndarray:
    return np.concatenate([y for _, y in loader.as_numpy_iterator()])


def test_there_are_60000_images_to_train_on_and_10000_to_validate_on(
    data: d2l.FashionMNIST,
) -> None:
    assert (len(data.train[0]), len(data.train[1])) == (60_000, 60_000)
    assert (len(data.val[0]), len(data.val[1])) == (10_000, 10_000)


def test_the_classes_are_equally_large(data: d2l.FashionMNIST) -> None:
    np.testing.assert_array_equal(np.bincount(data.train[1]), [6000] * 10)
    np.testing.assert_array_equal(np.bincount(data.val[1]), [1000] * 10)


def test_resized_images_come_as_height_width_channel_in_batches_of_64(
    data: d2l.FashionMNIST,
) -> None:
    X, y = next(iter(data.train_dataloader()))
    assert (X.shape, X.dtype) == ((64, 32, 32, 1), tf.float32)
    assert (y.shape, y.dtype) == ((64,), tf.int32)
    assert 0 <= X.numpy().min() < 0.1
    # Interpolation weights sum to 1 but for their rounding.
    assert 0.9 < X.numpy().max() <= 1 + 1e-6


def test_without_resizing_the_pixels_are_those_of_the_file_over_255(
    fashion: fashion_mnist.Arrays,
) -> None:
    X, _ = next(iter(d2l.FashionMNIST(arrays=fashion).val_dataloader()))
    expected = fashion.val_images[:64, :, :, None].astype(np.float32) / np.float32(255)
    # One rounding of numbers up to 1, where the factor 1/255 is rounded too.
    np.testing.assert_allclose(X, expected, atol=1.2e-7)


def test_resizing_takes_height_then_width(fashion: fashion_mnist.Arrays) -> None:
    loader = d2l.FashionMNIST(resize=(28, 56), arrays=fashion).val_dataloader()
    assert next(iter(loader))[0].shape == (64, 28, 56, 1)


def test_a_bad_size_is_refused_with_the_rule(fashion: fashion_mnist.Arrays) -> None:
    with pytest.raises(ValueError, match=r"resize must be \(height, width\).*got \(0, 28\)"):
        d2l.FashionMNIST(resize=(0, 28), arrays=fashion).train_dataloader()


def test_the_labels_have_the_books_names(data: d2l.FashionMNIST) -> None:
    assert data.text_labels(range(10)) == LABELS
    assert data.text_labels(tf.constant([9, 2, 1])) == ["ankle boot", "pullover", "trouser"]


def test_validation_keeps_the_order_of_the_file(data: d2l.FashionMNIST) -> None:
    np.testing.assert_array_equal(labels_of(data.val_dataloader()), data.val[1])


def test_a_pass_has_every_example_and_a_smaller_last_batch(data: d2l.FashionMNIST) -> None:
    loader = data.train_dataloader()
    sizes = [len(y) for _, y in loader]
    # 60000 = 937 x 64 + 32
    assert sizes == [64] * 937 + [32]
    assert len(loader) == 938


def test_each_pass_has_its_own_order_of_the_same_examples(fashion: fashion_mnist.Arrays) -> None:
    loader = d2l.FashionMNIST(batch_size=256, arrays=fashion).train_dataloader()
    first, second = labels_of(loader), labels_of(loader)
    # Two independent orders agree at a tenth of the places: 6000, give or take 73.
    assert 5_500 < (first == second).sum() < 6_500
    np.testing.assert_array_equal(np.sort(first), np.sort(second))


def test_examples_and_not_batches_are_shuffled(fashion: fashion_mnist.Arrays) -> None:
    # Each image is marked by its number, so that its neighbours can be found in both passes.
    numbers = np.arange(60_000)
    marked = np.zeros((60_000, 28, 28), np.uint8)
    marked[:, 0, 0], marked[:, 0, 1] = numbers // 256, numbers % 256
    loader = fashion_mnist.dataset(marked, fashion.train_labels, 256, shuffle=True)

    def batches() -> list[set[int]]:
        corners = [np.rint(X.numpy()[:, 0, :2, 0] * 255).astype(int) for X, _ in loader]
        return [set((pair[:, 0] * 256 + pair[:, 1]).tolist()) for pair in corners]

    first, second = batches()[0], batches()
    # One of 256 images of a batch is expected to share a batch with a given one again. If whole
    # batches were shuffled, all 256 would.
    assert max(len(first & batch) for batch in second) < 20


def test_the_orders_derive_from_the_seed(fashion: fashion_mnist.Arrays) -> None:
    def first_labels(seed: int) -> list[int]:
        data = d2l.FashionMNIST(arrays=fashion, seed=seed)
        return next(iter(data.train_dataloader()))[1].numpy().tolist()  # type: ignore[no-any-return]

    assert first_labels(0) == first_labels(0)
    assert first_labels(0) != first_labels(1)


def test_visualize_draws_a_grid_of_eight_with_their_labels(
    data: d2l.FashionMNIST, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = []
    monkeypatch.setattr(
        data_file, "show_images", lambda *args, **kw: drawn.append(d2l.show_images(*args, **kw))
    )
    X, y = next(iter(data.val_dataloader()))
    data.visualize((X, y))
    [grid] = drawn
    # The first eight labels of the validation file: 9 2 1 1 6 1 4 6.
    assert [axes.get_title() for axes in grid] == [
        "ankle boot", "pullover", "trouser", "trouser", "shirt", "trouser", "coat", "shirt"
    ]  # fmt: skip
    for axes, image in zip(grid, X.numpy(), strict=False):
        np.testing.assert_array_equal(axes.images[0].get_array(), image[:, :, 0])


def test_moving_axes_keeps_a_torch_picture_and_reshaping_does_not() -> None:
    from_torch = np.arange(8).reshape(2, 2, 2)
    np.testing.assert_array_equal(tf.transpose(from_torch, (1, 2, 0))[..., 0], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(from_torch.reshape(2, 2, 2)[..., 0], [[0, 2], [4, 6]])
