"""Numbers that a user gives: checked where they enter, with one wording for all of them."""

from __future__ import annotations

import math
import operator
from typing import Any

__all__ = ["LARGEST", "MOST", "positive_number", "real_number", "shown", "whole_number"]

# What TensorFlow's int32 indices and shapes hold.
MOST = 2**31 - 1
# The largest and the smallest normal float32: beyond them a number becomes infinite or 0.
LARGEST, _SMALLEST = (2 - 2**-23) * 2.0**127, 2.0**-126


def whole_number(name: str, value: Any, *, least: int = 1, most: int = MOST, hint: str = "") -> int:
    """Give back `value` as an int, if it is a whole number in a range.

    Args:
        name: what the user calls it.
        value: an int of Python, NumPy or TensorFlow; a float is none, and a bool neither.
        least: the smallest that is allowed.
        most: the largest that is allowed.
        hint: a sentence that says what to do instead.

    Raises:
        ValueError: it is something else.
    """
    try:
        number = None if isinstance(value, bool) else operator.index(value)
    # A TensorFlow float has no index, and says so by an AttributeError.
    except (TypeError, AttributeError):
        number = None
    if number is None or not least <= number <= most:
        # The bound of int32 is news only to those who meet it.
        too_large = number is not None and number > most
        rule = f"from {least} to {most}" if most < MOST or too_large else f"of at least {least}"
        raise ValueError(_sentence(name, f"a whole number {rule}", value, hint))
    return number


def real_number(
    name: str, value: Any, *, least: float = 0.0, most: float = LARGEST, hint: str = ""
) -> float:
    """Give back `value` as a float, if it is a number in a range.

    Args:
        name: what the user calls it.
        value: a number of Python, NumPy or TensorFlow; neither NaN, infinite nor a bool.
        least: the smallest that is allowed.
        most: the largest that is allowed.
        hint: a sentence that says what to do instead.

    Raises:
        ValueError: it is something else.
    """
    number = _float(value)
    # Written so that NaN is refused.
    if number is None or not least <= number <= most:
        rule = f" from {least:g} to {most:g}"
        if most == LARGEST and (number is None or not LARGEST < abs(number) < math.inf):
            rule = f" of at least {least:g}" if least > -LARGEST else ""
        raise ValueError(_sentence(name, f"a finite number{rule}", value, hint))
    return number


def positive_number(name: str, value: Any, *, hint: str = "") -> float:
    """Give back `value` as a float, if it is a number above 0 that float32 can hold.

    Raises:
        ValueError: it is something else.
    """
    number = _float(value)
    if number is None or not _SMALLEST <= number <= LARGEST:
        # The bounds of float32 are news only to those who meet them.
        met = number is not None and 0 < number < math.inf
        rule = "a finite number above 0" + f", {_SMALLEST:.1e} to {LARGEST:.1e}" * met
        raise ValueError(_sentence(name, rule, value, hint))
    return number


def shown(value: Any) -> str:
    """A value in an error's text: in one line, and short however large it is."""
    try:
        text = " ".join(repr(value).split())
    except ValueError:
        # Python writes no integer of more than 4300 digits.
        text = f"{type(value).__name__} of too many digits"
    return text if len(text) <= 80 else f"{text[:77]}..."


def _float(value: Any) -> float | None:
    """The number; None for what is none, text and truth values included."""
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
