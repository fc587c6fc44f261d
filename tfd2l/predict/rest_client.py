"""A client for classifiers in TensorFlow Serving, over its REST interface.

Imports neither TensorFlow nor Keras. `LocalModel`, which is asked in the same way, runs an exported
model in this process; it imports TensorFlow when it is first asked.
"""

from __future__ import annotations

import base64
import json
import reprlib
from collections.abc import Mapping
from typing import Any, NoReturn, Self
from urllib.parse import quote

import numpy as np
import numpy.typing as npt

from tfd2l.predict.answers import (
    Classification,
    Predictions,
    ServingError,
    Signature,
    VersionStatus,
    parse_signatures,
    parse_status,
    printable,
)
from tfd2l.predict.local import LocalModel
from tfd2l.predict.predictor import CLASSIFY, CONTRACT, Outputs, Predictor
from tfd2l.predict.rest import Reply, Server

__all__ = [
    "Classification",
    "Client",
    "LocalModel",
    "Predictions",
    "ServingError",
    "VersionStatus",
]


class Client(Predictor):
    """Asks a classifier behind TensorFlow Serving's REST interface.

    Images are checked against the model's own metadata, which are fetched once, before anything is
    sent. Connections are kept between calls; `close`, or a `with` block, ends them. Threads need a
    client each.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:8501",
        model: str = "mlp",
        version: int | None = None,
        *,
        timeout_s: float = 10.0,
        retries: int = 3,
        batch_size: int = 256,
    ) -> None:
        """Connects to nothing yet.

        Args:
            url: the server's address; what comes before `/v1/models`.
            model: its name in the server.
            version: None takes the newest, which may change from one request to the next.
            timeout_s: seconds to wait for a connection, for the beginning of an answer, and for
                the rest of it. What took longer is not tried again.
            retries: how often a request is sent again after a broken connection or a 502, 503 or
                504, each time after a longer pause.
            batch_size: most images in a request, up to 1,024; more are sent in several.

        Raises:
            ValueError: one of these is out of range, or `url` is no address of a server.
        """
        super().__init__(batch_size)
        if not model or (version is not None and version < 0):
            raise ValueError(
                "a model has a name, and a version is a whole number of at least 0; got "
                f"{model!r} and {version!r}. python -m tfd2l.train names it after --model."
            )
        self._model, self._version = model, version
        self._server = Server(url, timeout_s=timeout_s, retries=retries)

    def __str__(self) -> str:
        """Model, version and address."""
        version = "" if self._version is None else f", version {self._version},"
        return f"model {self._model!r}{version} at {self._server.url}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the connections."""
        self._server.close()

    def status(self) -> list[VersionStatus]:
        """What the server says of the model's versions, or of the one asked for; oldest first.

        Raises:
            ServingError: the server can't be reached or doesn't know the model.
        """
        answer = self._call("GET", self._path())
        try:
            return parse_status(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._not_the_contract("'model_version_status'", answer, error)

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures, asked for anew.

        Raises:
            ServingError: the server can't be reached or doesn't know the model.
        """
        answer = self._call("GET", f"{self._path()}/metadata")
        try:
            return parse_signatures(answer["metadata"]["signature_def"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._not_the_contract("'signature_def' in 'metadata'", answer, error)

    def _ask(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        if signature == CLASSIFY:
            return self._ask_classify(images)
        body = {"signature_name": signature, "inputs": {"image": images.tolist()}}
        answer = self._call("POST", f"{self._path()}:predict", body)
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            self._not_the_contract("'outputs' by name", answer)
        return outputs

    def _ask_classify(self, images: npt.NDArray[np.uint8]) -> Outputs:
        examples = [{"image": {"b64": base64.b64encode(image).decode()}} for image in images]
        body = {"signature_name": CLASSIFY, "examples": examples}
        answer = self._call("POST", f"{self._path()}:classify", body)
        try:
            pairs = [[(label, score) for label, score in row] for row in answer["results"]]
        except (KeyError, TypeError, ValueError) as error:
            self._not_the_contract("'results' with rows of labels and scores", answer, error)
        return {
            "classes": [[label for label, _ in row] for row in pairs],
            "scores": [[score for _, score in row] for row in pairs],
        }

    def _path(self) -> str:
        return "" if self._version is None else f"/versions/{self._version}"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """The JSON object that the server answers."""
        reply = self._exchange(method, path, body)
        answer = _parse(reply.content)
        if reply.status != 200:
            raise self._refusal(reply, answer)
        if not isinstance(answer, dict):
            self._not_the_contract("a JSON object", reply.text)
        return answer

    def _exchange(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """What the server answers, whatever that is."""
        return self._server.ask(method, f"/v1/models/{quote(self._model, safe='')}{path}", body)

    def _refusal(self, reply: Reply, answer: Any) -> ServingError:
        """What the server said, and what to do about it."""
        text = answer.get("error") if isinstance(answer, dict) else None
        said = printable(str(text or reply.text)) or "nothing"
        remedy = "Its metadata() say what it takes."
        status = reply.status
        if 300 <= status < 400:
            said = f"go to {printable(reply.location)}"
            remedy = "Redirects are not followed: give the server's own address."
        elif status == 404:
            remedy = self._what_exists()
        elif status >= 500:
            remedy = "See the server's log."
        return ServingError(f"{self} answered {status}: {said}. {remedy}")

    def _what_exists(self) -> str:
        """A sentence on which versions of the model the server has."""
        reply = self._exchange("GET", "")
        try:
            versions = parse_status(_parse(reply.content)) if reply.status == 200 else []
        except (AttributeError, KeyError, TypeError, ValueError):
            versions = []
        if not versions:
            return "The server has no model of that name, or is no TensorFlow Serving."
        known = ", ".join(f"{one.version} ({printable(one.state)})" for one in versions)
        return f"The server has these versions of it: {known}."

    def _not_the_contract(self, rule: str, answer: Any, error: Exception | None = None) -> NoReturn:
        got = printable(reprlib.repr(answer))
        raise ServingError(
            f"the answer of {self} must have {rule}; got {got}. {CONTRACT}"
        ) from error


def _parse(content: bytes) -> Any:
    """JSON's value, or None for what is none."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None
