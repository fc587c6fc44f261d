"""Serves the web page, and answers its requests for models and images.

Only the server's own pages may use these routes. Another site's page that is open in the user's
browser could send requests here too, so a POST from another origin is refused. Its owner could also
point a host name at this machine, so every host name but the machine's own is refused.
"""

from __future__ import annotations

import ipaddress
import json
import logging
import re
import socket
import threading
from functools import cached_property
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tfd2l.export.loaded import LoadedVersion
from tfd2l.serve.errors import refuse
from tfd2l.serve.models import ServedModels

__all__ = ["PageApi", "is_loopback"]

_LOG = logging.getLogger(__name__)
_MAX_SAMPLES = 200
_IMAGE_SIZE = (28, 28)
# Names and types of the files in page_files/, by path.
_FILES = {
    "/": ("index.html", "text/html"),
    "/app.js": ("app.js", "text/javascript"),
    "/style.css": ("style.css", "text/css"),
}
_ROUTES = Map(
    [
        *(Rule(path, endpoint="file", methods=["GET"]) for path in _FILES),
        Rule("/page/models", endpoint="list_models", methods=["GET"]),
        Rule("/page/samples", endpoint="list_samples", methods=["GET"]),
        Rule("/page/prepare", endpoint="prepare", methods=["POST"]),
    ],
    merge_slashes=False,
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageApi:
    """The routes beside TensorFlow Serving's."""

    def __init__(self, models: ServedModels, *, host: str) -> None:
        """Load nothing yet.

        Args:
            models: the models that are served.
            host: name or address that the server listens at.
        """
        self._models = models
        self._lock = threading.Lock()
        self._is_loopback = is_loopback(host)
        self._own_names = {"localhost", host.lower(), socket.gethostname().lower()}

    def respond(self, request: Request) -> Response:
        """Answer a request.

        Raises:
            RestError: 400, 403 or 404.
            werkzeug.exceptions.HTTPException: 405 or 413.
        """
        try:
            endpoint, _ = _ROUTES.bind("localhost").match(request.path, request.method)
        except NotFound:
            refuse(f"nothing is at {request.path[:100]!r}", 404)
        self._refuse_unknown_names(request)
        _refuse_other_origins(request)
        response: Response = getattr(self, f"_{endpoint}")(request)
        response.headers.update(_HEADERS)
        return response

    def refuse_other_sites(self, request: Request) -> None:
        """Refuse a request to the REST interface that a page of another site sent.

        Programs send no Origin. On a loopback server, an unknown Host means that a name was pointed
        at this machine; the names of a public server can't be known.

        Raises:
            RestError: 403.
        """
        if self._is_loopback and "Host" in request.headers:
            self._refuse_unknown_names(request)
        _refuse_other_origins(request)

    def _refuse_unknown_names(self, request: Request) -> None:
        host = request.headers.get("Host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        # Nobody can point an address elsewhere.
        if name not in self._own_names and _address(name) is None:
            refuse(f"the host must be this machine's own name or address; got {host!r}", 403)

    def _file(self, request: Request) -> Response:
        """Send a file of the page."""
        name, content_type = _FILES[request.path]
        content = resources.files("tfd2l.serve").joinpath("page_files", name).read_bytes()
        return Response(content, content_type=f"{content_type}; charset=utf-8")

    def _list_models(self, request: Request) -> Response:
        rows = []
        for name in self._models.available():
            with self._models.version(name) as version:
                # As text: a browser's numbers are exact up to 2**53 only, a version's go to 2**63.
                numbers = [str(version.number)]
                rows.append({"name": name, "versions": numbers, "image": _takes_images(version)})
        return _json({"models": rows})

    def _list_samples(self, request: Request) -> Response:
        """List test images of Fashion-MNIST, or nothing if this machine has no copy of the data."""
        count = request.args.get("count", "20")
        if not re.fullmatch("[0-9]{1,3}", count) or int(count) > _MAX_SAMPLES:
            refuse(f"count must be a whole number up to {_MAX_SAMPLES}; got {count[:40]!r}")
        with self._lock:
            samples = self._samples
        return _json(samples[: int(count)])

    @cached_property
    def _samples(self) -> list[dict[str, Any]]:
        """The most samples that a request can ask for; read once."""
        try:
            arrays = fashion_mnist.load(download=False)
        except DataError as error:
            _LOG.info("no test images for the page: %s", error)
            return []
        pairs = zip(arrays.val_images[:_MAX_SAMPLES], arrays.val_labels, strict=False)
        return [
            {"pixels": image.tolist(), "label": fashion_mnist.LABELS[label]}
            for image, label in pairs
        ]

    def _prepare(self, request: Request) -> Response:
        """Convert an image file to the pixels that the model sees."""
        # Pillow is for this alone.
        from tfd2l.predict.images import ImageError, read_image

        try:
            image = read_image(request.get_data(cache=False), size=_IMAGE_SIZE)
        except ImageError as error:
            refuse(str(error))
        return _json({"pixels": image.pixels.tolist(), "notes": [*image.notes]})


def is_loopback(host: str) -> bool:
    """Return whether only this machine can connect to a server at this name or address."""
    address = _address(host)
    return host.lower() == "localhost" if address is None else address.is_loopback


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address; None for a name."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        return None


def _refuse_other_origins(request: Request) -> None:
    """Refuse a POST from a page of another origin."""
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin", f"http://{host}")
    if request.method == "POST" and origin != f"http://{host}":
        refuse(f"only pages of http://{host} may send this; got one of {origin!r}", 403)


def _takes_images(version: LoadedVersion) -> bool:
    """Return whether it classifies images as the page sends them: raw, grey, of one size."""
    signatures = version.signatures
    inputs = signatures["serving_default"].inputs
    if set(inputs) != {"image"} or "classify" not in signatures:
        return False
    spec = inputs["image"]
    return (
        spec.dtype == "uint8"
        and spec.shape is not None
        and len(spec.shape) == 3
        and all(side in (None, own) for side, own in zip(spec.shape[1:], _IMAGE_SIZE, strict=True))
    )


def _json(value: Any) -> Response:
    return Response(json.dumps(value), content_type="application/json")
