"""The statuses that a request may get, by rules that share no code with the development server.

They are for the models of `served.export_models`, version 1 of each: 'linear', which takes rows of
two numbers, and 'clothes', which takes images of 28 x 28 whole numbers.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any
from urllib.parse import unquote

_PATH = re.compile(
    "/v1/models/(?P<model>[^/:]+)(/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
    "(?P<end>:(predict|classify|regress)|/metadata)?",
    re.IGNORECASE,
)
# Each signature's input, with the shape and the types of a row.
_SIGNATURES = {
    ("linear", "serving_default"): ("features", (2,), (int, float)),
    ("linear", "regress"): ("inputs", (), (str,)),
    ("clothes", "serving_default"): ("image", (28, 28), (int,)),
    ("clothes", "classify"): ("inputs", (), (str,)),
}


def statuses(method: str, path: str, body: bytes) -> set[int]:
    """The statuses that a request may have."""
    if not path.lower().startswith("/v1/"):
        return {404}
    match = _PATH.fullmatch(path)
    if match is None or method not in ("GET", "POST"):
        return {400}
    end = match["end"] or ""
    if (method == "POST") != end.startswith(":") or (end[:1] == ":" and end != end.lower()):
        return {400}
    if match["version"] and int(match["version"]) >= 2**63:
        return {400}
    known = unquote(match["model"]) in ("linear", "clothes")
    known &= match["version"] is None or int(match["version"]) == 1
    if method == "POST":
        return _posted(match, known, _parsed(body))
    if match["label"] and end:
        return {400}
    return {200} if known else {404}


def _parsed(body: bytes) -> Any:
    """The body's JSON value; None if it has none."""
    try:
        text = body.removeprefix(b"\xef\xbb\xbf").decode()
        # The first of two equal names counts.
        return json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    except (ValueError, RecursionError):
        return None


def _posted(match: re.Match[str], known: bool, document: Any) -> set[int]:
    if not isinstance(document, dict):
        return {400}
    name = document.get("signature_name", "")
    if not isinstance(name, str) or match["label"]:
        return {400}
    call, model = match["end"][1:], unquote(match["model"])
    examples = document.get("examples")
    if call != "predict" and not (isinstance(examples, list) and examples):
        return {400}
    if not known:
        # The examples are read before the model is looked up.
        return {404} if call == "predict" or _are_plain(document) else {400, 404}
    signature = _SIGNATURES.get((model, name or "serving_default"))
    if signature is None:
        return {400}
    if call != "predict":
        fits = name == call and all(isinstance(example, dict) for example in examples or [])
        return {200, 400} if fits else {400}
    return _predicted(document, *signature)


def _are_plain(document: dict[str, Any]) -> bool:
    """Whether all examples are surely accepted: each feature is a list of finite floats."""
    features = [document.get("context", {}), *document["examples"]]
    return all(isinstance(each, dict) for each in features) and all(
        isinstance(content, list)
        and all(type(value) is float and abs(value) < 1e30 for value in content)
        for each in features
        for content in each.values()
    )


def _predicted(
    document: dict[str, Any], name: str, shape: tuple[int, ...], kinds: tuple[type, ...]
) -> set[int]:
    """By rows or by columns: each row must be of the shape, and each value of one of the kinds."""
    if ("instances" in document) == ("inputs" in document):
        return {400}
    rows = document["instances"] if "instances" in document else document["inputs"]
    if "inputs" in document and _is_object(rows):
        rows = rows.get(name)
    # An empty list of texts is a vector of none; of anything else, it lacks an axis.
    if not isinstance(rows, list) or not (rows or ("inputs" in document and not shape)):
        return {400}
    if "instances" in document and all(_is_object(row) for row in rows):
        if not all(set(row) == {name} for row in rows):
            return {400}
        rows = [row[name] for row in rows]
    if not all(_has_shape(row, shape, kinds) for row in rows):
        return {400}
    values = [value for row in rows for value in _leaves(row)]
    # The images are uint8.
    if kinds == (int,) and not all(0 <= value <= 255 for value in values):
        return {400}
    # A text may be no example.
    sure = rows and kinds != (str,) and all(_is_double(value) for value in values)
    return {200} if sure else {200, 400}


def _is_object(value: Any) -> bool:
    return isinstance(value, dict) and not _is_text(value)


def _is_text(value: Any) -> bool:
    base64 = isinstance(value, dict) and set(value) == {"b64"} and isinstance(value["b64"], str)
    return isinstance(value, str) or base64


def _has_shape(value: Any, shape: tuple[int, ...], kinds: tuple[type, ...]) -> bool:
    if not shape:
        return _is_text(value) if kinds == (str,) else type(value) in kinds
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_has_shape(each, shape[1:], kinds) for each in value)
    )


def _leaves(value: Any) -> list[Any]:
    if not isinstance(value, list):
        return [value]
    return [leaf for each in value for leaf in _leaves(each)]


def _is_double(value: float) -> bool:
    """Whether it is surely a double; Python reads 1e999, which is refused, as an infinity."""
    return abs(value) < 1e300 or math.isnan(value)
