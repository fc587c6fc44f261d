"""The types of a run's settings: numbers, sizes and paths, with rules that pydantic lacks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

__all__ = ["FilePath", "Real", "Size", "Whole"]

MAX_PIXELS = 4096
# The system's limits, 4,096 and 255, with room for the files below.
MAX_PATH, MAX_NAME = 3072, 255


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def _size(value: Any) -> tuple[int, int]:
    """(height, width) from '32', '32x48', '32,48', or one or two numbers."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    sides = re.split("[x,]", value.strip("[]() ")) if isinstance(value, str) else value
    sides = [sides] if isinstance(sides, int) else sides
    try:
        height, width = int(sides[0]), int(sides[-1])
    except (TypeError, ValueError, IndexError, KeyError, OverflowError):
        height = width = 0
    in_range = 1 <= min(height, width) <= max(height, width) <= MAX_PIXELS
    # int() would cut off what comes after a point.
    if not in_range or len(sides) > 2 or {bool, float} & {*map(type, sides)}:
        raise ValueError(
            f"HEIGHTxWIDTH in whole pixels from 1 to {MAX_PIXELS}, such as 32x32 or 32"
        )
    return (height, width)


def _path(value: Any) -> Any:
    # An unset variable of a shell gives "", which Path would take for the current directory.
    if value == "":
        raise ValueError("a path; the current directory is '.'")
    # TensorFlow refuses some of these only when it writes there.
    if re.search("[\0-\x1f\x7f-\x9f\u2028\u2029]", str(value)):
        raise ValueError("a path without line breaks and other control characters")
    # Python keeps bytes that it can't decode as half a surrogate pair, which TensorFlow refuses.
    if re.search("[\ud800-\udfff]", str(value)):
        raise ValueError("a path in UTF-8, read in a locale that has it, such as LC_ALL=C.UTF-8")
    parts = str(value).encode().split(b"/")
    if len(str(value).encode()) > MAX_PATH or max(map(len, parts)) > MAX_NAME:
        raise ValueError(f"a path of at most {MAX_PATH} bytes, {MAX_NAME} in each part")
    return value


Whole = Annotated[int, BeforeValidator(_no_bool)]
Real = Annotated[float, BeforeValidator(_no_bool)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
FilePath = Annotated[Path, BeforeValidator(_path)]
