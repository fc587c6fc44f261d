"""What the web page of the development server asks for: itself, models, images.

Only the server's own pages may use it. A page from elsewhere that the user has open could send
requests here too, so a POST from another origin is refused; and as such a page may have a host
name that its owner points at this machine, so is every host name but the machine's own.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
import logging
import re
import socket
import threading
from base64 import b64encode
from collections.abc import Sequence
from functools import cached_property
from html.parser import HTMLParser
from importlib import resources
from typing import Any
from urllib.parse import urlsplit

from werkzeug.exceptions import NotFound
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Request, Response

from pipelines import fashion_mnist
from pipelines.idx_files import DataError
from tfd2l.export.loaded import LoadedVersion
from tfd2l.serve.json_values import refuse
from tfd2l.serve.models import ServedModels

__all__ = ["PageApi", "is_loopback"]

_LOG = logging.getLogger(__name__)
_MOST_SAMPLES = 200
_IMAGE_SIZE = (28, 28)
_ROUTES = Map(
    [
        Rule("/", endpoint="index", methods=["GET"]),
        Rule("/page/models", endpoint="list_models", methods=["GET"]),
        Rule("/page/samples", endpoint="list_samples", methods=["GET"]),
        Rule("/page/prepare", endpoint="prepare", methods=["POST"]),
    ],
    merge_slashes=False,
)
_POLICY = (
    "default-src 'none'; script-src {scripts}; style-src {styles}; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class PageApi:
    """The routes beside TensorFlow Serving's."""

    def __init__(self, models: ServedModels, *, host: str) -> None:
        """Nothing is loaded yet.

        Args:
            models: what is served.
            host: name or address that the server was told to listen at.
        """
        self._models = models
        self._lock = threading.Lock()
        self._for_others = not is_loopback(host)
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
        self._refuse_others(request)
        response: Response = getattr(self, f"_{endpoint}")(request)
        response.headers.update(_HEADERS)
        response.headers.setdefault("Content-Security-Policy", _policy())
        return response

    def refuse_other_sites(self, request: Request) -> None:
        """Refuse a request to the REST interface that a page from elsewhere sent.

        Programs send no origin, and the names of a server for others are others' business; but
        where only this machine can connect, a strange name is one that was pointed here.

        Raises:
            RestError: 403.
        """
        if not self._for_others and "Host" in request.headers:
            self._refuse_strange_names(request)
        _refuse_other_origins(request)

    def _refuse_others(self, request: Request) -> None:
        """Refuse a request that a page from elsewhere may have sent."""
        self._refuse_strange_names(request)
        _refuse_other_origins(request)

    def _refuse_strange_names(self, request: Request) -> None:
        host = request.headers.get("Host", "")
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            name = ""
        if name not in self._own_names and not _is_address(name):
            refuse(f"the host must be this machine's own name or address; got {host!r}", 403)

    def _index(self, request: Request) -> Response:
        """The page itself, as far as it is part of the package."""
        page = resources.files("tfd2l.serve").joinpath("page_files", "index.html")
        if not page.is_file():
            refuse("this installation has no web page; the REST interface is below /v1/models", 404)
        text = page.read_text(encoding="utf-8")
        response = Response(text, content_type="text/html; charset=utf-8")
        response.headers["Content-Security-Policy"] = _policy(text)
        return response

    def _list_models(self, request: Request) -> Response:
        rows = []
        for name in self._models.available():
            with self._models.version(name) as version:
                # As text: a browser's numbers are exact up to 2**53 only, a version's go to 2**63.
                numbers, image = [str(version.number)], _takes_images(version)
            rows.append({"name": name, "versions": numbers, "image": image, "labels": None})
        return _json({"models": rows})

    def _list_samples(self, request: Request) -> Response:
        """Test images of Fashion-MNIST; none where there is no copy of it on this machine."""
        count = request.args.get("count", "20")
        if not re.fullmatch("[0-9]{1,3}", count) or int(count) > _MOST_SAMPLES:
            refuse(f"count must be a whole number up to {_MOST_SAMPLES}; got {count[:40]!r}")
        with self._lock:
            samples = self._samples
        return _json(samples[: int(count)])

    @cached_property
    def _samples(self) -> list[dict[str, Any]]:
        """As many as are ever asked for; read once."""
        try:
            arrays = fashion_mnist.load(download=False)
        except DataError as error:
            _LOG.info("no test images for the page: %s", error)
            return []
        pairs = zip(arrays.val_images[:_MOST_SAMPLES], arrays.val_labels, strict=False)
        return [
            {"pixels": image.tolist(), "label": fashion_mnist.LABELS[label]}
            for image, label in pairs
        ]

    def _prepare(self, request: Request) -> Response:
        """An image file as the model sees it."""
        # Pillow is for this alone.
        from tfd2l.predict.images import ImageError, read_image

        try:
            image = read_image(request.get_data(cache=False), size=_IMAGE_SIZE)
        except ImageError as error:
            refuse(str(error))
        return _json({"pixels": image.pixels.tolist(), "notes": [*image.notes]})


def _takes_images(version: LoadedVersion) -> bool:
    """Whether it classifies images as the page sends them: raw, grey, of its one size."""
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


def _refuse_other_origins(request: Request) -> None:
    """Refuse what a page of another origin posts."""
    host = request.headers.get("Host", "")
    origin = request.headers.get("Origin", f"http://{host}")
    if request.method == "POST" and origin != f"http://{host}":
        refuse(f"only pages of http://{host} may ask for this; got one of {origin!r}", 403)


def is_loopback(host: str) -> bool:
    """Whether only this machine can connect to a server at this name or address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def _is_address(name: str) -> bool:
    """Whether it is an address itself, which nobody can point elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


class _Inline(HTMLParser):
    """What a page has in its <script> and <style> elements."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: dict[str, list[str]] = {"script": [], "style": []}
        self._inside: str | None = None
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in self.found:
            self._inside = tag
            self.found[tag].append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data: str) -> None:
        if self._inside is not None:
            self.found[self._inside][-1] += data


def _policy(page: str = "") -> str:
    """A content security policy that lets the page's own scripts and styles run, and no others."""
    found = _Inline(page).found
    return _POLICY.format(scripts=_hashes(found["script"]), styles=_hashes(found["style"]))


def _hashes(texts: Sequence[str]) -> str:
    """The sources of a policy that stand for these texts."""
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    return " ".join(f"'sha256-{b64encode(digest).decode()}'" for digest in digests) or "'none'"


def _json(value: Any) -> Response:
    return Response(json.dumps(value), content_type="application/json")
