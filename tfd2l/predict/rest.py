"""Requests to a server and its answers, bounded in time and size; nothing of what they say."""

from __future__ import annotations

import ipaddress
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.exceptions import HTTPError, NewConnectionError
from urllib3.exceptions import TimeoutError as WaitedTooLong
from urllib3.util import Retry

from pipelines.basics.numbers import positive_number, whole_number
from tfd2l.predict.answers import ServingError, printable

__all__ = ["Reply", "Server"]

# More than 256 answers for a thousand classes take; a broken server must not fill the memory.
MAX_ANSWER_BYTES = 16 * 2**20
CHUNK_BYTES = 64 * 1024
# Before the third try; it doubles from there. The second comes at once.
BACK_OFF_S = 0.2
BUSY = (502, 503, 504)


@dataclass(frozen=True)
class Reply:
    """An answer: its status, its content, and where a redirect leads."""

    status: int
    content: bytes
    location: str

    @property
    def text(self) -> str:
        """The content, whatever it is, as text."""
        return self.content.decode(errors="replace")


class Server:
    """An address, and the connections to it, which are kept."""

    def __init__(self, url: str, *, timeout_s: float, retries: int) -> None:
        """As `tfd2l.serving.Client`; raises ValueError for what is out of range."""
        timeout_s = positive_number("timeout_s", timeout_s, hint="10 seconds are usual.")
        retries = whole_number("retries", retries, minimum=0, hint="3 are usual.")
        self.url, self._timeout_s, self._session = _checked_url(url), timeout_s, requests.Session()
        # A proxy in the environment is for other machines.
        self._session.trust_env = not _is_loopback(self.url)
        # Compressed answers would defeat the limit of their size.
        self._session.headers["Accept-Encoding"] = "identity"
        # POST too: a prediction changes nothing in the server. Its Retry-After could be hours.
        retry = _Retry(
            total=retries,
            backoff_factor=BACK_OFF_S / 2,
            status_forcelist=BUSY,
            allowed_methods={"GET", "POST"},
            raise_on_status=False,
            respect_retry_after_header=False,
        )
        for scheme in ("http://", "https://"):
            self._session.mount(scheme, HTTPAdapter(max_retries=retry))

    def close(self) -> None:
        """End the connections."""
        self._session.close()

    def ask(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Reply:
        """Send a request, several times if need be.

        Args:
            method: 'GET' or 'POST'.
            path: what comes after the server's address.
            body: JSON values, or nothing.

        Raises:
            ServingError: no server, no whole answer in time, or one that is too long.
        """
        url = f"{self.url}{path}"
        data = None if body is None else json.dumps(body, separators=(",", ":")).encode()
        try:
            with self._session.request(
                method,
                url,
                data=data,
                headers={"Content-Type": "application/json"} if data else {},
                timeout=self._timeout_s,
                allow_redirects=False,
                stream=True,
            ) as response:
                location = response.headers.get("Location", "")
                return Reply(response.status_code, self._read(response, url), location)
        except (requests.Timeout, WaitedTooLong) as error:
            raise self._too_slow(url) from error
        except requests.ConnectionError as error:
            raise ServingError(
                f"no server answers at {self.url}: {_innermost(error)}. Start one: "
                "python -m tfd2l.serve savedmodels/"
            ) from error
        except (requests.RequestException, HTTPError) as error:
            raise ServingError(
                f"the answer of {url} broke off: {printable(str(error))}. Ask again."
            ) from error

    def _read(self, response: requests.Response, url: str) -> bytes:
        """The answer's content, as long as it is neither too long nor too slow."""
        deadline, content = time.monotonic() + self._timeout_s, bytearray()
        # read1 gives what has come; others wait until a chunk is full, however slow it comes.
        while chunk := response.raw.read1(CHUNK_BYTES, decode_content=False):
            content += chunk
            if len(content) > MAX_ANSWER_BYTES:
                raise ServingError(
                    f"an answer may have at most {MAX_ANSWER_BYTES:,} bytes; that of {url} has "
                    "more. Ask with a smaller batch_size."
                )
            if time.monotonic() > deadline:
                raise self._too_slow(url)
        return bytes(content)

    def _too_slow(self, url: str) -> ServingError:
        return ServingError(
            f"{url} did not answer within timeout_s = {self._timeout_s:g} seconds. Give it more, "
            "or see what the server is busy with."
        )


class _Retry(Retry):
    """Doesn't try again what timed out: the user would wait several times as long as they said."""

    def increment(self, *args: Any, **kwargs: Any) -> Self:
        error = kwargs.get("error")
        # urllib3 counts a refused connection among the time-outs.
        if isinstance(error, WaitedTooLong) and not isinstance(error, NewConnectionError):
            raise error
        following = super().increment(*args, **kwargs)
        if (response := kwargs.get("response")) is not None:
            # Else all of it would be read first, however long that takes.
            response.close()
        return following


def _checked_url(url: str) -> str:
    """The address without a slash at its end, if it is one."""
    try:
        parts = urlsplit(url)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(
            f"url must be a server's address, http:// or https:// with a host; got {url!r}. "
            "TensorFlow Serving's default is http://127.0.0.1:8501."
        )
    return url.rstrip("/")


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _innermost(error: BaseException) -> str:
    """The text of what began a chain of requests' and urllib3's errors."""
    first = error.args[0] if error.args else None
    cause = getattr(error, "reason", first)
    return _innermost(cause) if isinstance(cause, Exception) else printable(str(error))
