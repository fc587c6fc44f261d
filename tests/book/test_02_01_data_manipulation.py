"""Section 2.1: tensors made, indexed, written to, computed with, and their memory."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow as tf


def counted() -> tf.Tensor:
    """0 to 11 as (3, 4) float32, the section's example."""
    return tf.reshape(tf.range(12, dtype=tf.float32), (3, 4))


def other() -> tf.Tensor:
    return tf.constant([[2.0, 1, 4, 3], [1, 2, 3, 4], [4, 3, 2, 1]])


def test_arange_has_the_numbers_from_0_to_11() -> None:
    x = tf.range(12, dtype=tf.float32)
    assert x.dtype == tf.float32
    assert x.numpy().tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]
    assert int(tf.size(x)) == 12
    assert x.shape == (12,)


def test_integers_count_in_int32() -> None:
    assert tf.range(12).dtype == tf.int32


@pytest.mark.parametrize("shape", [(3, 4), (-1, 4), (3, -1)])
def test_reshape_goes_row_by_row_and_infers_a_length(shape: tuple[int, int]) -> None:
    X = tf.reshape(tf.range(12), shape)
    assert X.numpy().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]


def test_zeros_and_ones_fill_the_shape() -> None:
    np.testing.assert_array_equal(tf.zeros((2, 3, 4)), np.zeros((2, 3, 4)))
    np.testing.assert_array_equal(tf.ones((2, 3, 4)), np.ones((2, 3, 4)))


def test_normal_numbers_have_mean_0_and_deviation_1() -> None:
    assert tf.random.normal((3, 4)).shape == (3, 4)
    X = tf.random.stateless_normal((100, 100), seed=(0, 0)).numpy()
    # Five standard errors of 10,000 numbers: 5/100 for the mean, 5/141 for the deviation.
    assert X.mean() == pytest.approx(0, abs=0.05)
    assert X.std() == pytest.approx(1, abs=0.036)


def test_nested_lists_become_rows() -> None:
    rows = [[2, 1, 4, 3], [1, 2, 3, 4], [4, 3, 2, 1]]
    assert tf.constant(rows).numpy().tolist() == rows


def test_an_index_picks_a_row_and_a_slice_rows() -> None:
    X = counted()
    assert X[-1].numpy().tolist() == [8, 9, 10, 11]
    assert X[1:3].numpy().tolist() == [[4, 5, 6, 7], [8, 9, 10, 11]]


def test_a_list_as_index_names_one_element_where_gather_picks_rows() -> None:
    X = counted()
    assert X[[0, 2]].numpy().tolist() == 2
    assert tf.gather(X, [0, 2]).numpy().tolist() == [[0, 1, 2, 3], [8, 9, 10, 11]]


def test_a_tensor_cannot_be_written_to() -> None:
    X: Any = counted()
    with pytest.raises(TypeError, match="does not support item assignment"):
        X[1, 2] = 17


def test_a_variables_slices_are_assigned() -> None:
    V = tf.Variable(counted())
    V[1, 2].assign(17)
    assert V.numpy().tolist() == [[0, 1, 2, 3], [4, 5, 17, 7], [8, 9, 10, 11]]
    V[:2, :].assign(tf.fill((2, 4), 12.0))
    assert V.numpy().tolist() == [[12] * 4, [12] * 4, [8, 9, 10, 11]]


def test_scatter_gives_a_changed_copy() -> None:
    X = counted()
    changed = tf.tensor_scatter_nd_update(X, [[1, 2]], [17.0])
    assert changed.numpy().tolist() == [[0, 1, 2, 3], [4, 5, 17, 7], [8, 9, 10, 11]]
    assert X[1, 2] == 6


def test_exp_gives_the_books_numbers() -> None:
    x = tf.constant([12.0] * 8 + [8, 9, 10, 11])
    printed = [162754.7969] * 8 + [2980.9580, 8103.0840, 22026.4648, 59874.1406]
    # A few float32 roundings, of 6e-8 each.
    np.testing.assert_allclose(tf.exp(x), printed, rtol=1e-6)


def test_float_and_integer_tensors_do_not_mix() -> None:
    x, y = tf.constant([1.0, 2, 4, 8]), tf.constant([2, 2, 2, 2])
    with pytest.raises(tf.errors.InvalidArgumentError, match="expected to be a float tensor"):
        x**y


