"""The development server as a WSGI application: TensorFlow Serving's REST interface, and a page.

Paths, order of checks and statuses are those of the server's http_rest_api_handler.cc.
"""

from __future__ import annotations

import contextlib
import json
import logging
import re
import threading
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes, urlsplit

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from tfd2l.export.loaded import ModelError
from tfd2l.export.versions import MAX_VERSION
from tfd2l.serve.answers import classify_answer, predict_answer, regress_answer, to_json
from tfd2l.serve.errors import RestError, refuse
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page import PageApi
from tfd2l.serve.requests import examples_of, parse_object, predict_request, signature_name

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Application", "answer"]

_LOG = logging.getLogger(__name__)
# The methods that the HTTP library of TensorFlow Serving passes on to it.
_METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}
_VERSION = r"(?:/versions/(?P<version>[0-9]+)|/labels/(?P<label>[^/:]+))?"
_POST = re.compile(
    rf"/v1/models/(?P<model>[^/:]+){_VERSION}:(?P<part>classify|regress|predict)", re.IGNORECASE
)
_GET = re.compile(
    rf"/v1/models(?:/(?P<model>[^/:]+))?{_VERSION}(?:/(?P<part>metadata))?", re.IGNORECASE
)
# HTTP statuses by TF_Code, as in the server's http_server.cc; others are 500.
_STATUSES = {
    1: 499, 3: 400, 4: 504, 5: 404, 6: 409, 7: 403, 8: 429, 9: 400, 10: 409, 11: 400, 12: 501,
    14: 503, 16: 401,
}  # fmt: skip
# zlib takes 16 more than the window's bits for a gzip header.
_GZIP = 16 + zlib.MAX_WBITS
# Parsed, a body of empty lists takes 33 times its length in memory.
_LARGE_BYTES = 2**20


class Application:
    """The WSGI application."""

    def __init__(self, models: ServedModels, page: PageApi, *, max_body_bytes: int) -> None:
        """Serve these models.

        Args:
            models: the models.
            page: answers the web page's requests.
            max_body_bytes: of a request, uncompressed; a longer one is answered with 413.
        """
        self._models = models
        self._page = page
        self._max_body_bytes = max_body_bytes
        # Held while a large body is parsed and answered, so that memory is bounded by one of them.
        self._one_large = threading.Lock()

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; whatever happens, with a status and a JSON text."""
        request = Request(environ)
        request.max_content_length = self._max_body_bytes
        try:
            response = self._respond(request)
        except RestError as error:
            response = _error(error.status, str(error))
        except RequestEntityTooLarge:
            response = _error(413, f"a request has at most {self._max_body_bytes} bytes")
        except HTTPException as error:
            response = _error(error.code or 500, error.description or error.name)
        except Exception:  # the last line of defence: a bug is logged and answered
            _LOG.exception("%s %s", request.method, request.path)
            response = _error(500, "an error of the development server; its log has more")
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.method not in _METHODS:
            refuse(f"the method must be one of {sorted(_METHODS)}; got {request.method[:20]}", 501)
        target = _target(request)
        # To the server, every other path is 404.
        if target[:4].lower() != "/v1/":
            return self._page.respond(request)
        self._page.refuse_other_sites(request)
        # The body is read whatever the path is, so that the connection can take the next request.
        body = self._body(request)
        with self._one_large if len(body) > _LARGE_BYTES else contextlib.nullcontext():
            return _json(200, answer(self._models, request.method, target, body))

    def _body(self, request: Request) -> bytes:
        """Return the body; an empty one if it can't be unpacked, as the server does."""
        body = request.get_data(cache=False)
        if "gzip" not in request.headers.get("Content-Encoding", ""):
            return body
        unpacking = zlib.decompressobj(_GZIP)
        try:
            body = unpacking.decompress(body, self._max_body_bytes)
        except zlib.error:
            return b""
        if unpacking.unconsumed_tail:
            raise RequestEntityTooLarge
        return body if unpacking.eof else b""


