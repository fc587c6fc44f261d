"""A small HTTP server that answers as TensorFlow Serving's REST interface does, or as it is told.

Its classifier is softmax regression in NumPy. Like the real server it takes a number outside of
uint8 for its remainder by 256.
"""

from __future__ import annotations

import base64
import json
import socket
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
LABELS = ("t-shirt", "trouser", "púllover", "dress")


class Softmax:
    """Softmax regression for images of one shape, with fixed weights."""

    def __init__(self, height: int = 28, width: int = 28, seed: int = 0) -> None:
        self.shape = (height, width)
        W = np.random.default_rng(seed).normal(0, 0.3, (height * width, len(LABELS)))
        # Centred, so that noise is not always of one class.
        self.W = W - W.mean(axis=0)

    def __call__(self, images: Array) -> dict[str, Array]:
        logits = (images.reshape(len(images), -1) / 255) @ self.W
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities = exponentials / exponentials.sum(axis=1, keepdims=True)
        class_id = logits.argmax(axis=1)
        return {
            "logits": logits,
            "probabilities": probabilities,
            "class_id": class_id,
            "label": np.array(LABELS)[class_id],
        }


@dataclass
class Canned:
    """An answer to give instead of the right one; `stalls` promises a byte more and hangs."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    stalls: bool = False


@dataclass
class RestServer:
    """The server; `canned` answers come before its own.

    Attributes:
        model: the classifier that it serves; its images may have another shape.
        requests: method and path of all requests, in order.
        bodies: the requests' bodies.
        canned: answers to the next requests: an answer, or 'hang' or 'drop'.
        versions: the model's versions.
        connections: the addresses of the clients, one for each connection.
        faults: exceptions in the server itself; there must be none.
    """

    model: Softmax = field(default_factory=Softmax)
    requests: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    canned: list[Canned | str] = field(default_factory=list)
    versions: tuple[int, ...] = (2, 3)
    connections: set[Any] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def __enter__(self) -> RestServer:
        self.ended = threading.Event()
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Head and body in one packet: the second of two waits for the first to be confirmed.
            wbufsize = -1

            def do_GET(self) -> None:
                server._respond(self)

            def do_POST(self) -> None:
                server._respond(self)

            def log_message(self, *_: Any) -> None:
                """Nothing on the terminal."""

        class Http(ThreadingHTTPServer):
            def handle_error(self, *_: Any) -> None:
                error = sys.exception()
                # A client may hang up; any other exception is a fault of this server.
                if not isinstance(error, ConnectionError):
                    server.faults.append(repr(error))

        self._http = Http(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.01,))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ended.set()
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()
        assert not self.faults

    def reset(self) -> None:
        """Return to the first state."""
        self.model = Softmax()
        self.versions = (2, 3)
        for record in (self.requests, self.bodies, self.canned):
            record.clear()
        self.connections.clear()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._http.server_port}"

    def posted(self) -> int:
        """The number of requests for predictions."""
        return sum(method == "POST" for method, _ in self.requests)

    def _respond(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0)))
        self.requests.append((handler.command, handler.path))
        self.connections.add(handler.client_address)
        self.bodies.append(body)
        answer = self.canned.pop(0) if self.canned else self._answer(handler, body)
        if answer == "hang":
            self.ended.wait()
        if isinstance(answer, str):
            handler.close_connection = True
            return
        handler.send_response(answer.status)
        for name, value in answer.headers.items():
            handler.send_header(name, value)
        if "Content-Length" not in answer.headers:
            handler.send_header("Content-Length", str(len(answer.body) + answer.stalls))
        handler.end_headers()
        handler.wfile.write(answer.body)
        handler.wfile.flush()
        if answer.stalls:
            self.ended.wait()
        if answer.stalls or "Content-Length" in answer.headers:
            handler.close_connection = True

    def _answer(self, handler: BaseHTTPRequestHandler, body: bytes) -> Canned:
        base = "/v1/models/mlp"
        paths: dict[tuple[str, str], Callable[[Any], Any]] = {
            ("GET", ""): lambda _: self._status(self.versions),
            ("GET", "/metadata"): lambda _: self._metadata(),
            ("POST", ":predict"): self._predict,
            ("POST", ":classify"): self._classify,
        }
        for version in self.versions:
            paths[("GET", f"/versions/{version}")] = partial(self._status_of, version)
            for method, path in [("GET", "/metadata"), ("POST", ":predict"), ("POST", ":classify")]:
                paths[(method, f"/versions/{version}{path}")] = paths[(method, path)]
        reply = paths.get((handler.command, handler.path.removeprefix(base)))
        if reply is None or not handler.path.startswith(base):
            return as_json({"error": f"Servable not found for request: {handler.path}"}, 404)
        try:
            return as_json(reply(json.loads(body) if body else None))
        except (KeyError, ValueError) as error:
            return as_json({"error": f"the server's own text: {error}\nin two lines"}, 400)

    def _status_of(self, version: int, _: Any) -> Any:
        return self._status((version,))

    def _status(self, versions: tuple[int, ...]) -> Any:
        good = {"error_code": "OK", "error_message": ""}
        return {
            "model_version_status": [
                {"version": str(version), "state": "AVAILABLE", "status": good}
                # The newest first, as the real one lists them.
                for version in reversed(versions)
            ]
        }

    def _metadata(self) -> Any:
        def info(dtype: str, *sizes: int) -> Any:
            shape = {"dim": [{"size": str(n), "name": ""} for n in sizes], "unknown_rank": False}
            return {"dtype": dtype, "tensor_shape": shape, "name": "some:0"}

        q = len(LABELS)
        signatures = {
            "serving_default": {
                "inputs": {"image": info("DT_UINT8", -1, *self.model.shape)},
                "outputs": {
                    "logits": info("DT_FLOAT", -1, q),
                    "probabilities": info("DT_FLOAT", -1, q),
                    "class_id": info("DT_INT64", -1),
                    "label": info("DT_STRING", -1),
                },
                "method_name": "tensorflow/serving/predict",
            },
            "classify": {
                "inputs": {"inputs": info("DT_STRING", -1)},
                "outputs": {
                    "classes": info("DT_STRING", -1, q),
                    "scores": info("DT_FLOAT", -1, q),
                },
                "method_name": "tensorflow/serving/predict",
            },
            "__saved_model_init_op": {"inputs": {}, "outputs": {}, "method_name": ""},
        }
        return {
            "model_spec": {"name": "mlp", "signature_name": "", "version": "3"},
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    def _predict(self, request: Any) -> Any:
        by_row = "instances" in request
        given = request["instances"] if by_row else request["inputs"]["image"]
        images = (np.array(given) % 256).astype(np.uint8)
        if images.shape[1:] != self.model.shape:
            raise ValueError(f"Tensor image, shape {images.shape}, expected {self.model.shape}")
        outputs = {name: values.tolist() for name, values in self.model(images).items()}
        if by_row:
            columns = zip(*outputs.values(), strict=True)
            return {"predictions": [dict(zip(outputs, row, strict=True)) for row in columns]}
        return {"outputs": outputs}

    def _classify(self, request: Any) -> Any:
        pixels = [base64.b64decode(one["image"]["b64"]) for one in request["examples"]]
        images = np.frombuffer(b"".join(pixels), np.uint8).reshape(-1, *self.model.shape)
        results = []
        for row in self.model(images)["probabilities"]:
            order = np.argsort(-row)
            results.append([[LABELS[index], float(row[index])] for index in order])
        return {"results": results}


def as_json(value: Any, status: int = 200) -> Canned:
    """An answer with JSON content."""
    headers = {"Content-Type": "application/json"}
    return Canned(status, json.dumps(value).encode(), headers)


def unused_port() -> int:
    """A port on which nothing listens, unless another program takes it."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
