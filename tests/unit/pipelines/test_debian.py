"""pipelines/basics/debian.py: with a fake apt-get, and with the real one if there is one."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipelines.basics.debian import DebianPackageError, unpack_package
from tests.support import ROOT

# Small (11 kB) and in every Debian.
SMALL = "hostname"

needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory that comes first on the PATH."""
    directory = tmp_path / "programs"
    directory.mkdir()
    monkeypatch.setenv("PATH", f"{directory}:{os.environ['PATH']}")
    return directory


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """A real package, made here, with one file."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: thing\nVersion: 1\nArchitecture: all\nMaintainer: A <a@b.invalid>\n"
        "Description: a thing\n"
    )
    (tree / "usr/share/thing").mkdir(parents=True)
    (tree / "usr/share/thing/data").write_text("the data")
    path = tmp_path / "thing_1_all.deb"
    subprocess.run(["dpkg-deb", "--build", tree, path], check=True, capture_output=True)
    return path


def stand_in(programs: Path, script: str, name: str = "apt-get") -> Path:
    """Replace a program by a shell script; the returned file has the arguments of each call."""
    notes = programs / f"{name}.notes"
    (programs / name).write_text(f'#!/bin/sh\necho "$@" >>{notes}\n{script}\n')
    (programs / name).chmod(0o755)
    notes.touch()
    return notes


@needs_dpkg
def test_a_package_is_unpacked_and_nothing_else_is_left(
    tmp_path: Path, programs: Path, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    notes = stand_in(programs, f"cp {package} .")
    unpack_package("thing", tmp_path / "a" / "b")
    assert (tmp_path / "a/b/usr/share/thing/data").read_text() == "the data"
    assert len(notes.read_text().splitlines()) == 1
    assert list((tmp_path / "temporary").iterdir()) == []


@needs_dpkg
def test_with_missing_or_stale_lists_it_makes_its_own_lists(
    tmp_path: Path, programs: Path, package: Path
) -> None:
    notes = stand_in(
        programs,
        'case "$*" in *Dir::State::lists=*) ;; *) echo "E: 404 Not Found"; exit 100;; esac\n'
        f'case "$*" in *update) exit 0;; esac\ncp {package} .',
    )
    unpack_package("thing", tmp_path / "into")
    assert (tmp_path / "into/usr/share/thing/data").exists()
    first, update, second = notes.read_text().splitlines()
    assert first.endswith("download thing")
    assert update.endswith("update")
    assert second.endswith("download thing")
    assert "Dir::Cache=" in update


@needs_dpkg
def test_every_call_of_apt_keeps_signatures_on(tmp_path: Path, programs: Path) -> None:
    notes = stand_in(programs, "exit 100")
    with pytest.raises(DebianPackageError):
        unpack_package("thing", tmp_path / "into")
    calls = notes.read_text().splitlines()
    assert len(calls) == 3
    for call in calls:
        assert "APT::Get::AllowUnauthenticated=false" in call
        assert "Acquire::AllowInsecureRepositories=false" in call


@needs_dpkg
def test_a_partial_download_is_not_unpacked(tmp_path: Path, programs: Path, package: Path) -> None:
    stand_in(programs, f'cp {package} .; echo "E: Connection reset."; exit 100')
    with pytest.raises(DebianPackageError, match=r"thing can't be had: Connection reset\. "):
        unpack_package("thing", tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


@needs_dpkg
def test_the_error_has_apt_s_reasons_for_the_download_and_the_lists(
    tmp_path: Path, programs: Path
) -> None:
    stand_in(
        programs,
        'case "$*" in *update) echo "Err:1 x"; echo "W: Failed to fetch x: no route.";;\n'
        '*) echo "Reading"; echo "E: Unable to locate package thing"; exit 100;; esac',
    )
    with pytest.raises(DebianPackageError) as caught:
        unpack_package("thing", tmp_path / "into")
    assert str(caught.value) == (
        "package thing can't be had: Unable to locate package thing; Failed to fetch x: no route. "
        "Check its name, the network and the sources in /etc/apt."
    )


@pytest.mark.slow
@needs_dpkg
def test_a_mirror_that_never_answers_takes_bounded_time(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "sleep 300")
    with pytest.raises(DebianPackageError, match="package thing: apt-get took longer than"):
        unpack_package("thing", tmp_path / "into", timeout_s=1)


@needs_dpkg
def test_a_damaged_package_is_an_error(tmp_path: Path, programs: Path, package: Path) -> None:
    package.write_bytes(package.read_bytes()[:-40])
    stand_in(programs, f"cp {package} .")
    with pytest.raises(DebianPackageError, match="package thing: "):
        unpack_package("thing", tmp_path / "into")


@needs_dpkg
def test_a_download_that_leaves_nothing_is_an_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "exit 0")
    with pytest.raises(DebianPackageError, match="succeeded, but left no package"):
        unpack_package("thing", tmp_path / "into")


@needs_dpkg
def test_a_directory_that_can_not_be_made_is_an_error(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, "exit 0")
    (tmp_path / "file").touch()
    with pytest.raises(DebianPackageError, match=r"package thing: .*Not a directory"):
        unpack_package("thing", tmp_path / "file" / "into")


@pytest.mark.parametrize("missing", ["apt-get", "dpkg-deb"])
def test_without_debian_s_programs_the_error_names_the_missing_one(
    tmp_path: Path, programs: Path, missing: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in {"apt-get", "dpkg-deb"} - {missing}:
        stand_in(programs, "exit 0", name)
    monkeypatch.setenv("PATH", str(programs))
    with pytest.raises(DebianPackageError, match=f"{missing} is needed to unpack thing"):
        unpack_package("thing", tmp_path / "into")


@pytest.mark.parametrize("name", ["", "a", "-o=x", "../thing", "Thing", "a b", "thing=1", "x\n"])
def test_a_bad_package_name_never_reaches_apt(name: str, tmp_path: Path, programs: Path) -> None:
    notes = stand_in(programs, "exit 0")
    with pytest.raises(DebianPackageError, match="package's name has") as caught:
        unpack_package(name, tmp_path / "into")
    assert repr(name) in str(caught.value)
    assert notes.read_text() == ""


def command(*arguments: str | Path) -> list[str]:
    # -S: without installed packages, as on a machine where nothing is set up yet.
    return [sys.executable, "-S", "-m", "pipelines.basics.debian", *map(str, arguments)]


def test_a_failed_command_exits_with_2_and_one_line(tmp_path: Path, programs: Path) -> None:
    stand_in(programs, 'echo "E: Unable to locate package thing"; exit 100')
    stand_in(programs, "exit 0", "dpkg-deb")
    done = subprocess.run(
        command("thing", tmp_path / "into"), cwd=ROOT, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.startswith("error: package thing can't be had: Unable to locate")


@pytest.fixture(scope="module")
def mirror() -> None:
    """Skips where there is no apt, or where its mirror can't be reached."""
    if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
        pytest.skip("no apt-get and dpkg-deb here")
    listed = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(URI)"],
        capture_output=True, text=True, timeout=60, check=False,
    ).stdout.split()  # fmt: skip
    if not listed:
        pytest.skip("apt has no sources here")
    try:
        with urllib.request.urlopen(listed[0], timeout=10):
            pass
    except urllib.error.HTTPError:
        pass  # It answers; the list itself has another name there, as it is compressed.
    except OSError as error:
        pytest.skip(f"the mirror of {listed[0]} can't be reached: {error}")


