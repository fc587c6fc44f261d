"""A client for a classifier behind TensorFlow Serving's REST interface.

It imports neither TensorFlow nor Keras.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any, NoReturn, Self
from urllib.parse import quote, urlsplit

import numpy as np
import numpy.typing as npt
import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as TimedOut
from urllib3.util import Retry

from pipelines.basics.numbers import positive_number, whole_number
from pipelines.basics.text import one_line, shown
from tfd2l.common.hosts import is_loopback
from tfd2l.export.signature_types import Signature
from tfd2l.predict.answers import ServingError, VersionStatus, parse_signatures, parse_status
from tfd2l.predict.predictor import CLASSIFY, EXPORT_HINT, Outputs, RemotePredictor

__all__ = ["Client"]

# The pause before the second retry; it doubles from there. The first retry is made at once.
_PAUSE_S = 0.2
_BUSY = (502, 503, 504)


class Client(RemotePredictor):
    """Queries a classifier behind TensorFlow Serving's REST interface.

    Images are checked before anything is sent, by the model's own metadata, which the client
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
            timeout_s: seconds to wait for a connection, and for each next part of an answer. A
                request that times out is not sent again.
            retries: how often a request is sent again after a broken connection or a 502, 503 or
                504, each time after a longer pause.
            batch_size: the largest number of images in a request, up to 1,024; more images are
                sent in several requests.

        Raises:
            ValueError: one of these is out of range, or `url` isn't the address of a server.
        """
        self._url = _checked_url(url)
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
        answer = self._call("GET", self._path())
        try:
            return parse_status(answer)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._refuse_answer("'model_version_status'", answer, error)

    def metadata(self) -> dict[str, Signature]:
        """The model's signatures by name, fetched afresh.

        Raises:
            ServingError: the server can't be reached or doesn't know the model.
        """
        answer = self._call("GET", f"{self._path()}/metadata")
        try:
            return parse_signatures(answer["metadata"]["signature_def"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._refuse_answer("'signature_def' in 'metadata'", answer, error)

    def _query(self, signature: str, images: npt.NDArray[np.uint8]) -> Outputs:
        if signature == CLASSIFY:
            return self._query_classify(images)
        body = {"signature_name": signature, "inputs": {"image": images.tolist()}}
        answer = self._call("POST", f"{self._path()}:predict", body)
        outputs = answer.get("outputs")
        if not isinstance(outputs, dict):
            self._refuse_answer("'outputs' by name", answer)
        return outputs

    def _query_classify(self, images: npt.NDArray[np.uint8]) -> Outputs:
        examples = [{"image": {"b64": base64.b64encode(image).decode()}} for image in images]
        body = {"signature_name": CLASSIFY, "examples": examples}
        answer = self._call("POST", f"{self._path()}:classify", body)
        try:
            pairs = [[(label, score) for label, score in row] for row in answer["results"]]
        except (KeyError, TypeError, ValueError) as error:
            self._refuse_answer("'results' with rows of labels and scores", answer, error)
        return {
            "classes": [[label for label, _ in row] for row in pairs],
            "scores": [[score for _, score in row] for row in pairs],
        }

    def _path(self) -> str:
        return "" if self._version is None else f"/versions/{self._version}"

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request and return the JSON object that answers it."""
        response = self._exchange(method, path, body)
        answer = _parse(response.content)
        if response.status_code != 200:
            raise self._refusal(response, answer)
        if not isinstance(answer, dict):
            self._refuse_answer("a JSON object", _text(response))
        return answer

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> requests.Response:
        """Send a request, with retries, and return the answer whatever its status."""
        # A name from the command line may have bytes that are not UTF-8.
        name = quote(self._model, safe="", errors="surrogateescape")
        url = f"{self._url}/v1/models/{name}{path}"
        # Without spaces, which would make a quarter of the bytes.
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            return self._session.request(
                method,
                url,
                data=data,
                timeout=(self._timeout_s, self._timeout_s),
                allow_redirects=False,
            )
        except (requests.RequestException, HTTPError) as error:
            raise self._failure(url, error) from error

    def _failure(self, url: str, error: Exception) -> ServingError:
        """Explain why there was no answer."""
        cause = _first_cause(error)
        # urllib3 counts a refused connection among the time-outs.
        if isinstance(cause, TimedOut) and not isinstance(cause, NewConnectionError):
            return ServingError(
                f"{url} did not answer within timeout_s = {self._timeout_s:g} seconds. Allow it "
                "more, or see what keeps the server busy."
            )
        said = one_line(str(cause))
        if isinstance(error, requests.ConnectionError):
            return ServingError(
                f"no server answers at {self._url}: {said}. Start one: "
                "python -m tfd2l.serve savedmodels/"
            )
        return ServingError(
            f"the request to {url} failed: {said}. Check the address, or try again."
        )

    def _refusal(self, response: requests.Response, answer: Any) -> ServingError:
        """Explain an answer with a status other than 200."""
        text = answer.get("error") if isinstance(answer, dict) else None
        said = one_line(str(text or _text(response))) or "nothing"
        status = response.status_code
        remedy = "Its metadata() say what it takes."
        if 300 <= status < 400:
            said = f"go to {one_line(response.headers.get('Location', ''))}"
            remedy = "Redirects are not followed: give the server's own address."
        elif status == 404:
            remedy = self._what_exists()
        elif status >= 500:
            remedy = "See the server's log."
        return ServingError(f"{self} answered {status}: {said}. {remedy}")

    def _what_exists(self) -> str:
        """Say in a sentence which versions of the model the server has."""
        response = self._exchange("GET", "")
        try:
            versions = parse_status(_parse(response.content)) if response.ok else []
        except (AttributeError, KeyError, TypeError, ValueError):
            versions = []
        if not versions:
            return "The server has no model of that name, or is no TensorFlow Serving."
        known = ", ".join(f"{one.version} ({one_line(one.state)})" for one in versions)
        return f"The server has these versions of it: {known}."

    def _refuse_answer(self, rule: str, answer: Any, error: Exception | None = None) -> NoReturn:
        raise ServingError(
            f"the answer of {self} must have {rule}; got {shown(answer)}. {EXPORT_HINT}"
        ) from error


