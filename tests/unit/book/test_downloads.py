"""tfd2l/book/downloads.py, with a real server on this machine."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tfd2l.book import downloads
from tfd2l.book.downloads import DownloadError, download

CONTENT = b"Id,SalePrice\n1,208500\n"
SHA1 = hashlib.sha1(CONTENT).hexdigest()


class Quiet(SimpleHTTPRequestHandler):
    requests = 0

    def do_GET(self) -> None:
        type(self).requests += 1
        super().do_GET()

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    Quiet.requests = 0
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def site(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "houses.csv").write_bytes(CONTENT)
    with serving(folder) as address:
        yield address


def test_a_file_is_fetched_once_and_then_kept(site: str, tmp_path: Path) -> None:
    for _ in range(2):
        path = download(f"{site}/houses.csv", tmp_path / "data", SHA1)
        assert Path(path) == tmp_path / "data" / "houses.csv"
        assert Path(path).read_bytes() == CONTENT
    assert Quiet.requests == 1


def test_a_file_in_the_folder_needs_no_server(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_bytes(CONTENT)
    assert download("http://127.0.0.1:9/houses.csv", tmp_path, SHA1.upper())


def test_a_damaged_copy_is_fetched_again(site: str, tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_bytes(CONTENT[:-5])
    assert Path(download(f"{site}/houses.csv", tmp_path, SHA1)).read_bytes() == CONTENT


def test_a_file_with_another_hash_is_refused_and_not_kept(site: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match="gave something else than the file with SHA-1 0000"):
        download(f"{site}/houses.csv", tmp_path / "data", "0" * 40)
    assert not list((tmp_path / "data").iterdir())


def test_the_error_for_a_missing_file_says_where_to_put_it(site: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"can't be fetched \(HTTPError\).*put it at '.*x.csv'"):
        download(f"{site}/x.csv", tmp_path, SHA1)


def test_the_error_names_a_wrong_file_in_the_folder_if_none_can_be_fetched(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").write_bytes(CONTENT[:-5])
    with pytest.raises(DownloadError, match=f"the file there has another SHA-1 than {SHA1}, and"):
        download("http://127.0.0.1:9/houses.csv", tmp_path, SHA1)


def test_an_unreachable_server_is_an_error_that_names_the_remedy(tmp_path: Path) -> None:
    with socket.socket() as taken:
        # Bound but not listening: nothing answers there, and no other program gets the port.
        taken.bind(("127.0.0.1", 0))
        address = f"http://127.0.0.1:{taken.getsockname()[1]}/houses.csv"
        with pytest.raises(DownloadError, match=r"\(ConnectionError\).*put it at"):
            download(address, tmp_path)


def test_a_server_that_never_answers_times_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as mute:
        address = f"http://127.0.0.1:{mute.getsockname()[1]}/houses.csv"
        with pytest.raises(DownloadError, match="can't be fetched"):
            download(address, tmp_path)


@pytest.mark.parametrize(
    "url", ["houses.csv", "ftp://host/houses.csv", "http://host/", "http://h/.."]
)
def test_an_address_without_a_file_is_refused(url: str, tmp_path: Path) -> None:
    with pytest.raises(DownloadError, match=r"must be http\(s\) and end in a file's name"):
        download(url, tmp_path)
