"""Checks of numbers that a user gives, with one wording for all of them."""

from __future__ import annotations

import math
import operator
from typing import Any

from pipelines.basics.text import shown

__all__ = ["MAX_FLOAT32", "MAX_INT32", "positive_number", "real_number", "whole_number"]

# The largest number in TensorFlow's int32 indices and shapes.
MAX_INT32 = 2**31 - 1
# The largest and the smallest normal float32: beyond them a number becomes infinite or 0.
MAX_FLOAT32, _MIN_NORMAL_FLOAT32 = (2 - 2**-23) * 2.0**127, 2.0**-126


def whole_number(
    name: str, value: Any, *, minimum: int = 1, maximum: int = MAX_INT32, hint: str = ""
) -> int:
    """Give back `value` as an int, if it is a whole number in a range.

    Args:
        name: what the user calls it.
        value: an int of Python, NumPy or TensorFlow; floats and bools are refused.
        minimum: the smallest value that is allowed.
        maximum: the largest value that is allowed.
        hint: a sentence that says what to do instead.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    # A TensorFlow float has no index, and says so by an AttributeError.
    except (TypeError, AttributeError):
        number = None
    if number is None or not minimum <= number <= maximum:
        # The bound of int32 is worth a mention only where it is exceeded.
        too_large = number is not None and number > maximum
        rule = (
            f"from {minimum} to {maximum}"
            if maximum < MAX_INT32 or too_large
            else f"of at least {minimum}"
        )
        raise ValueError(_sentence(name, f"a whole number {rule}", value, hint))
    return number


def real_number(
    name: str, value: Any, *, minimum: float = 0.0, maximum: float = MAX_FLOAT32, hint: str = ""
) -> float:
    """Give back `value` as a float, if it is a number in a range.

    Args:
        name: what the user calls it.
        value: a number of Python, NumPy or TensorFlow; neither NaN, infinite nor a bool.
        minimum: the smallest value that is allowed.
        maximum: the largest value that is allowed.
        hint: a sentence that says what to do instead.

    Raises:
        ValueError: it is something else.
    """
    number = _float(value)
    # Written so that NaN is refused.
    if number is None or not minimum <= number <= maximum:
        rule = f" from {minimum:g} to {maximum:g}"
        if maximum == MAX_FLOAT32 and (number is None or not MAX_FLOAT32 < abs(number) < math.inf):
            rule = f" of at least {minimum:g}" if minimum > -MAX_FLOAT32 else ""
        raise ValueError(_sentence(name, f"a finite number{rule}", value, hint))
    return number


def positive_number(name: str, value: Any, *, hint: str = "") -> float:
    """Give back `value` as a float, if it is a number above 0 that float32 can hold.

    Raises:
        ValueError: it is something else.
    """
    number = _float(value)
    if number is None or not _MIN_NORMAL_FLOAT32 <= number <= MAX_FLOAT32:
        # The bounds of float32 are worth a mention only where they are exceeded.
        met = number is not None and 0 < number < math.inf
        rule = "a finite number above 0" + f", {_MIN_NORMAL_FLOAT32:.1e} to {MAX_FLOAT32:.1e}" * met
        raise ValueError(_sentence(name, rule, value, hint))
    return number


def _float(value: Any) -> float | None:
    """The value as a float; None for anything but a single number, and for text and bools."""
    is_text = isinstance(value, str | bytes | bytearray)
    is_bool = isinstance(value, bool) or getattr(value, "dtype", None) == "bool"
    if is_text or is_bool or tuple(getattr(value, "shape", ())) != ():
        return None
    try:
        return float(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _sentence(name: str, rule: str, value: Any, hint: str) -> str:
    return f"{name} must be {rule}; got {shown(value)}." + (f" {hint}" if hint else "")
