"""pipelines/images.py against hand-worked numbers and against tf.image.resize."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.images import MAX_SIDE, check_size, prepare_images, resize, to_float
from tests.support.warm import run_warm

# float32 sums of up to 224 products of numbers in [0, 1]; a wrong kernel differs by 1e-2 or more.
TOLERANCE = 1e-5


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def reference(images: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    scaled = (images / np.float32(255.0)).astype(np.float32)
    return np.asarray(
        tf.image.resize(scaled[..., np.newaxis], size, "bilinear", antialias=True), np.float32
    )


def operations(function: Any) -> set[str]:
    return {operation.type for operation in function.get_concrete_function().graph.get_operations()}


def test_scaling_takes_0_to_0_and_255_to_1_exactly() -> None:
    scaled = to_float(tf.constant([0, 255], tf.uint8))
    assert scaled.dtype == tf.float32
    assert scaled.numpy().tolist() == [0.0, 1.0]


def test_every_byte_scales_to_its_255th_and_to_the_same_bits_in_a_graph() -> None:
    every = np.arange(256, dtype=np.uint8)
    eager = to_float(every).numpy()
    assert np.allclose(eager, every / 255, rtol=2**-23, atol=0)  # one rounding of float32
    assert np.array_equal(tf.function(to_float)(tf.constant(every)), eager)


def test_scaled_images_cannot_be_scaled_again() -> None:
    with pytest.raises(ValueError, match=r"uint8 in 0..255, before any scaling; got float32"):
        to_float(tf.zeros((1, 2, 2)))


def test_enlarging_two_pixels_to_four_gives_the_weights_worked_by_hand() -> None:
    # New centres lie at 0.25, 0.75, 1.25, 1.75 of the old pixels, whose centres are 0.5 and 1.5:
    # the outer two clamp to an old pixel, the inner two mix 3:1.
    row = tf.constant([[[0.0, 1.0]]])
    assert resize(row, (1, 4)).numpy().ravel().tolist() == [0.0, 0.25, 0.75, 1.0]


def test_shrinking_four_pixels_to_two_gives_the_weights_worked_by_hand() -> None:
    # New centre 1.0, triangle of half-width 2: weights 3/4, 3/4, 1/4, 0, normalised by 7/4.
    columns = tf.reshape(tf.constant([7.0, 0, 0, 0, 0, 0, 7, 0]), (2, 4, 1))
    assert np.allclose(
        resize(columns, (2, 1)).numpy()[..., 0], [[3, 0], [1, 3]], atol=1e-6
    )  # 7 times a rounding of 1/2**24


@pytest.mark.parametrize("old", [(28, 28), (5, 9), (1, 1), (96, 40)])
@pytest.mark.parametrize(
    "new", [(1, 1), (14, 20), (27, 29), (28, 28), (28, 50), (32, 32), (96, 96), (224, 224), (7, 64)]
)
def test_it_equals_tf_image_resize(old: tuple[int, int], new: tuple[int, int]) -> None:
    images = noise(3, *old)
    got = prepare_images(images, new)
    assert got.shape == (3, *new, 1)
    assert np.abs(got - reference(images, new)).max() < TOLERANCE


side = st.integers(1, 70)


@settings(max_examples=60, deadline=None)
@given(st.tuples(side, side), st.tuples(side, side))
def test_it_equals_tf_image_resize_for_any_pair_of_sizes(
    old: tuple[int, int], new: tuple[int, int]
) -> None:
    images = noise(2, *old)
    assert np.abs(prepare_images(images, new) - reference(images, new)).max() < TOLERANCE


@pytest.mark.parametrize("size", [(32, 32), (14, 20), (224, 224), (1, 1)])
def test_a_plain_picture_stays_plain_and_within_zero_and_one(size: tuple[int, int]) -> None:
    white = prepare_images(np.full((1, 28, 28), 255, np.uint8), size).numpy()
    # The weights of a pixel sum to 1 within the rounding of float32.
    assert np.abs(white - 1).max() < 1e-6


@pytest.mark.parametrize("size", [None, (28, 28)])
def test_the_same_size_has_no_resizing_operation(size: tuple[int, int] | None) -> None:
    images = noise(2, 28, 28)

    @tf.function  # type: ignore[untyped-decorator]
    def same() -> tf.Tensor:
        return prepare_images(tf.constant(images), size)

    assert not {kind for kind in operations(same) if "MatMul" in kind or "Resize" in kind}
    assert np.array_equal(same()[..., 0], to_float(images))


def test_a_side_that_keeps_its_length_has_no_product() -> None:
    products = []
    for size in [(28, 14), (14, 28), (14, 14)]:

        @tf.function  # type: ignore[untyped-decorator]
        def one(size: tuple[int, int] = size) -> tf.Tensor:
            return prepare_images(tf.zeros((2, 28, 28), tf.uint8), size)

        graph = one.get_concrete_function().graph
        products.append(sum("MatMul" in operation.type for operation in graph.get_operations()))
    assert products == [1, 1, 2]


@pytest.mark.parametrize("jit_compile", [False, True])
def test_one_compiled_function_serves_every_batch_size(jit_compile: bool) -> None:
    traces = []

    @tf.function(input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8)], jit_compile=jit_compile)  # type: ignore[untyped-decorator]
    def compiled(images: tf.Tensor) -> tf.Tensor:
        traces.append(images.shape)
        return prepare_images(images, (40, 20))

    for n in (0, 1, 7, 256):
        images = noise(n, 28, 28)
        got = compiled(images)
        assert got.shape == (n, 40, 20, 1)
        # XLA fuses the scaling into the products and may round otherwise.
        assert np.allclose(got, prepare_images(images, (40, 20)), rtol=0, atol=TOLERANCE)
    assert len(traces) == 1


def test_an_image_does_not_depend_on_the_batch_it_is_in() -> None:
    images = noise(64, 28, 28)
    together = prepare_images(images, (32, 32)).numpy()
    alone = prepare_images(images[5:6], (32, 32)).numpy()
    assert np.allclose(together[5:6], alone, rtol=0, atol=1e-6)  # another order of the same sums


def test_it_runs_inside_a_parallel_map_of_tf_data() -> None:
    images = noise(20, 28, 28)
    batches = (
        tf.data.Dataset.from_tensor_slices(images)
        .batch(8)
        .map(lambda batch: prepare_images(batch, (32, 30)), num_parallel_calls=tf.data.AUTOTUNE)
    )
    assert batches.element_spec.shape.as_list() == [None, 32, 30, 1]
    got = np.concatenate(list(batches.as_numpy_iterator()))
    assert np.abs(got - reference(images, (32, 30))).max() < TOLERANCE


@pytest.mark.slow
def test_a_process_without_this_library_loads_a_saved_model_with_it(
    tmp_path: Path,
) -> None:
    class Served(tf.Module):  # type: ignore[misc]
        @tf.function(input_signature=[tf.TensorSpec((None, 28, 28), tf.uint8)])  # type: ignore[untyped-decorator]
        def __call__(self, images: tf.Tensor) -> tf.Tensor:
            return prepare_images(images, (32, 20))

    tf.saved_model.save(Served(), str(tmp_path / "served"))
    images = noise(3, 28, 28)
    np.save(tmp_path / "images.npy", images)
    code = (
        "import sys; sys.modules['pipelines'] = None\n"
        "import numpy as np, tensorflow as tf\n"
        "served = tf.saved_model.load('served')\n"
        "np.save('got.npy', served(tf.constant(np.load('images.npy'))))\n"
    )
    ran = run_warm("-c", code, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    got = np.load(tmp_path / "got.npy")
    assert np.array_equal(got, prepare_images(images, (32, 20)))


@pytest.mark.parametrize(
    "size", [(1, 1), [32, 32], (np.int64(28), 30), (MAX_SIDE, MAX_SIDE), (1, MAX_SIDE)]
)
def test_a_good_size_becomes_two_python_integers(size: Any) -> None:
    checked = check_size(size)
    assert checked == tuple(size)
    assert [type(value) for value in checked] == [int, int]


@pytest.mark.parametrize(
    "size",
    [
        (0, 28), (28, -1), (28,), (28, 28, 1), 28, "28", "ab", None, (28.0, 28), (True, 28),
        (28, None), {28, 29}, (MAX_SIDE + 1, 28), (28, 10**12), (float("nan"), 1), np.array([2, 2]),
    ],
)  # fmt: skip
def test_a_bad_size_is_refused_with_the_rule_the_value_and_an_example(size: Any) -> None:
    with pytest.raises(ValueError, match=r"resize must be \(height, width\)") as caught:
        check_size(size)
    assert f"got {size!r}" in str(caught.value)
    assert "(32, 32)" in str(caught.value)


@pytest.mark.parametrize("shape", [(28, 28), (1, 28, 28, 1)])
@pytest.mark.parametrize("size", [None, (32, 32)])
def test_images_of_another_rank_are_refused(
    shape: tuple[int, ...], size: tuple[int, int] | None
) -> None:
    with pytest.raises(ValueError, match=r"images must be \(n, height, width\).*got shape"):
        prepare_images(np.zeros(shape, np.uint8), size)


def test_images_of_unknown_height_can_not_be_resized() -> None:
    @tf.function(input_signature=[tf.TensorSpec((None, None, 28), tf.uint8)])  # type: ignore[untyped-decorator]
    def traced(images: tf.Tensor) -> tf.Tensor:
        return prepare_images(images, (32, 32))

    with pytest.raises(ValueError, match=r"height and width known; got shape \(None, None, 28\)"):
        traced.get_concrete_function()
