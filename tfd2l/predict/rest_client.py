"""A client for a model behind TensorFlow Serving's REST interface.

It imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote, urlsplit

import numpy as np
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError
from urllib3.util import Retry

from pipelines.basics.numbers import positive_number, whole_number
from pipelines.basics.text import one_line
from tfd2l.common.hosts import is_loopback
from tfd2l.export.signature_types import Signature
from tfd2l.predict.answers import ServingError, VersionStatus, parse_signatures, parse_status
from tfd2l.predict.predictor import CLASSIFY, EXPORT_HINT, Inputs, Outputs, RemotePredictor

__all__ = ["Client"]

Result = TypeVar("Result")


class Client(RemotePredictor):
    """Queries a model behind TensorFlow Serving's REST interface.

    Examples are checked before anything is sent, by the model's own metadata, which the client
    fetches once. Connections are kept between calls; `close`, or a `with` block, ends them. Use one
    client per thread.
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
        """Keep the settings; the first call connects.

        Args:
            url: the server's address; the part before `/v1/models`.
            model: the model's name in the server.
            version: its number; None for the newest, which may change between two requests.
            timeout_s: seconds to wait for a connection, and for each next part of an answer, in
                each try.
            retries: how often a request is sent again after a broken connection, a time-out or a
                502, 503 or 504, each time after a longer pause.
            batch_size: the largest number of examples in a request, up to 1,024; more are
                sent in several requests.

        Raises:
            ValueError: one of the numbers is out of range, or `url` has no host.
        """
        self._url = url.rstrip("/")
        super().__init__(self._url, model, version, batch_size)
        self._timeout_s = positive_number("timeout_s", timeout_s, hint="10 seconds are usual.")
        retries = whole_number("retries", retries, minimum=0, hint="3 are usual.")
        self._session = _make_session(self._url, retries)

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def status(self) -> list[VersionStatus]:
        """State of the model's versions, or of this client's version; the oldest first.

        Raises:
            ServingError: the server can't be reached or doesn't know the model.
        """
        return self._call("", parse_status)

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name, fetched afresh; ServingError as for `predict`."""
        return self._call(
            "/metadata", lambda answer: parse_signatures(answer["metadata"]["signature_def"])
        )

    def _query(self, signature: str, inputs: Inputs) -> Outputs:
        body: dict[str, Any] = {"signature_name": signature}
        if signature == CLASSIFY:
            columns = [[_as_feature(value) for value in array] for array in inputs.values()]
            body["examples"] = [
                dict(zip(inputs, row, strict=True)) for row in zip(*columns, strict=True)
            ]
            return self._call(":classify", _parse_classes, body)
        body["inputs"] = {
            name: array.tolist() if array.dtype != object else [*map(_as_string, array)]
            for name, array in inputs.items()
        }
        return self._call(":predict", self._parse_outputs, body)

    def _parse_outputs(self, answer: Any) -> Outputs:
        """Read outputs by name; a single one comes without its name."""
        outputs = answer["outputs"]
        names = [*self._signature().outputs]
        return dict(outputs) if len(names) != 1 else {names[0]: outputs}

    def _call(
        self, path: str, parse: Callable[[Any], Result], body: Mapping[str, Any] | None = None
    ) -> Result:
        """Send a request, with retries, and parse the JSON value that answers it."""
        # A name from the command line may have bytes that are not UTF-8.
        model_url = f"{self._url}/v1/models/{quote(self._model, safe='', errors='surrogateescape')}"
        version = "" if self._version is None else f"/versions/{self._version}"
        response = self._send(f"{model_url}{version}{path}", body)
        if response.status_code != 200:
            remedy = "See the model's metadata() and the server's log."
            if response.status_code == 404:
                remedy = f"{model_url} lists the versions that the server has."
            raise ServingError(
                f"{self} answered {response.status_code}: {_words(response)}. {remedy}"
            )
        try:
            return parse(json.loads(response.content))
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ServingError(
                f"the answer of {self} must have TensorFlow Serving's form; got "
                f"{_words(response)}. {EXPORT_HINT}"
            ) from error

    def _send(self, url: str, body: Mapping[str, Any] | None) -> requests.Response:
        """POST the body if there is one, else GET."""
        # Without spaces, which would make a quarter of the bytes.
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            return self._session.request(
                "GET" if data is None else "POST",
                url,
                data=data,
                timeout=self._timeout_s,
                allow_redirects=False,
            )
        except (requests.RequestException, HTTPError) as error:
            raise ServingError(
                f"no answer from {self._url}: {one_line(str(_first_cause(error)))}. Start a "
                "server: python -m tfd2l.serve savedmodels/. A busy one may need more than "
                f"timeout_s = {self._timeout_s:g}."
            ) from error


def _words(response: requests.Response) -> str:
    """Return the error that TensorFlow Serving answers as JSON, or the text of another answer."""
    try:
        text = str(json.loads(response.content)["error"])
    except (KeyError, TypeError, ValueError, RecursionError):
        text = response.content.decode(errors="replace")
    return one_line(text, 200) or "nothing"


def _as_feature(value: Any) -> Any:
    """Convert an input of one example to JSON; pixels are bytes, and floats stay floats."""
    if isinstance(value, bytes):
        return _as_string(value)
    return _as_base64(value.tobytes()) if value.dtype == np.uint8 else value.tolist()


def _as_string(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return _as_base64(data)


def _as_base64(data: bytes) -> dict[str, str]:
    return {"b64": base64.b64encode(data).decode()}


def _parse_classes(answer: Any) -> Outputs:
    """Read the outputs `classes` and `scores` from rows of pairs."""
    return {
        "classes": [[label for label, _ in row] for row in answer["results"]],
        "scores": [[score for _, score in row] for row in answer["results"]],
    }


def _make_session(url: str, retries: int) -> requests.Session:
    try:
        host = urlsplit(url).hostname
    except ValueError:
        host = None
    if not host:
        raise ServingError(
            f"url must be a server's address, http:// or https:// with a host; got {url!r}. "
            "TensorFlow Serving's default is http://127.0.0.1:8501."
        )
    session = requests.Session()
    session.headers["Content-Type"] = "application/json"
    # A proxy that the environment names is for other machines.
    session.trust_env = not is_loopback(host)
    retry = Retry(
        total=retries,
        # The first retry is made at once; the pause before the next is 0.2 s, and doubles.
        backoff_factor=0.1,
        status_forcelist=(502, 503, 504),
        # POST too: a prediction changes nothing in the server.
        allowed_methods={"GET", "POST"},
        raise_on_status=False,
        # It could name hours.
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _first_cause(error: BaseException) -> BaseException:
    """Return the error that began a chain of requests' and urllib3's errors."""
    cause = getattr(error, "reason", error.args[0] if error.args else None)
    return _first_cause(cause) if isinstance(cause, Exception) else error
