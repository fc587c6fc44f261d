"""Section 2.4: derivatives as limits, by rules and by the tape; gradients; the pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
import tensorflow as tf
from matplotlib import pyplot

import tfd2l as d2l

Function = Callable[[tf.Tensor], tf.Tensor]
EPSILON = {tf.float32: 2.0**-23, tf.float64: 2.0**-52}


@pytest.fixture(autouse=True)
def pyplot_as_before() -> Iterator[None]:
    with pyplot.rc_context():
        yield
    pyplot.close("all")


def f(x: tf.Tensor) -> tf.Tensor:
    return 3 * x**2 - 4 * x


def slope_at_1(h: float, dtype: tf.DType = tf.float64) -> float:
    x, length = tf.constant(1, dtype), tf.constant(h, dtype)
    return float((f(x + length) - f(x)) / length)


def derivative(function: Function, x: tf.Tensor) -> tf.Tensor:
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = function(x)
    return tape.gradient(y, x)


@pytest.mark.parametrize("h", [0.1, 0.01, 0.001, 0.0001, 0.00001])
def test_the_slope_from_1_is_2_plus_three_times_the_stretch(h: float) -> None:
    # Worked out: (3 (1 + h)^2 - 4 (1 + h) + 1) / h. The stretch divides float64's rounding of
    # numbers up to 4 by 1e-5 at most: 4 * 2.2e-16 / 1e-5 = 9e-11.
    assert slope_at_1(h) == pytest.approx(2 + 3 * h, abs=1e-10)


@pytest.mark.parametrize("dtype", [tf.float32, tf.float64])
def test_the_error_of_the_slope_is_least_near_the_root_of_the_precision(dtype: tf.DType) -> None:
    root = EPSILON[dtype] ** 0.5
    # A median, for a single rounding error may happen to vanish.
    error = {
        scale: np.median(
            [abs(slope_at_1(scale * root * factor, dtype) - 2) for factor in (0.8, 0.9, 1, 1.1)]
        )
        for scale in (0.001, 1, 1000)
    }
    # To the right 3h, a thousand times the best; to the left the rounding, as many times.
    assert error[1] < 10 * root
    assert error[0.001] > 30 * error[1]
    assert error[1000] > 100 * error[1]


def test_in_float32_a_stretch_of_1e_8_is_nothing() -> None:
    assert tf.constant(1.0) + 1e-8 == tf.constant(1.0)
    assert slope_at_1(1e-8, tf.float32) == 0
    # Rounding of numbers up to 4 over h, twice: 2 * 4 * 2.2e-16 / 1e-8.
    assert slope_at_1(1e-8) == pytest.approx(2, abs=2e-7)


@pytest.mark.parametrize(("x", "expected"), [(0.0, -4.0), (1.0, 2.0), (2.5, 11.0)])
def test_the_tape_gives_the_derivative_itself(x: float, expected: float) -> None:
    # 6x - 4; all numbers on the way are exact in float32.
    assert float(derivative(f, tf.constant(x))) == expected


def test_the_second_derivative_is_6_everywhere() -> None:
    x = tf.constant([0.0, 1.0, 2.5])
    second = derivative(lambda x: derivative(f, x), x)
    np.testing.assert_array_equal(second, [6, 6, 6])


RULES: dict[str, tuple[Function, Callable[[np.ndarray], np.ndarray]]] = {
    "power": (lambda x: x**3, lambda x: 3 * x**2),
    "exponential": (tf.exp, np.exp),
    "logarithm": (tf.math.log, lambda x: 1 / x),
    "multiple": (lambda x: 5 * x**3, lambda x: 15 * x**2),
    "sum": (lambda x: x**3 + tf.exp(x), lambda x: 3 * x**2 + np.exp(x)),
    "product": (lambda x: x**3 * tf.exp(x), lambda x: (3 * x**2 + x**3) * np.exp(x)),
    "quotient": (lambda x: x**3 / tf.exp(x), lambda x: (3 * x**2 - x**3) * np.exp(-x)),
    "chain": (lambda x: tf.sin(x**2), lambda x: 2 * x * np.cos(x**2)),
}


@pytest.mark.parametrize("name", RULES)
def test_the_tape_follows_the_rules(name: str) -> None:
    function, by_rule = RULES[name]
    x = np.array([0.5, 1.0, 2.0, 3.5])
    # A few roundings of float64; where the two terms nearly cancel they count for more.
    np.testing.assert_allclose(derivative(function, tf.constant(x)), by_rule(x), rtol=1e-12)


def test_the_derivative_of_a_constant_is_none_or_on_request_zero() -> None:
    x = tf.Variable(2.0)
    with tf.GradientTape(persistent=True) as tape:
        y = tf.constant(7.0)
    assert tape.gradient(y, x) is None
    assert float(tape.gradient(y, x, unconnected_gradients="zero")) == 0


def test_the_tangent_at_1_touches_the_curve_there_and_stays_below_it() -> None:
    x = tf.range(0.0, 3.0, 0.1)
    legend = ["f(x)", "Tangent line (x=1)"]
    axes = d2l.plot(x, [f(x), 2 * x - 3], "x", "f(x)", legend=legend)
    curve, tangent = (np.asarray(line.get_ydata()) for line in axes.get_lines())
    assert len(curve) == len(tangent) == 30
    # f(x) - (2x - 3) = 3 (x - 1)^2; float32, numbers up to 30.
    np.testing.assert_allclose(curve - tangent, 3 * (np.arange(30) / 10 - 1) ** 2, atol=1e-5)
    box = axes.get_legend()
    assert box is not None
    assert [text.get_text() for text in box.get_texts()] == legend
    assert pyplot.get_fignums() == []


def test_tangents_are_drawn_by_the_books_calls_of_pyplot() -> None:
    x = tf.range(0.0, 3.0, 0.1)
    d2l.use_svg_display()
    d2l.set_figsize((5, 3))
    axes = d2l.plt.gca()
    for a in (0.0, 1.0, 2.0):
        place = tf.constant(a)
        axes.plot(x, f(place) + derivative(f, place) * (x - place))
    d2l.set_axes(axes, "x", "f(x)", [0, 3], [-5, 12], "linear", "linear", ["at 0", "at 1", "at 2"])
    # -4x, 2x - 3 and 8x - 12, at x = 1.
    at_1 = [float(np.asarray(line.get_ydata())[10]) for line in axes.get_lines()]
    # float32 steps of 0.1 add up to 1 to within 1e-6; the slopes are up to 8.
    assert at_1 == pytest.approx([-4, -1, -4], abs=1e-5)
    assert axes.get_figure() is pyplot.gcf()
    assert pyplot.gcf().get_size_inches().tolist() == [5, 3]
    assert (axes.get_xlim(), axes.get_ylim()) == ((0, 3), (-5, 12))


def test_plot_draws_into_the_given_pyplot_axes() -> None:
    _, (left, right) = d2l.plt.subplots(1, 2)
    assert d2l.plot([1.0, 2.0], axes=left) is left
    assert (len(left.get_lines()), len(right.get_lines())) == (1, 0)


def test_partial_derivatives_come_as_a_list_from_one_tape() -> None:
    x, y = tf.Variable(2.0), tf.Variable(1.0)
    with tf.GradientTape() as tape:
        z = x**2 * y + y**3
    # 2xy and x^2 + 3y^2.
    assert [float(partial) for partial in tape.gradient(z, [x, y])] == [4, 7]


def test_gradients_of_products_with_a_vector_are_as_by_hand() -> None:
    A, a = tf.constant([[1.0, 2.0], [0.0, 3.0]]), tf.constant([5.0, -1.0])
    x = tf.constant([1.0, 2.0])
    np.testing.assert_array_equal(derivative(lambda x: tf.tensordot(a, x, 1), x), [5, -1])
    np.testing.assert_array_equal(derivative(lambda x: tf.reduce_sum(x**2), x), [2, 4])

    def quadratic(x: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(x, tf.linalg.matvec(A, x), 1)

    # A + A^T = [[2, 2], [2, 6]], times (1, 2).
    np.testing.assert_array_equal(derivative(quadratic, x), [6, 14])


def test_the_gradient_is_the_transposed_jacobian_times_the_gradient_of_the_outer_function() -> None:
    x = tf.Variable([2.0, 3.0])
    with tf.GradientTape(persistent=True) as tape:
        u = tf.stack([x[0] * x[1], x[0] + x[1]])
        y = u[0] ** 2 + 3 * u[1]
    np.testing.assert_array_equal(tape.jacobian(u, x), [[3, 2], [1, 1]])
    np.testing.assert_array_equal(tape.gradient(y, u), [12, 3])
    # 3 * 12 + 1 * 3 and 2 * 12 + 1 * 3.
    np.testing.assert_array_equal(tape.gradient(y, x), [39, 27])
