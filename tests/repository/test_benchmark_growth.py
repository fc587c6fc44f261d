"""The arithmetic of the growth benchmark: limits and exponents."""

from __future__ import annotations

import pytest

from benchmarks.growth import Machine, exponent, limits

# One operation and one byte a second: the limits are counts.
UNIT = Machine(flops=1.0, bandwidth=1.0)


def test_products_of_streamed_examples() -> None:
    # (256, 784) @ (784, 256) and (256, 256) @ (256, 10), with a factor 2 for multiply and add; the
    # gradient repeats the first once and the second twice.
    first, second = 2 * 784 * 256, 2 * 256 * 10
    assert limits("streamed", 1000, UNIT)["products"] == 1000 * (2 * first + 3 * second)


def test_validation_counts_in_memory() -> None:
    first, second = 2 * 784 * 256, 2 * 256 * 10
    streamed, inside = limits("streamed", 1000, UNIT), limits("examples", 1000, UNIT)
    assert inside["products"] - streamed["products"] == 10_000 * (first + second)


def test_traffic_of_one_step() -> None:
    # An image: 784 bytes, then 784 float32 written once and read twice. 203,530 parameters.
    expected = 256 * (784 + 3 * 4 * 784) + 3 * 4 * 203_530
    assert limits("streamed", 256, UNIT)["memory"] == expected


def test_speeds_divide() -> None:
    limit, faster = limits("hidden", 64, UNIT), limits("hidden", 64, Machine(2.0, 4.0))
    assert faster == {"products": limit["products"] / 2, "memory": limit["memory"] / 4}


def test_exponent_of_a_power() -> None:
    # The first point does not count.
    assert exponent([1, 2, 4, 8], [100.0, 4.0, 16.0, 64.0]) == pytest.approx(2)