class _Retry(Retry):
    """Retries anything but time-outs: the user would wait several times as long as `timeout_s`."""

    def increment(self, *args: Any, **kwargs: Any) -> Self:
        error = kwargs.get("error")
        if isinstance(error, TimedOut) and not isinstance(error, NewConnectionError):
            raise error
        return super().increment(*args, **kwargs)


def _make_session(url: str, retries: int) -> requests.Session:
    session = requests.Session()
    session.headers["Content-Type"] = "application/json"
    # A proxy that the environment names is for other machines.
    session.trust_env = not is_loopback(urlsplit(url).hostname or "")
    retry = _Retry(
        total=retries,
        # urllib3 waits twice this long before the second retry.
        backoff_factor=_PAUSE_S / 2,
        status_forcelist=_BUSY,
        # POST too: a prediction changes nothing in the server.
        allowed_methods={"GET", "POST"},
        raise_on_status=False,
        # It could name hours.
        respect_retry_after_header=False,
    )
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(max_retries=retry))
    return session


def _checked_url(url: str) -> str:
    """Return the address without a slash at its end; ServingError if it isn't one of a server."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or parts.username is not None:
        raise ServingError(
            f"url must be a server's address, http:// or https:// with a host; got {url!r}. "
            "TensorFlow Serving's default is http://127.0.0.1:8501."
        )
    return url.rstrip("/")


def _first_cause(error: BaseException) -> BaseException:
    """Return the error that began a chain of requests' and urllib3's errors."""
    cause = getattr(error, "reason", error.args[0] if error.args else None)
    return _first_cause(cause) if isinstance(cause, Exception) else error


def _parse(content: bytes) -> Any:
    """Return the JSON value, or None if the content isn't JSON."""
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return None


def _text(response: requests.Response) -> str:
    return response.content.decode(errors="replace")