@pytest.fixture
def open_directory() -> Iterator[Path]:
    """A directory that every user can write to, with a copy of the library."""
    with tempfile.TemporaryDirectory(prefix="debian-test-", dir="/tmp") as directory:
        Path(directory).chmod(0o777)
        shutil.copytree(
            ROOT / "pipelines",
            Path(directory) / "pipelines",
            ignore=shutil.ignore_patterns("__pycache__"),
        )
        yield Path(directory)


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
@pytest.mark.parametrize(
    ("user", "lists"),
    [
        ("the same user", "the machine's lists"),
        pytest.param("the same user", "empty lists", marks=pytest.mark.long),
        pytest.param("an ordinary user", "the machine's lists", marks=pytest.mark.long),
        ("an ordinary user", "empty lists"),
    ],
)
def test_the_real_mirror_gives_a_real_package(open_directory: Path, user: str, lists: str) -> None:
    environment = {**os.environ, "TMPDIR": "/tmp"}
    if lists == "empty lists":
        (open_directory / "lists/partial").mkdir(parents=True)
        configuration = open_directory / "apt.conf"
        configuration.write_text(f'Dir::State::lists "{open_directory}/lists";\n')
        environment["APT_CONFIG"] = str(configuration)
    python = sys.executable
    become: dict[str, Any] = {}
    if user == "an ordinary user":
        if os.geteuid() != 0:
            pytest.skip("only root can become an ordinary user; the other case is one already")
        python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
        become = {"user": "nobody", "group": "nogroup", "extra_groups": []}
    done = subprocess.run(
        [python, "-S", "-m", "pipelines.basics.debian", SMALL, str(open_directory / "into")],
        cwd=open_directory, env=environment, capture_output=True, text=True, timeout=200, **become,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    copyright_file = open_directory / "into/usr/share/doc" / SMALL / "copyright"
    assert copyright_file.stat().st_size > 0
    if lists == "empty lists":
        assert [path.name for path in (open_directory / "lists").iterdir()] == ["partial"]
    if user == "an ordinary user":
        assert copyright_file.owner() == "nobody"


@pytest.mark.slow
@pytest.mark.usefixtures("mirror")
def test_the_real_mirror_has_no_package_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(DebianPackageError, match="Unable to locate package no-such-thing-at-all"):
        unpack_package("no-such-thing-at-all", tmp_path)
