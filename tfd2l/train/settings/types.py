"""The types of a run's settings: numbers, sizes and paths, with rules that pydantic lacks."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

from pydantic import BeforeValidator

from pipelines.basics.text import shown
from tfd2l.train.settings.catalog import CATALOG, is_file
from tfd2l.train.settings.cluster import addresses_in

__all__ = ["Arguments", "Devices", "FilePath", "ModelName", "Name", "Real", "Size", "Whole",
           "Workers"]  # fmt: skip

MAX_PIXELS, MAX_DEVICES = 4096, 64
# The system's limits, 4,096 and 255, with room for the files below.
MAX_PATH, MAX_NAME = 3072, 255


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("a number, not true or false")
    return value


def _devices(value: Any) -> int | str:
    """A number of devices from 1, or 'all'."""
    number = int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
    if number == "all" or (type(number) is int and 1 <= number <= MAX_DEVICES):
        return number
    raise ValueError(f"a number of devices from 1 to {MAX_DEVICES}, or all")


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


def _workers(value: Any) -> str:
    """The text, which has addresses."""
    addresses_in(str(value))
    return str(value)


def _model(value: Any) -> str:
    if isinstance(value, str) and is_file(value):
        return str(_path(value))
    if not isinstance(value, str) or value not in CATALOG:
        raise ValueError(f"one of {', '.join(CATALOG)}, or a Python file such as my_models.py:Net")
    return value


def _name(value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value.encode(errors="replace")) > 255:
        raise ValueError("a name of at most 255 bytes")
    return str(_path(value))


def _arguments(value: Any) -> dict[str, Any]:
    """Arguments by name, from a mapping or from texts 'NAME=VALUE'."""
    if isinstance(value, Mapping):
        pairs = [(str(name), entry) for name, entry in value.items()]
    else:
        texts = value if isinstance(value, list) else [value]
        parts = [str(text).partition("=") for text in texts]
        if not all(equals for _, equals, _ in parts):
            raise ValueError("NAME=VALUE, such as dropout=0.5")
        pairs = [(name.replace("-", "_"), _literal(text)) for name, _, text in parts]
    for name, entry in pairs:
        if not name.isidentifier() or len(name) > 100:
            raise ValueError(f"NAME=VALUE with the name of an argument, not {shown(name)}")
        if not _is_json(entry):
            raise ValueError(f"NAME=VALUE, with a number, text or list; {name} is {shown(entry)}")
    if len({name for name, _ in pairs}) < len(pairs):
        raise ValueError("NAME=VALUE with each name once")
    return dict(pairs)


def _literal(text: str) -> Any:
    """A number, bool, None, or list of them as Python writes it; any other text as it is."""
    if text in ("true", "false"):
        return text == "true"
    try:
        value = ast.literal_eval(text) if len(text) <= 1000 else text
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return text
    value = [*value] if isinstance(value, tuple) else value
    return value if _is_json(value) else text


def _is_json(value: Any) -> bool:
    if isinstance(value, list):
        return all(map(_is_json, value))
    if isinstance(value, str):
        return not re.search("[\ud800-\udfff]", value)
    # Larger numbers, NaN and infinity have no form in the run's record that all readers know.
    is_number = isinstance(value, int | float) and abs(value) < 1e300
    return value is None or isinstance(value, bool) or is_number


Arguments = Annotated[dict[str, Any], BeforeValidator(_arguments)]
ModelName = Annotated[str, BeforeValidator(_model)]
Name = Annotated[str, BeforeValidator(_name)]
Whole = Annotated[int, BeforeValidator(_no_bool)]
Real = Annotated[float, BeforeValidator(_no_bool)]
Devices = Annotated[int | str, BeforeValidator(_devices)]
Size = Annotated[tuple[int, int], BeforeValidator(_size)]
FilePath = Annotated[Path, BeforeValidator(_path)]
Workers = Annotated[str, BeforeValidator(_workers)]
