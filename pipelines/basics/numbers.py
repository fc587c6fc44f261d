"""Checks numbers that a user gives, with the same wording everywhere."""

from __future__ import annotations

import math
import operator
from typing import Any

from pipelines.basics.text import shown

__all__ = ["MAX_FLOAT32", "MAX_INT32", "positive_number", "real_number", "whole_number"]

# The largest number in TensorFlow's int32 indices and shapes.
MAX_INT32 = 2**31 - 1
# Larger numbers become infinite in float32.
MAX_FLOAT32 = (2 - 2**-23) * 2.0**127
# Smaller numbers lose digits in float32, and become 0 in the end.
_MIN_NORMAL_FLOAT32 = 2.0**-126


def whole_number(
    name: str, value: Any, *, minimum: int = 1, maximum: int = MAX_INT32, hint: str = ""
) -> int:
    """Return `value` as an int, if it is a whole number in a range.

    Args:
        name: the user's name of the number.
        value: an int of Python, NumPy or TensorFlow; floats and bools are refused.
        minimum: the smallest value that is allowed.
        maximum: the largest value that is allowed.
        hint: a sentence for the error that says what to do instead.

    Raises:
        ValueError: `value` is anything else.

    Example:
        >>> whole_number("batch_size", 0)
        Traceback (most recent call last):
        ValueError: batch_size must be a whole number of at least 1; got 0.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    # A TensorFlow float raises AttributeError.
    except (TypeError, AttributeError):
        number = None
    if number is None or not minimum <= number <= maximum:
        # The error mentions the bound of int32 only if it is exceeded.
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
    """Return `value` as a float, if it is a number in a range.

    Args:
        name: the user's name of the number.
        value: a number of Python, NumPy or TensorFlow; NaN, infinities and bools are refused.
        minimum: the smallest value that is allowed.
        maximum: the largest value that is allowed.
        hint: a sentence for the error that says what to do instead.

    Raises:
        ValueError: `value` is anything else.

    Example:
        >>> real_number("dropout", 1.5, maximum=1)
        Traceback (most recent call last):
        ValueError: dropout must be a finite number from 0 to 1; got 1.5.
    """
    number = _float(value)
    # In this form the comparison refuses NaN.
    if number is None or not minimum <= number <= maximum:
        # The error mentions the bounds of float32 only if they are exceeded.
        too_large = number is not None and MAX_FLOAT32 < abs(number) < math.inf
        if maximum < MAX_FLOAT32 or too_large:
            rule = f" from {minimum:g} to {maximum:g}"
        elif minimum > -MAX_FLOAT32:
            rule = f" of at least {minimum:g}"
        else:
            rule = ""
        raise ValueError(_sentence(name, f"a finite number{rule}", value, hint))
    return number


def positive_number(name: str, value: Any, *, hint: str = "") -> float:
    """Return `value` as a float, if it is a number above 0 that float32 can hold.

    Args:
        name: the user's name of the number.
        value: a number of Python, NumPy or TensorFlow; NaN, infinities and bools are refused.
        hint: a sentence for the error that says what to do instead.

    Raises:
        ValueError: `value` is anything else.

    Example:
        >>> positive_number("lr", -1)
        Traceback (most recent call last):
        ValueError: lr must be a finite number above 0; got -1.
    """
    number = _float(value)
    if number is None or not _MIN_NORMAL_FLOAT32 <= number <= MAX_FLOAT32:
        rule = "a finite number above 0"
        # The error mentions the bounds of float32 only if they are exceeded.
        if number is not None and 0 < number < math.inf:
            rule += f", {_MIN_NORMAL_FLOAT32:.1e} to {MAX_FLOAT32:.1e}"
        raise ValueError(_sentence(name, rule, value, hint))
    return number


def _float(value: Any) -> float | None:
    """Return the value as a float; None for text, bools and anything but a single number."""
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
