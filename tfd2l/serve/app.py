"""The development server as a WSGI application: TensorFlow Serving's REST interface, and a page.

Statuses and the order of checks are those of the server's http_rest_api_handler.cc.
"""

from __future__ import annotations

import json
import logging
import re
import time
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from werkzeug.exceptions import HTTPException, RequestEntityTooLarge, abort
from werkzeug.routing import BaseConverter, IntegerConverter, Map, Rule
from werkzeug.wrappers import Request, Response

from pipelines.basics.text import one_line
from tfd2l.export.loaded import LoadedVersion, ModelError
from tfd2l.export.versions import MAX_VERSION
from tfd2l.serve import page
from tfd2l.serve.answers import classify_answer, predict_answer, regress_answer
from tfd2l.serve.models import ServedModels
from tfd2l.serve.page_inputs import prepare_image, prepare_rows
from tfd2l.serve.requests import examples_of, parse_object, predict_inputs, signature_name
from tfd2l.serve.server import MAX_BODY_BYTES

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

__all__ = ["Application"]

Array = np.ndarray[Any, Any]

_LOG = logging.getLogger(__name__)
# Name and HTTP status by TF_Code, as in the server's http_server.cc.
_CODES = {
    1: ("CANCELLED", 499), 3: ("INVALID_ARGUMENT", 400), 4: ("DEADLINE_EXCEEDED", 504),
    5: ("NOT_FOUND", 404), 6: ("ALREADY_EXISTS", 409), 7: ("PERMISSION_DENIED", 403),
    8: ("RESOURCE_EXHAUSTED", 429), 9: ("FAILED_PRECONDITION", 400), 10: ("ABORTED", 409),
    11: ("OUT_OF_RANGE", 400), 12: ("UNIMPLEMENTED", 501), 14: ("UNAVAILABLE", 503),
    16: ("UNAUTHENTICATED", 401),
}  # fmt: skip
# The first name of each status, for requests that no model has refused.
_NAMES = {status: name for name, status in reversed(_CODES.values())}
_API = re.compile(r"/v1/models/([^/:]+)[^:]*(?::(predict|classify|regress))?")
# With or without a port.
_LOOPBACK = re.compile(r"(localhost|127(\.[0-9]+){3}|\[::1\])(:[0-9]+)?", re.IGNORECASE)


class Application:
    """The WSGI application."""

    def __init__(
        self,
        models: ServedModels,
        *,
        only_loopback: bool = True,
        max_body_bytes: int = MAX_BODY_BYTES,
        metrics_path: str | None = None,
    ) -> None:
        """Serve these models.

        Args:
            models: the models.
            only_loopback: the server listens at a loopback address, whose names are known.
            max_body_bytes: length of the longest request.
            metrics_path: the path of the metrics for Prometheus; None for none.
        """
        self._models = models
        self._max_body_bytes = max_body_bytes
        self._only_loopback = only_loopback
        self._metrics_path = metrics_path

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request; whatever happens, with a status and a JSON text."""
        start = time.monotonic()
        request = Request(environ)
        request.max_content_length = self._max_body_bytes
        code, response = self._answer(request)
        if request.path.startswith("/v1/"):
            found = _API.fullmatch(request.path)
            model, api = found.groups("") if found else ("", "")
            seconds = time.monotonic() - start
            self._models.metrics.count_request(model, api, code, seconds)
        return response(environ, start_response)

    def _answer(self, request: Request) -> tuple[str, Response]:
        """Return the name of the TF_Code, and the response."""
        try:
            return "OK", self._respond(request)
        except ModelError as error:
            code, status = _CODES.get(error.code, ("UNKNOWN", 500))
            return code, _error(status, str(error))
        except RequestEntityTooLarge:
            text = f"a request has at most {self._max_body_bytes} bytes; send several"
            return "RESOURCE_EXHAUSTED", _error(413, text)
        except HTTPException as error:
            status = error.code or 500
            text = error.description or error.name
            return _NAMES.get(status, "UNKNOWN"), _error(status, text)
        except Exception:  # the last line of defence: a bug is logged and answered
            _LOG.exception("%s %s", request.method, request.path)
            text = "an error of the development server; its log has more"
            return "INTERNAL", _error(500, text)

    def _respond(self, request: Request) -> Response:
        self._refuse_other_sites(request)
        if request.path == self._metrics_path:
            return Response(self._models.metrics.text(), mimetype="text/plain")
        endpoint, values = _match(request)
        answer = endpoint(self._models, request, **values)
        return answer if isinstance(answer, Response) else _json(200, answer)

    def _refuse_other_sites(self, request: Request) -> None:
        """Refuse a request that a page of another site sent from the user's browser.

        Programs send no Origin. On a loopback server, an unknown Host means that the site's owner
        pointed a name at this machine; the names of a public server can't be known.
        """
        host = request.headers.get("Host", "localhost")
        if self._only_loopback and not _LOOPBACK.fullmatch(host):
            abort(403, f"the host must be a name of this machine's loopback; got {host!r}")
        origin = request.headers.get("Origin", f"http://{host}")
        if request.method == "POST" and origin != f"http://{host}":
            abort(403, f"only pages of http://{host} may send this; got one of {origin!r}")


def predict(models: ServedModels, request: Request, **target: Any) -> dict[str, Any]:
    """Answer Predict; `target` has the arguments of `ServedModels.version`, here and below."""
    document = parse_object(request.get_data(cache=False))
    name = signature_name(document)
    version = models.version(**target)
    dtypes = {key: spec.dtype for key, spec in version.signature(name).inputs.items()}
    outputs = _run(models, version, "predict", name, predict_inputs(document, dtypes))
    return predict_answer(outputs, by_rows="instances" in document)


def classify(models: ServedModels, request: Request, **target: Any) -> dict[str, Any]:
    """Answer Classify."""
    return classify_answer(*_run_examples(models, request, "classify", target))


def regress(models: ServedModels, request: Request, **target: Any) -> dict[str, Any]:
    """Answer Regress."""
    return regress_answer(*_run_examples(models, request, "regress", target))


def _run_examples(
    models: ServedModels, request: Request, api: str, target: dict[str, Any]
) -> tuple[dict[str, Array], int]:
    """Run a signature on the request's examples; return the outputs and the number of examples."""
    document = parse_object(request.get_data(cache=False))
    name, examples = signature_name(document), examples_of(document)
    version = models.version(**target)
    outputs = _run(models, version, api, name, {"inputs": examples})
    models.metrics.count_examples(version.model, len(examples))
    return outputs, len(examples)


