"""Requests as JSON values, as TensorFlow Serving's parser reads them, and the error for bad ones.

Of its spellings of numbers, `Inf` and `-NaN` are missing; `NaN`, `Infinity` and `-Infinity` are
taken.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
from collections.abc import Mapping
from typing import Any, NoReturn

from tfd2l.common.errors import Tfd2lError

__all__ = [
    "RestError",
    "decode_base64",
    "encode_text",
    "is_base64",
    "is_integer",
    "parse_object",
    "refuse",
    "shown",
]

_BOM = b"\xef\xbb\xbf"
# The integers that the server's JSON parser keeps as such; others become doubles.
_LEAST_INTEGER, _LARGEST_INTEGER = -(2**63), 2**64 - 1


class RestError(Tfd2lError):
    """A request that is answered with an error.

    Attributes:
        status: of HTTP.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refuse(text: str, status: int = 400) -> NoReturn:
    """Raise RestError."""
    raise RestError(status, text)


def parse_object(body: bytes) -> dict[str, Any]:
    """The JSON object of a request's body; of a name given twice, the first one counts.

    Bytes that are no UTF-8 are kept, as surrogates, for `encode_text`.

    Raises:
        RestError: 400; the body is no JSON, or no object.
    """
    if not body:
        refuse("JSON Parse error: The document is empty")
    text = body.removeprefix(_BOM).decode("utf-8", "surrogateescape")
    try:
        document = json.loads(text, parse_float=_float, object_pairs_hook=_first_of_each)
    except RecursionError:
        refuse("JSON Parse error: lists and objects are nested too deep")
    except ValueError as error:
        refuse(f"JSON Parse error: {error}")
    if not isinstance(document, dict):
        refuse(f"the request must be a JSON object; got {shown(document)}")
    return document


def is_integer(value: Any) -> bool:
    """Whether the server's parser keeps the number as an integer."""
    return type(value) is int and _LEAST_INTEGER <= value <= _LARGEST_INTEGER


def encode_text(text: str) -> bytes:
    """A string of a parsed request as the bytes that it was; 400 for half of a surrogate pair."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        refuse(f"JSON Parse error: half of a surrogate pair in {shown(text)}")


def is_base64(value: Any) -> bool:
    """Whether the value stands for bytes: {"b64": "..."} and nothing more."""
    return isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)


def decode_base64(value: Mapping[str, str]) -> bytes:
    """The bytes of {"b64": "..."}; white space doesn't count, padding may be missing.

    Raises:
        RestError: 400; the text is no base64.
    """
    text = "".join(value["b64"].split())
    letters = text.rstrip("=")
    padded = len(letters) != len(text)
    try:
        if padded and len(text) % 4:
            raise ValueError("its padding is of the wrong length")
        return base64.b64decode(letters + "=" * (-len(letters) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        refuse(f"Unable to base64 decode {shown(value['b64'])}: {error}")


def shown(value: Any) -> str:
    """A value in an error's text, short however large it is."""
    match value:
        case list():
            return f"a list of {len(value)} elements"
        case dict():
            names = ", ".join(map(shown, sorted(value)[:4]))
            return f"an object of {len(value)} keys: {names}"
        case str():
            text = json.dumps(value if len(value) <= 40 else f"{value[:40]}...")
            # A character may take twelve to write.
            return text if len(text) <= 120 else f"{text[:117]}..."
        case _:
            return json.dumps(value)[:40]


def _float(text: str) -> float:
    """A number with point or exponent."""
    value = float(text)
    if math.isinf(value):
        raise ValueError(f"the number {text[:40]} is too big for a double")
    return value


def _first_of_each(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))
