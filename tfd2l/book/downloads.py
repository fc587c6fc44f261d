"""Downloads files, verifies them and keeps them for the next time. D2L 5.7.1."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path
from urllib.parse import unquote, urlsplit

import requests

from tfd2l.common.errors import Tfd2lError

with warnings.catch_warnings():
    # In a notebook pooch's import warns that its progress bar, unused here, has no widgets.
    warnings.filterwarnings("ignore", message="IProgress not found")
    import pooch

__all__ = ["DATA_URL", "DownloadError", "download"]

# The book's data lies here; its code writes d2l.DATA_URL + "<file>".
DATA_URL = "http://d2l-data.s3-accelerate.amazonaws.com/"
TIMEOUT_S = 30.0


class DownloadError(Tfd2lError, OSError):
    """A file can't be fetched, or is not the right one."""


def download(url: str, folder: str | Path = "../data", sha1_hash: str | None = None) -> str:
    """Fetch a file, unless it is in `folder` already.

    Args:
        url: http or https; the last part of its path is the file's name.
        folder: the directory for the file; made if need be.
        sha1_hash: SHA-1 of the content, 40 hexadecimal digits. A file in the folder that differs is
            fetched again; a fetched file that differs is refused. None accepts any content.

    Returns:
        The file's path.

    Raises:
        DownloadError: the file can't be fetched, or has another hash; the folder stays as it was.

    Source: D2L 5.7.1.
    """
    parts = urlsplit(url)
    name = Path(unquote(parts.path)).name
    if parts.scheme not in ("http", "https") or not name or name == "..":
        raise DownloadError(f"the address must be http(s) and end in a file's name; got {url!r}.")
    pooch.get_logger().setLevel(logging.WARNING)
    path = Path(folder, name)
    try:
        return str(
            pooch.retrieve(
                url,
                known_hash=None if sha1_hash is None else f"sha1:{sha1_hash.lower()}",
                fname=name,
                path=folder,
                downloader=pooch.HTTPDownloader(timeout=TIMEOUT_S),
            )
        )
    except (requests.RequestException, OSError) as error:
        there = path.exists()
        reason = f"the file there has another SHA-1 than {sha1_hash}, and " if there else ""
        raise DownloadError(
            f"{reason}{url} can't be fetched ({type(error).__name__}). With the right file from "
            f"elsewhere, put it at {str(path)!r} and run this again."
        ) from None  # the HTTP client's traceback has seventy lines and tells nothing more
    except ValueError as error:
        raise DownloadError(
            f"{url} gave something else than the file with SHA-1 {sha1_hash}. With the right "
            f"one from elsewhere, put it at {str(path)!r} and run this again."
        ) from error
