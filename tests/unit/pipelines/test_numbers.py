"""pipelines/basics/numbers.py: numbers that are accepted, and errors for the others."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import tensorflow as tf

from pipelines.basics.numbers import MAX_FLOAT32, positive_number, real_number, whole_number

NO_NUMBERS = [None, True, False, np.True_, "1", b"1", [1], np.array([1]), tf.constant([1]), 1j]


@pytest.mark.parametrize("value", [256, np.int64(256), np.uint16(256), tf.constant(256)])
def test_a_whole_number_of_any_library_becomes_an_int(value: Any) -> None:
    found = whole_number("n", value)
    assert (found, type(found)) == (256, int)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, 0, -1, 2**31, 10**400, 2.0, np.float32(2), tf.constant(2.0), math.nan]
)
def test_anything_but_a_whole_number_in_the_range_is_refused_by_name(value: Any) -> None:
    with pytest.raises(ValueError, match="^n must be a whole number (of|from) .*; got ") as error:
        whole_number("n", value)
    assert len(str(error.value)) < 200
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    "value",
    [0.5, np.float32(0.5), np.float64(0.5), Fraction(1, 2), Decimal("0.5"), tf.constant(0.5),
     tf.Variable(0.5), np.array(0.5)],
)  # fmt: skip
def test_a_number_of_any_library_becomes_a_float(value: Any) -> None:
    for found in (real_number("x", value, maximum=1), positive_number("x", value)):
        assert (found, type(found)) == (0.5, float)


@pytest.mark.parametrize("value", [*NO_NUMBERS, -1, math.nan, math.inf, -math.inf, 1e300, 10**400])
def test_anything_but_a_finite_number_in_the_range_is_refused(value: Any) -> None:
    for check in (real_number, positive_number):
        with pytest.raises(ValueError, match="^x must be a finite number.*; got .*Try 1"):
            check("x", value, hint="Try 1.")


@pytest.mark.parametrize("value", [0, -0.0, 1e-300])
def test_a_number_that_float32_would_round_to_0_does_not_count_as_above_0(value: float) -> None:
    assert real_number("x", value) == value
    with pytest.raises(ValueError, match="above 0"):
        positive_number("x", value)


def test_the_bounds_are_those_of_float32() -> None:
    assert float(np.finfo(np.float32).max) == MAX_FLOAT32 == positive_number("x", MAX_FLOAT32)
    assert positive_number("x", float(np.finfo(np.float32).smallest_normal)) > 0


def test_the_rule_names_the_bounds_that_matter() -> None:
    def said(check: Any, value: Any, **bounds: float) -> str:
        with pytest.raises(ValueError, match="x must be") as error:
            check("x", value, **bounds)
        return str(error.value)

    assert said(whole_number, 0) == "x must be a whole number of at least 1; got 0."
    assert "from 1 to 2147483647; got 2147483648" in said(whole_number, 2**31)
    assert "from 2 to 3; got 1" in said(whole_number, 1, minimum=2, maximum=3)
    assert said(real_number, -1) == "x must be a finite number of at least 0; got -1."
    assert "from 0 to 1; got 1.5" in said(real_number, 1.5, maximum=1)
    assert (
        said(real_number, math.nan, minimum=-MAX_FLOAT32) == "x must be a finite number; got nan."
    )
    assert "from 0 to 3.40282e+38; got 1e+39" in said(real_number, 1e39)
    assert said(positive_number, 0) == "x must be a finite number above 0; got 0."
    assert "above 0, 1.2e-38 to 3.4e+38; got 1e+39" in said(positive_number, 1e39)
