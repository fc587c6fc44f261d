"""A development stand-in for TensorFlow Serving: its REST interface, and a web page, over WSGI."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import zlib
from collections.abc import Iterable
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from werkzeug.exceptions import HTTPException, RequestEntityTooLarge
from werkzeug.wrappers import Request, Response

from tfd2l.serve.json_values import RestError, refuse
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page import PageApi
from tfd2l.serve.rest_api import answer, is_rest_target

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["StandIn"]

_LOG = logging.getLogger(__name__)
# Those that the server's HTTP library lets through to it.
_METHODS = {"GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"}
# zlib takes 16 more than the window's bits for a gzip header.
_GZIP = 16 + zlib.MAX_WBITS
# Parsed, a body of empty lists takes 33 times its length in memory.
_LARGE_BYTES = 2**20


class StandIn:
    """The WSGI application."""

    def __init__(self, models: ServedModels, page: PageApi, *, max_body_bytes: int) -> None:
        """Serve these models.

        Args:
            models: what is served.
            page: what the web page asks for.
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
            response = _error(500, "an error of the stand-in; its log has more")
        return response(environ, start_response)

    def _respond(self, request: Request) -> Response:
        if request.method not in _METHODS:
            refuse(f"{request.method[:20]} is no method that is answered here", 501)
        target = _target(request)
        if not is_rest_target(target):
            return self._page.respond(request)
        self._page.refuse_other_sites(request)
        # Before a wrong path is: what was sent is read in any case.
        body = self._body(request)
        with self._one_large if len(body) > _LARGE_BYTES else contextlib.nullcontext():
            return _json(200, answer(self._models, request.method, target, body))

    def _body(self, request: Request) -> bytes:
        """The body; what can't be unpacked is an empty one, as for the server."""
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


def _target(request: Request) -> str:
    """Path and query as they were sent."""
    target = str(request.environ.get("REQUEST_URI", ""))
    if target.startswith("/"):
        return target
    # A whole URL, as proxies are sent.
    try:
        parts = urlsplit(target)
    except ValueError:
        refuse(f"Malformed request: {request.method} {target}")
    return parts.path + (f"?{parts.query}" if parts.query else "")


def _json(status: int, text: bytes | str) -> Response:
    return Response(text, status, content_type="application/json")


def _error(status: int, text: str) -> Response:
    return _json(status, json.dumps({"error": text}))