def answer(models: ServedModels, method: str, target: str, body: bytes) -> bytes:
    """Return the JSON text that answers a request to the REST interface with status 200.

    Args:
        models: the models that are served.
        method: of HTTP.
        target: path and query as they were sent, percent signs and all.
        body: of the request.

    Raises:
        RestError: the answer has another status.
    """
    parsed = _parse(method, target)
    calls = {"predict": _predict, "classify": _run_examples, "regress": _run_examples}
    try:
        if method == "POST":
            return calls[parsed.part](models, parsed, body)
        if not parsed.model:
            refuse("Missing model name in request.")
        return (_metadata if parsed.part == "metadata" else _status)(models, parsed)
    except ModelError as error:
        raise RestError(_STATUSES.get(error.code, 500), str(error)) from error


@dataclass(frozen=True)
class _Target:
    """The parts of a path.

    Attributes:
        model: empty if the path names none.
        number: of a version.
        label: of a version.
        part: 'predict', 'classify', 'regress', 'metadata', or '' for the status.
    """

    model: str
    number: int | None
    label: str | None
    part: str


def _parse(method: str, target: str) -> _Target:
    """Take a path apart; RestError 400 if the method has no such path."""
    pattern = {"POST": _POST, "GET": _GET}.get(method)
    match = pattern.fullmatch(target) if pattern is not None else None
    # Letter case counts in the last part alone.
    if match is None or (method == "POST" and not match["part"].islower()):
        refuse(f"Malformed request: {method} {target}")
    digits = (match["version"] or "").lstrip("0")
    # Python converts no number of thousands of digits.
    if len(digits) > len(str(MAX_VERSION)) or int(digits or 0) > MAX_VERSION:
        refuse(f"Failed to convert version: {digits[:100]} to numeric.")
    number = int(digits or 0) if match["version"] else None
    return _Target(_decoded(match["model"]), number, _decoded(match["label"]) or None,
                   match["part"] or "")  # fmt: skip


def _decoded(text: str | None) -> str:
    """Decode percent signs as in paths, where a plus sign is itself."""
    return unquote_to_bytes((text or "").encode("latin-1")).decode("utf-8", "replace")


def _predict(models: ServedModels, target: _Target, body: bytes) -> bytes:
    document = parse_object(body)
    name = signature_name(document)
    with models.version(target.model, target.number, target.label) as version:
        inputs = version.signature(name).inputs
        request = predict_request(document, {key: spec.dtype for key, spec in inputs.items()})
        outputs = version.call("predict", name, request.inputs)
    return predict_answer(outputs, by_rows=request.by_rows)


def _run_examples(models: ServedModels, target: _Target, body: bytes) -> bytes:
    """Answer Classify or Regress."""
    document = parse_object(body)
    name, examples = signature_name(document), examples_of(document)
    with models.version(target.model, target.number, target.label) as version:
        outputs = version.call(target.part, name, {"inputs": examples})
    write = classify_answer if target.part == "classify" else regress_answer
    return write(outputs, len(examples))


def _status(models: ServedModels, target: _Target) -> bytes:
    """Answer with the states of a model's versions, or of one; the server ignores a label here."""
    statuses = models.statuses(target.model)
    if target.number is not None:
        if target.number not in statuses:
            refuse(f"Could not find version {target.number} of model {target.model}", 404)
        statuses = {target.number: statuses[target.number]}
    if not statuses:
        refuse(f"Could not find any versions of model {target.model}", 404)
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


def _metadata(models: ServedModels, target: _Target) -> bytes:
    """Answer with the signatures of a version, as the proto SignatureDefMap."""
    with models.version(target.model, target.number, target.label) as version:
        spec = {"name": version.model, "signature_name": "", "version": str(version.number)}
        signatures = {"signature_def": version.signature_defs}
    return to_json({"model_spec": spec, "metadata": {"signature_def": signatures}}, indent=1)


def _target(request: Request) -> str:
    """Return path and query as they were sent."""
    target = str(request.environ.get("REQUEST_URI", ""))
    if target.startswith("/"):
        return target
    # A whole URL, which clients send to proxies.
    try:
        parts = urlsplit(target)
    except ValueError:
        refuse(f"Malformed request: {request.method} {target}")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _error(status: int, text: str) -> Response:
    return _json(status, json.dumps({"error": text}))


def _json(status: int, text: bytes | str) -> Response:
    return Response(text, status, content_type="application/json")