def _run(
    models: ServedModels, version: LoadedVersion, api: str, name: str, inputs: Mapping[str, Array]
) -> dict[str, Array]:
    """Run a signature, and count it."""
    start = time.monotonic()
    outputs = version.call(api, name, inputs)
    models.metrics.count_run(version.model, api, time.monotonic() - start)
    return outputs


def status(
    models: ServedModels,
    request: Request,
    model: str,
    number: int | None = None,
    label: str | None = None,
) -> dict[str, Any]:
    """Answer with the states of a model's versions, or of one; the server ignores a label here."""
    statuses = models.statuses(model)
    if number is not None:
        if number not in statuses:
            abort(404, f"Could not find version {number} of model {model}")
        statuses = {number: statuses[number]}
    if not statuses:
        abort(404, f"Could not find any versions of model {model}")
    rows = [
        {
            # 64 bits are a string in the JSON of protos.
            "version": str(version),
            "state": found.state,
            "status": {
                "error_code": "UNKNOWN" if found.error else "OK",
                "error_message": found.error,
            },
        }
        for version, found in statuses.items()
    ]
    return {"model_version_status": rows}


def metadata(models: ServedModels, request: Request, **target: Any) -> dict[str, Any]:
    """Answer with the signatures of a version, as the proto SignatureDefMap."""
    version = models.version(**target)
    spec = {"name": version.model, "signature_name": "", "version": str(version.number)}
    signatures = {"signature_def": version.signature_defs}
    return {"model_spec": spec, "metadata": {"signature_def": signatures}}


def health(models: ServedModels, request: Request) -> Response:
    """Answer 200, or 503 with the reasons while the models' directory can't be followed."""
    problems = [one_line(problem) for problem in models.problems()]
    return _json(503 if problems else 200, {"problems": problems})


class _NameConverter(BaseConverter):
    regex = "[^/:]+"


class _NumberConverter(IntegerConverter):
    # Python converts no number of thousands of digits.
    regex = "[0-9]{1,19}"


_PAGE_FILES = ", ".join(map(repr, page.FILES))
_ROUTES = Map(
    [
        Rule("/", endpoint=page.send_file, methods=["GET"]),
        Rule(f"/<any({_PAGE_FILES}):name>", endpoint=page.send_file, methods=["GET"]),
        Rule("/health", endpoint=health, methods=["GET"]),
        Rule("/page/models", endpoint=page.list_models, methods=["GET"]),
        Rule("/page/samples", endpoint=page.list_samples, methods=["GET"]),
        Rule("/page/prepare", endpoint=prepare_image, methods=["POST"]),
        Rule("/page/rows", endpoint=prepare_rows, methods=["POST"]),
        *(
            Rule(f"/v1/models/<name:model>{version}{end}", endpoint=endpoint, methods=[method])
            for version in ("", f"/versions/<number(max={MAX_VERSION}):number>",
                            "/labels/<name:label>")
            for end, endpoint, method in (
                (":predict", predict, "POST"),
                (":classify", classify, "POST"),
                (":regress", regress, "POST"),
                ("", status, "GET"),
                ("/metadata", metadata, "GET"),
            )
        ),
    ],
    merge_slashes=False,
    converters={"name": _NameConverter, "number": _NumberConverter},
)  # fmt: skip


def _match(request: Request) -> tuple[Any, dict[str, Any]]:
    """Return the function that answers the request, and its arguments."""
    is_rest = request.path.startswith("/v1/")
    # TensorFlow Serving takes no HEAD, and answers 400 to what other servers call 404 and 405.
    malformed = f"Malformed request: {request.method} {request.path}"
    if is_rest and request.method == "HEAD":
        abort(400, malformed)
    try:
        endpoint, values = _ROUTES.bind("localhost").match(request.path, request.method)
    except HTTPException:
        if is_rest:
            abort(400, malformed)
        raise
    return endpoint, dict(values)


def _error(status: int, text: str) -> Response:
    # The runtime's texts have several lines.
    return _json(status, {"error": one_line(text)})


def _json(status: int, value: Any) -> Response:
    # NaN and infinities without quotes, as TensorFlow Serving writes them.
    text = json.dumps(value, ensure_ascii=False)
    return Response(text, status, content_type="application/json")
