"""What others send or leave lying about: disguised programs, paths that lead elsewhere, floods."""

from __future__ import annotations

import ast
import io
import shutil
import sys
import tarfile
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests

from pipelines.basics.debian import DebianPackageError, unpack_package
from tests.support.floods import GoodClient, Target, flood, half_sent
from tfd2l.book.downloads import DownloadError, download
from tfd2l.serve import command as serve
from tfd2l.train.config import ConfigError, from_settings
from tfd2l.train.records import read_record, write_record

sys.path.append(str(Path(__file__).parents[1] / "unit"))
from tests.support.served import Server, export_models, running

ROOT = Path(__file__).parents[2]
SOURCES = sorted(
    path
    for folder in ("pipelines", "tfd2l", "benchmarks", ".ci")
    for path in (ROOT / folder).rglob("*.py")
    if ".environments" not in path.parts
)

# Modules that run what they read, or make what others would run.
MODULES = {"pickle", "cPickle", "_pickle", "marshal", "shelve", "dill", "joblib", "cloudpickle"}
CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "yaml.load",
    "tf.py_function", "tf.numpy_function", "pd.read_pickle", "keras.models.load_model",
    "keras.saving.load_model", "keras.config.enable_unsafe_deserialization", "tarfile.open",
    "zipfile.ZipFile", "shutil.unpack_archive", "tempfile.mktemp",
}  # fmt: skip
ARGUMENTS = {("shell", True), ("allow_pickle", True), ("safe_mode", False), ("verify", False)}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_runs_what_it_reads(path: Path) -> None:
    found = dangers(path.read_text(encoding="utf-8"))
    assert not found, f"{path}: {found}"


@pytest.mark.parametrize(
    "text",
    ["import pickle", "from joblib import load", "eval('1')", "np.load(a, allow_pickle=True)",
     "f(shell=True)", "f(allow_pickle=True)", "os.system('ls')", "yaml.load(x)",
     "tf.py_function(f)", "keras.models.load_model(x, safe_mode=False)"],
)  # fmt: skip
def test_the_search_for_it_would_find_it(text: str) -> None:
    assert dangers(text)


def dangers(text: str) -> list[str]:
    """Modules, calls and arguments in a source that there must not be."""
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
    """A Debian package with these files, written by hand: dpkg-deb makes no such one."""

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
    # In place of a mirror that somebody broke into.
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


# Settings of others.


@pytest.mark.parametrize("model", ["../mlp", "/etc", "mlp/../..", "", "mlp\0", ".", "MLP"])
def test_the_record_of_a_foreign_run_can_name_known_models_only(model: str, tmp_path: Path) -> None:
    write_record(tmp_path, {"settings": {"model": model}, "data": {}})
    with pytest.raises(ConfigError, match="--model: .*'mlp'"):
        from_settings(read_record(tmp_path)["settings"])


@pytest.mark.parametrize(
    "settings", [{"callbacks": ["os.system"]}, {"epochs": "__import__('os')"}, {"lr": 1e400}]
)
def test_the_record_of_a_foreign_run_has_nothing_but_known_settings(
    settings: dict[str, Any], tmp_path: Path
) -> None:
    write_record(tmp_path, {"settings": settings, "data": {}})
    with pytest.raises(ConfigError, match=f"--{next(iter(settings))}: "):
        from_settings(read_record(tmp_path)["settings"])


# Downloads.


