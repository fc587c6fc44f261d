"""The error that a request is answered with."""

from __future__ import annotations

from typing import NoReturn

from tfd2l.common.errors import Tfd2lError

__all__ = ["RestError", "refuse"]


class RestError(Tfd2lError):
    """A request that is answered with an error.

    Attributes:
        status: the HTTP status.
    """

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


def refuse(text: str, status: int = 400) -> NoReturn:
    """Raise RestError."""
    raise RestError(status, text)
