"""Writes arrays as the JSON answers of TensorFlow Serving's REST interface."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfd2l.serve.errors import refuse

__all__ = ["classify_answer", "predict_answer", "regress_answer", "to_json"]

Array = np.ndarray[Any, Any]


def to_json(value: Any, *, indent: int | None = None) -> bytes:
    """Write JSON in UTF-8; NaN and infinities without quotes, as TensorFlow Serving does."""
    text = json.dumps(value, ensure_ascii=False, indent=indent)
    return text.encode("utf-8", "surrogateescape")


def predict_answer(outputs: Mapping[str, Array], *, by_rows: bool) -> bytes:
    """Answer Predict with `predictions`, one a row, or with `outputs`, one list an output.

    A single output goes without its name.

    Raises:
        RestError: 400; the request is by rows, and the outputs don't have the same number of rows.

    Example:
        >>> from tfd2l.serve.answers import predict_answer
        >>> predict_answer({"label": np.array([b"bag", b"coat"], object)}, by_rows=True)
        b'{"predictions": ["bag", "coat"]}'
    """
    values = {name: _values(name, outputs[name]) for name in sorted(outputs)}
    if not by_rows:
        return to_json({"outputs": values if len(values) > 1 else next(iter(values.values()))})
    for name, array in outputs.items():
        if array.ndim == 0:
            refuse(f"output {name!r} is a single value, and 'instances' ask for rows")
    sizes = {name: len(array) for name, array in outputs.items()}
    if len(set(sizes.values())) > 1:
        refuse(f"outputs must have the same number of rows; they have {sizes}")
    if len(values) == 1:
        return to_json({"predictions": next(iter(values.values()))})
    rows = zip(*values.values(), strict=True)
    return to_json({"predictions": [dict(zip(values, row, strict=True)) for row in rows]})


def classify_answer(outputs: Mapping[str, Array], num_examples: int) -> bytes:
    """Answer Classify with pairs of label and score for each example.

    Args:
        outputs: `classes`, (n, k) strings, and `scores`, (n, k) float32, or one of them.
        num_examples: n.

    Raises:
        RestError: 400; the outputs have other shapes or dtypes.
    """
    for name, dtype in (("classes", np.object_), ("scores", np.float32)):
        if (array := outputs.get(name)) is None:
            continue
        if array.ndim != 2 or len(array) != num_examples or array.dtype != dtype:
            refuse(
                f"a classifier gives {name} of shape ({num_examples}, k) and dtype "
                f"{np.dtype(dtype)}; this one gives {array.shape}, {array.dtype}"
            )
    shape = next(iter(outputs.values())).shape
    labels = outputs.get("classes", np.full(shape, b"", np.object_))
    scores = outputs.get("scores", np.zeros(shape, np.float32))
    if labels.shape != scores.shape:
        refuse(f"classes and scores must have one shape; got {labels.shape} and {scores.shape}")
    pairs = zip(_values("classes", labels), _values("scores", scores), strict=True)
    return to_json({"results": [[*zip(*pair, strict=True)] for pair in pairs]})


def regress_answer(outputs: Mapping[str, Array], num_examples: int) -> bytes:
    """Answer Regress with a number for each example.

    Args:
        outputs: `outputs`, (n,) or (n, 1) float32.
        num_examples: n.

    Raises:
        RestError: 400; the output has another shape or dtype.
    """
    array = outputs["outputs"]
    if array.shape not in ((num_examples,), (num_examples, 1)) or array.dtype != np.float32:
        refuse(
            f"a regression gives outputs of shape ({num_examples},) or ({num_examples}, 1) and "
            f"dtype float32; this one gives {array.shape}, {array.dtype}"
        )
    return to_json({"results": _values("outputs", array.ravel())})


def _values(name: str, array: Array) -> Any:
    """Convert an output to nested lists of JSON values."""
    if array.dtype == np.float32:
        return _shortest(array).tolist()
    if array.dtype != np.object_:
        return array.tolist()
    texts = np.empty(array.size, np.object_)
    texts[:] = [_text(name, text) for text in array.ravel().tolist()]
    return texts.reshape(array.shape).tolist()


def _text(name: str, text: bytes) -> Any:
    """Convert a string; to base64 if the output's name says that it holds bytes."""
    if name.endswith("_bytes"):
        # Base64 is ASCII.
        return {"b64": b64encode(text).decode()}
    return text.decode("utf-8", "surrogateescape")


def _shortest(array: Array) -> Array:
    """Convert to float64 values that print with the fewest digits that read back to the float32."""
    few = array.astype(np.str_).astype(np.float64)
    # Two roundings, to double and to float, can miss by one; all the digits can't.
    return np.where(few.astype(np.float32) == array, few, array)
