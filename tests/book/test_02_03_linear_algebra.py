"""Section 2.3: scalars to tensors, reductions, products and norms, against hand numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tensorflow as tf


def matrix() -> tf.Tensor:
    """0 to 5 as (2, 3) float32, the section's example."""
    return tf.reshape(tf.range(6, dtype=tf.float32), (2, 3))


def test_scalars_give_5_6_one_and_a_half_and_9() -> None:
    x, y = tf.constant(3.0), tf.constant(2.0)
    # The power may go through a logarithm: a few float32 roundings.
    np.testing.assert_allclose([x + y, x * y, x / y, x**y], [5, 6, 1.5, 9], rtol=1e-6)


def test_a_vector_has_components_a_length_and_a_shape() -> None:
    x = tf.range(3)
    assert x.numpy().tolist() == [0, 1, 2]
    assert x[2] == 2
    assert len(x) == 3
    assert x.shape == (3,)


def test_transpose_exchanges_rows_and_columns() -> None:
    A = tf.reshape(tf.range(6), (3, 2))
    assert A.numpy().tolist() == [[0, 1], [2, 3], [4, 5]]
    assert tf.transpose(A).numpy().tolist() == [[0, 2, 4], [1, 3, 5]]


def test_a_tensor_has_no_attribute_for_its_transpose() -> None:
    assert not hasattr(matrix(), "T")


def test_a_symmetric_matrix_equals_its_transpose() -> None:
    S = tf.constant([[1, 2, 3], [2, 0, 4], [3, 4, 5]])
    assert (tf.transpose(S) == S).numpy().tolist() == [[True] * 3] * 3


def test_a_tensor_of_rank_3_stacks_matrices() -> None:
    X = tf.reshape(tf.range(24), (2, 3, 4))
    assert X[0].numpy().tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
    assert X[1].numpy().tolist() == [[12, 13, 14, 15], [16, 17, 18, 19], [20, 21, 22, 23]]
    assert tf.transpose(X).shape == (4, 3, 2)
    assert tf.linalg.matrix_transpose(X).shape == (2, 4, 3)


def test_a_clone_is_another_object_with_the_same_values() -> None:
    A = matrix()
    B = tf.identity(A)
    assert B is not A
    assert A.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]
    assert (A + B).numpy().tolist() == [[0, 2, 4], [6, 8, 10]]


def test_the_operator_for_multiplication_works_element_by_element() -> None:
    assert (matrix() * matrix()).numpy().tolist() == [[0, 1, 4], [9, 16, 25]]


def test_a_scalar_reaches_every_element_and_keeps_the_shape() -> None:
    X = tf.reshape(tf.range(24), (2, 3, 4))
    np.testing.assert_array_equal(2 + X, np.arange(2, 26).reshape(2, 3, 4))
    assert (2 * X).shape == (2, 3, 4)


def test_sums_are_3_and_15_and_axes_that_are_summed_disappear() -> None:
    A = matrix()
    assert tf.reduce_sum(tf.range(3.0)) == 3
    assert tf.reduce_sum(A) == 15
    assert A.shape == (2, 3)
    assert tf.reduce_sum(A, axis=0).numpy().tolist() == [3, 5, 7]
    assert tf.reduce_sum(A, axis=1).numpy().tolist() == [3, 12]
    assert tf.reduce_sum(A, axis=[0, 1]) == tf.reduce_sum(A)


def test_the_mean_is_the_sum_over_the_count() -> None:
    A = matrix()
    assert tf.reduce_mean(A) == 2.5
    assert tf.reduce_sum(A) / tf.cast(tf.size(A), A.dtype) == 2.5
    assert tf.reduce_mean(A, axis=0).numpy().tolist() == [1.5, 2.5, 3.5]
    assert (tf.reduce_sum(A, axis=0) / A.shape[0]).numpy().tolist() == [1.5, 2.5, 3.5]


def test_the_mean_of_integers_is_an_integer() -> None:
    assert tf.reduce_mean(tf.constant([1, 2])).numpy() == 1
    assert tf.reduce_mean(tf.constant([-1, -2])).numpy() == -1  # towards zero


def test_keepdims_lets_the_rows_be_divided_by_their_sums() -> None:
    A = matrix()
    sum_A = tf.reduce_sum(A, axis=1, keepdims=True)
    assert sum_A.shape == (2, 1)
    assert sum_A.numpy().tolist() == [[3], [12]]
    # One float32 rounding of numbers below 1.
    np.testing.assert_allclose(A / sum_A, [[0, 1 / 3, 2 / 3], [1 / 4, 1 / 3, 5 / 12]], atol=1e-7)


def test_cumsum_keeps_the_shape() -> None:
    assert tf.cumsum(matrix(), axis=0).numpy().tolist() == [[0, 1, 2], [3, 5, 7]]


def test_the_dot_product_is_3() -> None:
    x, y = tf.range(3.0), tf.ones(3)
    assert tf.tensordot(x, y, axes=1) == 3
    assert tf.reduce_sum(x * y) == 3


def test_a_matrix_times_a_vector_is_5_and_14() -> None:
    A, x = matrix(), tf.range(3.0)
    assert tf.linalg.matvec(A, x).numpy().tolist() == [5, 14]
    assert tf.tensordot(A, x, axes=1).numpy().tolist() == [5, 14]
    assert (A @ x[:, tf.newaxis]).numpy().tolist() == [[5], [14]]


def test_the_matrix_product_refuses_a_vector() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="ndims"):
        matrix() @ tf.range(3.0)


def test_a_matrix_times_ones_holds_the_row_sums() -> None:
    A, B = matrix(), tf.ones((3, 4))
    assert tf.matmul(A, B).numpy().tolist() == [[3] * 4, [12] * 4]
    np.testing.assert_array_equal(A @ B, tf.matmul(A, B))


@pytest.mark.parametrize(
    ("p", "norm"),
    [(1, 7.0), (2, 5.0), (3, 91 ** (1 / 3)), (1.5, (3**1.5 + 8) ** (2 / 3)), (math.inf, 4.0)],
)
def test_norms_of_3_and_minus_4(p: float, norm: float) -> None:
    # Powers and a root in float32: a few roundings of 6e-8 each.
    assert float(tf.norm(tf.constant([3.0, -4.0]), ord=p)) == pytest.approx(norm, rel=1e-6)


def test_the_norm_without_an_order_is_l2() -> None:
    assert tf.norm(tf.constant([3.0, -4.0])) == 5


def test_the_l1_norm_is_the_sum_of_absolute_values() -> None:
    assert tf.reduce_sum(tf.abs(tf.constant([3.0, -4.0]))) == 7


def test_the_frobenius_norm_of_36_ones_is_6() -> None:
    assert tf.norm(tf.ones((4, 9))) == 6


def test_order_2_of_a_matrix_is_its_spectral_norm_only_with_an_axis() -> None:
    A = matrix()
    # Squares of 0 to 5 sum to 55; a square, its sum and its root round by 6e-8 each.
    assert float(tf.norm(A, ord=2)) == pytest.approx(math.sqrt(55), rel=1e-6)
    # The larger eigenvalue of A A^T = [[5, 14], [14, 50]]; the decomposition is iterative.
    largest = (55 + math.sqrt(55**2 - 4 * (5 * 50 - 14 * 14))) / 2
    assert float(tf.norm(A, ord=2, axis=(0, 1))) == pytest.approx(math.sqrt(largest), rel=1e-5)


def test_norms_refuse_integers() -> None:
    with pytest.raises(tf.errors.InvalidArgumentError, match="int32"):
        tf.norm(tf.constant([3, 4]))