def test_operators_work_element_by_element_after_a_cast() -> None:
    x = tf.constant([1.0, 2, 4, 8])
    y = tf.cast(tf.constant([2, 2, 2, 2]), x.dtype)
    assert (x + y).numpy().tolist() == [3, 4, 6, 10]
    assert (x - y).numpy().tolist() == [-1, 0, 2, 6]
    assert (x * y).numpy().tolist() == [2, 4, 8, 16]
    assert (x / y).numpy().tolist() == [0.5, 1, 2, 4]
    # Powers may go through logarithms: a few float32 roundings.
    np.testing.assert_allclose(x**y, [1, 4, 16, 64], rtol=1e-6)
    np.testing.assert_allclose(x**2, [1, 4, 16, 64], rtol=1e-6)


def test_concat_joins_rows_or_columns() -> None:
    X, Y = counted(), other()
    rows = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11], [2, 1, 4, 3], [1, 2, 3, 4], [4, 3, 2, 1]]
    assert tf.concat([X, Y], axis=0).numpy().tolist() == rows
    wide = [[0, 1, 2, 3, 2, 1, 4, 3], [4, 5, 6, 7, 1, 2, 3, 4], [8, 9, 10, 11, 4, 3, 2, 1]]
    assert tf.concat([X, Y], axis=1).numpy().tolist() == wide


def test_a_comparison_gives_truth_values() -> None:
    equal = (counted() == other()).numpy().tolist()
    assert equal == [[False, True, False, True], [False] * 4, [False] * 4]


def test_the_sum_is_66() -> None:
    assert tf.reduce_sum(counted()) == 66


def test_a_column_and_a_row_broadcast_to_a_table() -> None:
    a, b = tf.reshape(tf.range(3), (3, 1)), tf.reshape(tf.range(2), (1, 2))
    assert (a + b).numpy().tolist() == [[0, 1], [1, 2], [2, 3]]


def test_an_addition_makes_a_new_object() -> None:
    X, Y = counted(), other()
    held = Y
    Y = Y + X
    assert Y is not held
    X += Y
    assert held.numpy().tolist() == other().numpy().tolist()


def test_assign_and_assign_add_keep_the_variable() -> None:
    X, Y = counted(), other()
    Z = tf.Variable(tf.zeros_like(Y))
    before = id(Z)
    Z.assign(X + Y)
    Z.assign_add(X)
    assert id(Z) == before
    np.testing.assert_array_equal(Z, X + Y + X)


def address(variable: tf.Variable) -> int:
    return np.frombuffer(memoryview(variable.value()), np.float32).ctypes.data


def test_assign_add_keeps_the_buffer_that_the_variable_has_to_itself() -> None:
    X = counted()
    Z = tf.Variable(tf.zeros_like(X))
    Z.assign_add(X)  # shared its buffer with the tensor of zeros until now
    before = address(Z)
    Z.assign_add(X)
    assert address(Z) == before
    np.testing.assert_array_equal(Z, 2 * X)


def test_a_variable_refuses_augmented_assignment() -> None:
    Z = tf.Variable([1.0, 2.0])
    with pytest.raises(RuntimeError, match="assign_add"):
        Z += tf.constant([1.0, 2.0])


def test_a_compiled_function_gives_the_same_without_unused_operations() -> None:
    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def computation(X: tf.Tensor, Y: tf.Tensor) -> tf.Tensor:
        tf.exp(Y)  # its result is not used
        return X + Y + Y

    X, Y = counted(), other()
    np.testing.assert_array_equal(computation(X, Y), X + Y + Y)
    graph = computation.get_concrete_function(X, Y).graph
    assert [node.type for node in graph.get_operations()].count("AddV2") == 2


def test_numpy_and_back_keeps_values_and_types() -> None:
    A = counted().numpy()
    B = tf.constant(A)
    assert isinstance(A, np.ndarray)
    assert isinstance(B, tf.Tensor)
    assert B.dtype == tf.float32
    np.testing.assert_array_equal(A, B)
    assert tf.constant(np.array([0.5])).dtype == tf.float64


@pytest.mark.parametrize("size", [3, 1_000_000])  # small, and worth saving a copy of
def test_both_directions_copy(size: int) -> None:
    array = np.zeros(size, np.float32)
    tensor = tf.constant(array)
    array[0] = 99
    assert tensor[0] == 0
    back = tensor.numpy()
    back[1] = -1
    assert tensor[1] == 0


def test_float32_and_numpys_float64_do_not_mix() -> None:
    wide = tf.constant(np.array([0.5]))
    with pytest.raises(tf.errors.InvalidArgumentError, match="double tensor"):
        tf.constant([0.5]) + wide


def test_a_tensor_of_size_1_gives_its_number() -> None:
    a = tf.constant([3.5])
    assert a.numpy().item() == 3.5
    assert float(a[0]) == 3.5
    assert int(a[0]) == 3
