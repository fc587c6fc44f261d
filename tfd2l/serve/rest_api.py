"""TensorFlow Serving's REST interface over loaded models: requests in, JSON text out.

Paths, order of checks and statuses are those of its http_rest_api_handler.cc.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes

import numpy as np

from tfd2l.export.loaded import LoadedVersion
from tfd2l.serve.answers import classify_answer, predict_answer, regress_answer, to_json
from tfd2l.serve.json_values import parse_object, refuse
from tfd2l.serve.models import ServedModels
from tfd2l.serve.requests import predict_request, signature_name
from tfd2l.serve.rest_examples import examples_of, let_through

__all__ = ["answer", "is_rest_target"]

_LOG = logging.getLogger(__name__)
_LARGEST_INT64 = 2**63 - 1
# The max_batch_size of batching_parameters.txt, as python -m tfd2l.deploy writes it.
_MOST_ROWS = 1024
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<method>classify|regress|predict)", re.IGNORECASE
)
_GET = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<part>metadata))?", re.IGNORECASE
)


@dataclass(frozen=True)
class _Target:
    """What a path names. `number` is a version's; `part` is a method or 'metadata'."""

    model: str
    number: int | None
    label: str | None
    part: str | None


def is_rest_target(target: str) -> bool:
    """Whether a request is one for this interface, good or bad; others are 404 to the server."""
    return target[:4].lower() == "/v1/"


def answer(models: ServedModels, method: str, target: str, body: bytes) -> bytes:
    """The JSON text that answers a request with status 200.

    Args:
        models: what is served.
        method: of HTTP.
        target: path and query as they were sent, percent signs and all.
        body: the request's.

    Raises:
        RestError: any other answer.
    """
    asked = _parse(method, target)
    if asked is None:
        refuse(f"Malformed request: {method} {target}")
    if method == "POST":
        calls = {"predict": _predict, "classify": _classify, "regress": _regress}
        return calls[asked.part or ""](models, asked, body)
    if not asked.model:
        refuse("Missing model name in request.")
    return (_metadata if asked.part == "metadata" else _status)(models, asked)


def _parse(method: str, target: str) -> _Target | None:
    """What the path names; None if it is no path for this method."""
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern is not None else None
    if match is None:
        return None
    found = match.groupdict()
    # Letter case counts here, though not in the pattern.
    part = found.get("method") or found.get("part")
    if method == "POST" and part not in ("predict", "classify", "regress"):
        return None
    number = int(found["version"]) if found["version"] else None
    if number is not None and number > _LARGEST_INT64:
        refuse(f"Failed to convert version: {found['version']} to numeric.")
    return _Target(_decoded(found["model"]), number, _decoded(found["label"]) or None, part)


def _decoded(text: str | None) -> str:
    """Percent signs taken as in paths, where a plus sign is one."""
    return unquote_to_bytes((text or "").encode("latin-1")).decode("utf-8", "surrogateescape")


@contextmanager
def _version(models: ServedModels, asked: _Target) -> Iterator[LoadedVersion]:
    """The version that is asked for."""
    with models.version(asked.model, asked.number, asked.label) as version:
        yield version


def _predict(models: ServedModels, asked: _Target, body: bytes) -> bytes:
    document = parse_object(body)
    name = signature_name(document)
    with _version(models, asked) as version:
        inputs = version.signature(name).inputs
        request = predict_request(document, {key: spec.dtype for key, spec in inputs.items()})
        outputs = _call(version, "predict", name, request.inputs, request.let_through)
    return predict_answer(outputs, by_rows=request.by_rows)


def _classify(models: ServedModels, asked: _Target, body: bytes) -> bytes:
    document = parse_object(body)
    name, examples = signature_name(document), examples_of(document)
    with _version(models, asked) as version:
        outputs = _call(version, "classify", name, {"inputs": examples}, let_through(document))
    return classify_answer(outputs, len(examples))


def _regress(models: ServedModels, asked: _Target, body: bytes) -> bytes:
    document = parse_object(body)
    name, examples = signature_name(document), examples_of(document)
    with _version(models, asked) as version:
        outputs = _call(version, "regress", name, {"inputs": examples}, let_through(document))
    return regress_answer(outputs, len(examples))


def _call(
    version: LoadedVersion,
    method: str,
    signature: str,
    inputs: Mapping[str, np.ndarray[Any, Any]],
    told: Sequence[str],
) -> dict[str, np.ndarray[Any, Any]]:
    """Run a signature, and log what a careful server would have refused."""
    rows = max((len(array) for array in inputs.values() if array.ndim), default=0)
    lines = [f"let through, as TensorFlow Serving does: {line}" for line in told]
    if rows > _MOST_ROWS:
        lines.append(
            f"let through, which TensorFlow Serving with batching_parameters.txt would answer with "
            f"400: {rows} rows, more than {_MOST_ROWS}"
        )
    for line in lines:
        _LOG.warning("%s/%s, signature %s: %s", version.model, version.number, signature, line)
    return version.call(method, signature, inputs)


def _status(models: ServedModels, asked: _Target) -> bytes:
    """The states of a model's versions, or of one."""
    statuses = models.statuses(asked.model)
    if asked.number is not None:
        if asked.number not in statuses:
            refuse(f"Could not find version {asked.number} of model {asked.model}", 404)
        statuses = {asked.number: statuses[asked.number]}
    if not statuses:
        refuse(f"Could not find any versions of model {asked.model}", 404)
    rows = [
        {
            # 64 bits are a string in the JSON of protos.
            "version": str(number),
            "state": status.state,
            "status": {
                "error_code": "UNKNOWN" if status.error else "OK",
                "error_message": status.error,
            },
        }
        for number, status in statuses.items()
    ]
    return to_json({"model_version_status": rows}, indent=1)


def _metadata(models: ServedModels, asked: _Target) -> bytes:
    """The signatures of a version, as the proto SignatureDefMap."""
    with _version(models, asked) as version:
        spec = {"name": version.model, "signature_name": "", "version": str(version.number)}
        signatures = {"signature_def": version.signature_defs}
        answer = {"model_spec": spec, "metadata": {"signature_def": signatures}}
        return to_json(answer, indent=1)
