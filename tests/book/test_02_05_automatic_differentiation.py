"""Section 2.5: gradients by the tape, against derivatives taken by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf


def variable() -> tf.Variable:
    """0 to 3, the section's example."""
    return tf.Variable(tf.range(4.0))


def f(a: tf.Tensor) -> tf.Tensor:
    """The section's function of loops and branches: k a, with a constant k on each piece."""
    b = a * 2
    while tf.norm(b) < 1000:
        b = b * 2
    return b if tf.reduce_sum(b) > 0 else 100 * b


def test_twice_the_dot_product_is_28_and_its_gradient_4x() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = 2 * tf.tensordot(x, x, axes=1)
    assert y == 28
    assert tape.gradient(y, x).numpy().tolist() == [0, 4, 8, 12]


def test_a_tensor_has_a_gradient_only_if_it_is_watched() -> None:
    c = tf.range(4.0)
    with tf.GradientTape() as tape:
        y = 2 * tf.tensordot(c, c, axes=1)
    assert tape.gradient(y, c) is None
    with tf.GradientTape() as tape:
        tape.watch(c)
        y = 2 * tf.tensordot(c, c, axes=1)
    assert tape.gradient(y, c).numpy().tolist() == [0, 4, 8, 12]


def test_the_gradient_of_a_second_function_is_ones_without_a_reset() -> None:
    x = variable()
    for _ in range(2):
        with tf.GradientTape() as tape:
            y = tf.reduce_sum(x)
        assert tape.gradient(y, x).numpy().tolist() == [1, 1, 1, 1]


def test_gradients_can_be_accumulated_in_a_variable() -> None:
    x = variable()
    total = tf.Variable(tf.zeros_like(x))
    for factor in (2.0, 3.0):
        with tf.GradientTape() as tape:
            y = factor * tf.reduce_sum(x)
        total.assign_add(tape.gradient(y, x))
    assert total.numpy().tolist() == [5, 5, 5, 5]
    total.assign(tf.zeros_like(total))
    assert total.numpy().tolist() == [0, 0, 0, 0]


def test_a_calculation_through_numpy_has_no_gradient() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.constant(x.numpy() ** 2))
    assert tape.gradient(y, x) is None


def test_an_unconnected_gradient_is_zero_on_request() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(tf.constant([1.0, 2.0]))
    gradient = tape.gradient(y, x, unconnected_gradients="zero")
    assert gradient.numpy().tolist() == [0, 0, 0, 0]


@pytest.mark.parametrize(
    ("weights", "gradient"),
    [
        ([1.0, 1.0, 1.0, 1.0], [0, 2, 4, 6]),
        ([0.0, 0.0, 0.0, 1.0], [0, 0, 0, 6]),
        (None, [0, 2, 4, 6]),
    ],
)
def test_a_vectors_gradient_is_weighted_by_ones_or_by_given_weights(
    weights: list[float] | None, gradient: list[int]
) -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = x * x
    # A tensor, for the entries of a list would belong to several targets.
    v = None if weights is None else tf.constant(weights)
    assert tape.gradient(y, x, output_gradients=v).numpy().tolist() == gradient


def test_the_jacobian_of_the_squares_is_diagonal() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = x * x
    np.testing.assert_array_equal(tape.jacobian(y, x), np.diag([0, 2, 4, 6]))


def test_stop_gradient_detaches_u_and_leaves_y_on_the_tape() -> None:
    x = variable()
    with tf.GradientTape(persistent=True) as tape:
        y = x * x
        u = tf.stop_gradient(y)
        z = u * x
    np.testing.assert_array_equal(tape.gradient(z, x), u)
    assert u.numpy().tolist() == [0, 1, 4, 9]
    assert tape.gradient(y, x).numpy().tolist() == [0, 2, 4, 6]


def test_without_stop_gradient_it_is_the_derivative_of_the_cube() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        z = x * x * x
    assert tape.gradient(z, x).numpy().tolist() == [0, 3, 12, 27]


def test_a_tape_that_is_not_persistent_answers_once() -> None:
    x = variable()
    with tf.GradientTape() as tape:
        y = x * x
    tape.gradient(y, x)
    with pytest.raises(RuntimeError, match="non-persistent"):
        tape.gradient(y, x)


def test_nested_tapes_give_the_second_derivative() -> None:
    x = tf.Variable(3.0)
    with tf.GradientTape() as outer:
        with tf.GradientTape() as inner:
            y = x * x * x
        first = inner.gradient(y, x)
    assert first == 27
    assert outer.gradient(first, x) == 18


# 2 * 256 * 2 = 1024 is the first double of 2 at 1000 or more; the others are found likewise.
@pytest.mark.parametrize(
    ("a", "factor"), [(1.0, 1024), (0.5, 2048), (3.0, 512), (700.0, 2), (-2.0, 51200)]
)
@pytest.mark.parametrize("compiled", [False, True])
def test_the_gradient_through_control_flow_is_f_of_a_over_a(
    a: float, factor: int, compiled: bool
) -> None:
    function = tf.function(f) if compiled else f
    x = tf.constant(a)
    with tf.GradientTape() as tape:
        tape.watch(x)
        d = function(x)
    gradient = tape.gradient(d, x)
    assert gradient == factor
    assert gradient == d / x  # short mantissas: nothing is rounded


def test_the_same_holds_for_random_numbers() -> None:
    function = tf.function(f)
    for a in tf.random.stateless_normal((20,), seed=(0, 0)):
        with tf.GradientTape() as tape:
            tape.watch(a)
            d = function(a)
        # 100 b is rounded, and so is the quotient: 6e-8 each.
        np.testing.assert_allclose(tape.gradient(d, a), d / a, rtol=1e-6)
    assert function.experimental_get_tracing_count() == 1


def test_without_autograph_a_graph_cannot_decide_by_a_value() -> None:
    with pytest.raises(TypeError, match="Python `bool` is not allowed"):
        tf.function(f, autograph=False)(tf.constant(1.0))
