"""Hostile input: disguised programs, packages, settings, and redirected downloads."""

from __future__ import annotations

import ast
import io
import shutil
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from pipelines.basics.debian import DebianPackageError, unpack_package
from tests.support import ROOT
from tfd2l.book.downloads import DownloadError, download
from tfd2l.train.records import read_record, write_record
from tfd2l.train.settings.config import ConfigError, from_settings

SOURCES = sorted(
    path
    for folder in ("pipelines", "tfd2l", "benchmarks", ".ci")
    for path in (ROOT / folder).rglob("*.py")
    if ".environments" not in path.parts
)

# Modules that run code from the data that they read.
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load",
    "tf.py_function", "tf.numpy_function", "pd.read_pickle", "keras.models.load_model",
    "keras.saving.load_model", "keras.config.enable_unsafe_deserialization", "tarfile.open",
    "zipfile.ZipFile", "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip
# It lists the archives that it has just built, and unpacks nothing.
ALLOWED = {".ci/package.py": {"tarfile.open", "zipfile.ZipFile"}}
ARGUMENTS = {("shell", True), ("allow_pickle", True), ("safe_mode", False), ("verify", False)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_what_it_reads(path: Path) -> None:
    allowed = ALLOWED.get(str(path.relative_to(ROOT)), set())
    found = set(dangers(path.read_text(encoding="utf-8"))) - allowed
    assert not found, f"{path}: {found}"


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "eval('1')", "np.load(a, allow_pickle=True)",
     "f(shell=True)", "f(allow_pickle=True)", "os.system('ls')", "yaml.load(x)",
     "tf.py_function(f)", "keras.models.load_model(x, safe_mode=False)"],
)  # fmt: skip
def test_the_search_finds_dangerous_code(text: str) -> None:
    assert dangers(text)


def dangers(text: str) -> list[str]:
    """Return the forbidden modules, calls and arguments of a source."""
    found = []
    for node in ast.walk(ast.parse(text)):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        found += [name for name in names if name.split(".")[0] in MODULES]
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            found += [called] * (called in CALLS)
            given = [
                (k.arg, k.value.value) for k in node.keywords if isinstance(k.value, ast.Constant)
            ]
            found += [f"{name}={value!r}" for name, value in given if (name, value) in ARGUMENTS]
    return found


# Packages.


def hostile_package(folder: Path, members: list[tarfile.TarInfo]) -> Path:
    """Write a Debian package with these files byte by byte, since dpkg-deb refuses to make one."""

    def packed(entries: list[tuple[tarfile.TarInfo, bytes]]) -> bytes:
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:gz") as archive:
            for info, content in entries:
                info.size = len(content)
                archive.addfile(info, io.BytesIO(content))
        return made.getvalue()

    control = b"Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.invalid>\n"
    control += b"Description: a thing\n"
    files = [(info, b"evil" if info.isreg() else b"") for info in members]
    parts = {
        "debian-binary": b"2.0\n",
        "control.tar.gz": packed([(tarfile.TarInfo("./control"), control)]),
        "data.tar.gz": packed(files),
    }
    package = b"!<arch>\n"
    for name, content in parts.items():
        head = f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n"
        package += head.encode()
        package += content + b"\n" * (len(content) % 2)
    path = folder / "thing_1_all.deb"
    path.write_bytes(package)
    return path


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")
@pytest.mark.parametrize(
    "members",
    [
        [member("../outside")],
        [member("./a/../../outside")],
        [member("{tmp}/outside")],
        [member("./link", tarfile.SYMTYPE, ".."), member("./link/outside")],
        [member("./link", tarfile.SYMTYPE, "{tmp}"), member("./link/outside")],
        [member("./link", tarfile.SYMTYPE, "{tmp}/victim"), member("./link")],
        [member("./link", tarfile.LNKTYPE, "../victim"), member("./link")],
        [member("./link", tarfile.LNKTYPE, "{tmp}/victim"), member("./link")],
    ],
    ids=lambda members: " ".join(f"{m.name} {m.linkname}".strip() for m in members),
)
def test_a_hostile_package_writes_nothing_outside_of_its_directory(
    members: list[tarfile.TarInfo], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for info in members:
        info.name = info.name.replace("{tmp}", str(tmp_path))
        info.linkname = info.linkname.replace("{tmp}", str(tmp_path))
    (tmp_path / "victim").write_text("as it was")
    package = hostile_package(tmp_path, members)
    programs = tmp_path / "programs"
    programs.mkdir()
    # This apt-get delivers what a hostile mirror would.
    (programs / "apt-get").write_text(f"#!/bin/sh\ncp {package} .\n")
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:/usr/bin:/bin")
    before = {*tmp_path.iterdir()} | {tmp_path / "into"}
    try:
        unpack_package("thing", tmp_path / "into")
    except DebianPackageError as error:
        assert "\n" not in str(error)
    assert {*tmp_path.iterdir()} <= before
    assert (tmp_path / "victim").read_text() == "as it was"


# Records of other people's runs.


@pytest.mark.parametrize("model", ["../mlp", "/etc", "mlp/../..", "", "mlp\0", ".", "MLP"])
def test_a_foreign_record_can_name_known_models_only(model: str, tmp_path: Path) -> None:
    write_record(tmp_path, {"settings": {"model": model}, "data": {}})
    with pytest.raises(ConfigError, match="model must be .*"):
        from_settings(read_record(tmp_path)["settings"])


@pytest.mark.parametrize(
    "settings", [{"callbacks": ["os.system"]}, {"epochs": "__import__('os')"}, {"lr": 1e400}]
)
def test_a_foreign_record_can_have_known_settings_only(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    write_record(tmp_path, {"settings": settings, "data": {}})
    with pytest.raises(ConfigError, match=f"^{next(iter(settings))}(: no such setting| must be )"):
        from_settings(read_record(tmp_path)["settings"])


# Downloads.


class Elsewhere(BaseHTTPRequestHandler):
    """Redirects every request to the address in the class."""

    address = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("to", ["file://{secret}", "ftp://127.0.0.1:9/a", "gopher://x/", "{loop}"])
def test_a_download_follows_no_redirect_to_files_and_no_endless_one(
    tmp_path: Path, to: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("secret")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Elsewhere)
    url = f"http://127.0.0.1:{server.server_port}/houses.csv"
    Elsewhere.address = to.format(secret=secret, loop=url)
    thread = Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        with pytest.raises(DownloadError, match="can't be fetched"):
            download(url, tmp_path / "data")
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
    assert not any((tmp_path / "data").glob("*"))


@pytest.mark.parametrize("url", ["file:///etc/passwd", "http://h/..%2F..%2F", "http://h/%2e%2e"])
def test_a_download_needs_an_http_address_and_stays_in_its_folder(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="must be http"):
        download(url, tmp_path)