class Elsewhere(BaseHTTPRequestHandler):
    """Sends everybody to the address that is in the class."""

    address = ""

    def do_GET(self) -> None:
        self.send_response(302)
        self.send_header("Location", self.address)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on the terminal."""


@pytest.mark.parametrize("to", ["file://{secret}", "ftp://127.0.0.1:9/a", "gopher://x/", "{loop}"])
def test_a_download_follows_no_redirect_to_files_or_without_an_end(tmp_path: Path, to: str) -> None:
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
def test_a_download_is_of_http_and_stays_in_its_folder(tmp_path: Path, url: str) -> None:
    with pytest.raises(DownloadError, match="must be http"):
        download(url, tmp_path)


# The development server.


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = export_models(tmp_path_factory.mktemp("models"))
    (base.parent / "outside" / "1").mkdir(parents=True)
    return Path(base)


@pytest.fixture(scope="module")
def server(models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    flags = [str(models), "--stand-in", "--port", "0", "--idle-seconds", "1"]
    log = tmp_path_factory.mktemp("log") / "log"
    with running(["-m", "tfd2l.serve", *flags], log) as server:
        yield server
        server.process.terminate()
        assert server.process.wait(60) == 0
        assert "Traceback" not in server.log


@pytest.fixture
def target(server: Server) -> Target:
    return Target(server.port, server.process.pid)


def test_it_listens_on_this_machine_alone_and_says_when_told_otherwise(
    server: Server, models: Path, tmp_path: Path
) -> None:
    assert server.url.startswith("http://127.0.0.1:")
    assert "no password" not in server.log
    flags = [str(models), "--stand-in", "--port", "0", "--host", "0.0.0.0"]
    with running(["-m", "tfd2l.serve", *flags], tmp_path / "other") as other:
        assert "asks for no password and encrypts nothing" in other.log


@pytest.mark.parametrize(
    "name",
    ["..%2Foutside", "../outside", "%2e%2e/outside", "linear%2F..%2F..%2Foutside", "%00", "..",
     "linear%00", "%2Fetc", "a" * 5000],
)  # fmt: skip
def test_no_model_name_leads_out_of_the_models_directory(server: Server, name: str) -> None:
    for rest in (f"{name}/metadata", f"{name}/versions/1", f"{name}:predict"):
        # As it is: the library would resolve the points.
        request = requests.Request("GET" if ":" not in rest else "POST", server.url, data=b"{}")
        prepared = request.prepare()
        prepared.url = f"{server.url}/v1/models/{rest}"
        with requests.Session() as session:
            answer = session.send(prepared, timeout=60)
        assert answer.status_code in (400, 404), answer.text
        assert "error" in answer.json()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Origin": "http://{host}"}, 200),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example", "Origin": "http://evil.example"}, 403),
        ({"Host": "evil.example"}, 403),
    ],
)
def test_pages_of_other_sites_can_ask_no_model(
    server: Server, headers: dict[str, str], status: int
) -> None:
    given = {key: value.format(host=server.url[7:]) for key, value in headers.items()}
    url = f"{server.url}/v1/models/linear:predict"
    answer = requests.post(url, data=b'{"instances": [[1, 1]]}', headers=given, timeout=60)
    assert answer.status_code == status
    assert "Access-Control-Allow-Origin" not in answer.headers


BOMBS = [
    b'{"instances": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
    b'{"instances": ' + b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"}",
    b'{"instances": ' + b"[" * 60 + b"1" + b"]" * 60 + b"}",
    b'{"instances": [[1e400, 1]]}',
    b'{"instances": [[' + b"9" * 100_000 + b", 1]]}",
    b'{"instances": [[1, 1]], "instances": ' + b"[" * 100_000,
    b'{"instances": [' + b"[]," * 300_000 + b"[]]}",
    b'{"instances": [[1, 1]], "signature_name": "' + b"a" * 1_000_000 + b'"}',
    b"\xff\xfe" * 500_000,
]


def test_no_json_text_harms_it(target: Target) -> None:
    target.ask()
    before = target.memory_mib()
    for bomb in BOMBS:
        for _ in range(3):
            answer = requests.post(target.url, data=bomb, timeout=60)
            assert answer.status_code in (400, 404), answer.text[:200]
            assert len(answer.json()["error"]) < 1000
    target.ask()
    assert target.memory_mib() - before < 100


def test_hundreds_of_half_sent_requests_hold_up_nobody(target: Target) -> None:
    target.ask()
    before = target.memory_mib()
    with ExitStack() as stack, GoodClient(target).asking() as good:
        half_sent(target, 600, stack)
        inside = target.memory_mib()
    assert not good.faults
    assert inside - before < 50


@pytest.mark.slow
def test_a_flood_of_connections_and_requests_is_answered_in_bounded_memory(target: Target) -> None:
    target.ask()
    before = target.memory_mib()
    with GoodClient(target).asking() as good:
        flood(target, 5000)
        with ExitStack() as stack:
            # Twice as many as it takes at a time.
            half_sent(target, 2000, stack)
            target.ask()
    assert not good.faults
    assert target.memory_mib() - before < 60


@pytest.mark.long
def test_a_long_flood_leaves_no_trace(target: Target, capsys: pytest.CaptureFixture[str]) -> None:
    target.ask()
    figures = [target.memory_mib()]
    with GoodClient(target).asking() as good:
        for _ in range(5):
            flood(target, 10_000)
            with ExitStack() as stack:
                half_sent(target, 2000, stack)
                target.ask()
            figures.append(target.memory_mib())
    assert not good.faults
    # What the first round needed is used again by the later ones.
    assert figures[-1] - figures[1] < 20
    waits = sorted(good.waits_s)
    with capsys.disabled():
        print("MiB in memory:", [round(figure) for figure in figures])
        print(f"a good client: {len(waits)} answers, median {waits[len(waits) // 2] * 1e3:.1f} ms, "
              f"longest {waits[-1]:.2f} s")  # fmt: skip


def test_a_port_below_is_not_asked_for_and_the_default_host_is_this_machine() -> None:
    flags = serve._parser().parse_args([])
    assert (serve.DEFAULTS["host"], flags.port) == ("127.0.0.1", 8501)
