"""Converts arrays to the JSON answers of TensorFlow Serving's REST interface."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any

import numpy as np
from werkzeug.exceptions import abort

__all__ = ["classify_answer", "predict_answer", "regress_answer"]

Array = np.ndarray[Any, Any]


def predict_answer(outputs: Mapping[str, Array], *, by_rows: bool) -> dict[str, Any]:
    """Answer Predict with `predictions`, one a row, or with `outputs`, one list an output.

    A single output goes without its name.

    Raises:
        werkzeug.exceptions.BadRequest: the request is by rows, and the outputs don't have the same
            number of rows.

    Example:
        >>> from tfd2l.serve.answers import predict_answer
        >>> predict_answer({"label": np.array([b"bag", b"coat"], object)}, by_rows=True)
        {'predictions': ['bag', 'coat']}
    """
    shapes = {name: array.shape for name, array in outputs.items()}
    rows = {shape[:1] for shape in shapes.values()}
    # The shape of a single value is ().
    if by_rows and (len(rows) > 1 or () in rows):
        abort(400, f"'instances' needs outputs with one number of rows; the shapes are {shapes}")
    values = {name: _values(name, outputs[name]) for name in sorted(outputs)}
    if len(values) == 1:
        [only] = values.values()
        return {"predictions" if by_rows else "outputs": only}
    if not by_rows:
        return {"outputs": values}
    by_row = zip(*values.values(), strict=True)
    return {"predictions": [dict(zip(values, row, strict=True)) for row in by_row]}


def classify_answer(outputs: Mapping[str, Array], num_examples: int) -> dict[str, Any]:
    """Answer Classify with pairs of label and score for each example.

    Args:
        outputs: `classes`, (n, k) strings, and `scores`, (n, k) float32, or one of them.
        num_examples: n.

    Raises:
        werkzeug.exceptions.BadRequest: the outputs have other shapes or dtypes.
    """
    shape = next(iter(outputs.values())).shape
    labels = outputs.get("classes", np.full(shape, b"", np.object_))
    scores = outputs.get("scores", np.zeros(shape, np.float32))
    is_pair = labels.dtype == np.object_ and scores.dtype == np.float32
    if not is_pair or labels.shape != scores.shape or labels.shape[:-1] != (num_examples,):
        abort(
            400,
            f"a classifier gives classes, strings, and scores, float32, both of shape "
            f"({num_examples}, k); this one gives {labels.dtype} {labels.shape} and "
            f"{scores.dtype} {scores.shape}",
        )
    pairs = zip(_values("classes", labels), _values("scores", scores), strict=True)
    return {"results": [[*zip(*pair, strict=True)] for pair in pairs]}


def regress_answer(outputs: Mapping[str, Array], num_examples: int) -> dict[str, Any]:
    """Answer Regress with a number for each example.

    Args:
        outputs: `outputs`, (n,) or (n, 1) float32.
        num_examples: n.

    Raises:
        werkzeug.exceptions.BadRequest: the output has another shape or dtype.
    """
    array = outputs["outputs"]
    if array.shape not in ((num_examples,), (num_examples, 1)) or array.dtype != np.float32:
        abort(
            400,
            f"a regression gives outputs of shape ({num_examples},) or ({num_examples}, 1) and "
            f"dtype float32; this one gives {array.shape}, {array.dtype}",
        )
    return {"results": _values("outputs", array.ravel())}


def _values(name: str, array: Array) -> Any:
    """Convert an output to nested lists of JSON values."""
    if array.dtype == np.float32:
        return _shortest(array).tolist()
    if array.dtype != np.object_:
        return array.tolist()
    # By its name, as in TensorFlow Serving, an output holds bytes and not a text.
    convert = _base64 if name.endswith("_bytes") else _text
    return np.vectorize(convert, otypes=[np.object_])(array).tolist()


def _base64(data: bytes) -> dict[str, str]:
    return {"b64": b64encode(data).decode()}


def _text(data: bytes) -> str:
    return data.decode(errors="replace")


def _shortest(array: Array) -> Array:
    """Convert to float64 values that print with the fewest digits that read back to the float32."""
    few = array.astype(np.str_).astype(np.float64)
    # Two roundings, to double and to float, can miss by one; all the digits can't.
    return np.where(few.astype(np.float32) == array, few, array)
