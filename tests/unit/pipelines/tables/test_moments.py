"""pipelines/tables/moments.py: means and deviations in chunks, against the standard library."""

from __future__ import annotations

import math
import statistics as reference

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines.tables.errors import TableError
from pipelines.tables.moments import Moments
from pipelines.tables.preparation import prepare
from pipelines.tables.statistics import fit


def moments_of(numbers: list[float], chunk_rows: int) -> Moments:
    moments = Moments()
    for start in range(0, len(numbers), chunk_rows):
        moments.add(np.array(numbers[start : start + chunk_rows]))
    return moments


NUMBERS = st.lists(
    st.floats(-1e9, 1e9, allow_subnormal=False) | st.integers(-9, 9).map(float),
    min_size=2,
    max_size=30,
)


@given(numbers=NUMBERS, chunk_rows=st.integers(1, 7))
def test_mean_and_deviation_are_those_of_exact_sums_up_to_rounding(
    numbers: list[float], chunk_rows: int
) -> None:
    moments = moments_of(numbers, chunk_rows)
    # The standard library sums fractions and rounds once, at the end. Float64 has 16 digits, and a
    # mean may cancel to nearly 0; 1e-320 is for the smallest floats. Equal numbers have deviation
    # 0 there and 1 here.
    size = max(map(abs, numbers))
    assert moments.mean == pytest.approx(reference.mean(numbers), rel=0, abs=1e-12 * size + 1e-320)
    close = pytest.approx(reference.stdev(numbers), rel=1e-12, abs=1e-320)
    assert moments.deviation == (close if len({*numbers}) > 1 else 1)


def test_equal_numbers_have_exactly_their_mean_and_deviation_1() -> None:
    # Three times 0.1 is 0.30000000000000004 in float64: a mean by division would be off.
    moments = moments_of([0.1] * 7, 3)
    assert (moments.mean, moments.deviation) == (0.1, 1)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_numbers_whose_squares_no_float_can_hold_are_standardized(size: float) -> None:
    frame = pd.DataFrame({"a": ["0", repr(size)]}, dtype="str")
    inputs, _ = prepare(frame, fit(frame, standardize=True))
    # Half the distance over the deviation, the distance / sqrt(2); rounding of a few operations.
    half = 1 / math.sqrt(2)
    np.testing.assert_allclose(inputs["a"], [-half, half], rtol=1e-14)


def test_large_numbers_close_together_keep_their_deviation() -> None:
    # As sums of squares in float64, 1e18 + ..., they would have none.
    moments = moments_of([1000000001.0, 1000000002.0, 1000000003.0], 2)
    assert moments.mean == 1000000002
    assert moments.deviation == pytest.approx(1, rel=1e-12)


@pytest.mark.parametrize("numbers", [[1.7e308, -1.7e308], [1.7e308] * 5 + [0.0] * 5])
def test_numbers_too_far_apart_for_float64_are_refused(numbers: list[float]) -> None:
    frame = pd.DataFrame({"a": map(repr, numbers)}, dtype="str")
    with pytest.raises(TableError, match=r"column 'a': the distances between its numbers.*Scale"):
        fit(frame)
