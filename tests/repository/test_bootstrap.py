"""The set-up of .venv: when it is made anew, what stops it, and what the lock pins."""

from __future__ import annotations

import fcntl
import importlib.util
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NoReturn

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
LOCK = (REPOSITORY / "requirements.txt").read_text(encoding="utf-8")
PROJECT = """
[build-system]
requires = ["setuptools"]
[project]
name = "tiny"
[tool.setuptools]
packages = []
[tool.ruff]
line-length = 100
"""
SETUPTOOLS = "setuptools==80.0 \\\n    --hash=sha256:12 \\\n    --hash=sha256:34\n    # via tiny\n"


class Clone:
    """A clone in a directory of its own, where installing is only written down."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        path = REPOSITORY / ".ci/bootstrap.py"
        spec = importlib.util.spec_from_file_location("bootstrap", path)
        assert spec is not None
        assert spec.loader is not None
        self.bootstrap: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.bootstrap)
        self.root = root
        self.venv = root / ".venv"
        self.stamp = self.venv / ".complete"
        self.lock = root / "requirements.txt"
        self.lock.write_text(SETUPTOOLS)
        self.pyproject = root / "pyproject.toml"
        self.pyproject.write_text(PROJECT)
        monkeypatch.setattr(sys, "argv", ["bootstrap.py"])
        for name, value in {
            "ROOT": root,
            "VENV": self.venv,
            "LOCK": self.lock,
            "STAMP": self.stamp,
            "SCRATCH": self.venv / "tmp",
            "HAS_ENSUREPIP": True,
            "_python": self.python,
        }.items():
            monkeypatch.setattr(self.bootstrap, name, value)
        self.commands: list[tuple[str, ...]] = []
        self.failing = ""

    def python(self, *arguments: str) -> int:
        """Stands in for the environment's Python: fails if told to, and writes down the call."""
        self.commands.append(arguments)
        return int(bool(self.failing) and self.failing in arguments)

    def make(self) -> int:
        """One call of the set-up; gives the exit status."""
        return int(self.bootstrap.main())

    def is_made_anew(self) -> bool:
        """Whether one more call, which succeeds, installs anything."""
        before = len(self.commands)
        assert self.make() == 0
        return len(self.commands) > before


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    root = tmp_path / "a clone"
    root.mkdir()
    return Clone(root, monkeypatch)


def test_the_second_call_installs_nothing(clone: Clone) -> None:
    assert clone.is_made_anew()
    assert not clone.is_made_anew()


def test_everything_is_installed_by_hash_or_from_the_clone(clone: Clone) -> None:
    clone.make()
    installs = [command for command in clone.commands if "install" in command]
    assert len(installs) == 3  # setuptools, the lock, the clone
    assert all("--require-hashes" in command or "--no-index" in command for command in installs)
    assert not list(clone.venv.glob("tmp*"))


def test_without_ensurepip_debians_wheel_installs_itself(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    wheel = Path("/usr/share/python-wheels/pip-23.0.1-py3-none-any.whl")
    monkeypatch.setattr(clone.bootstrap, "HAS_ENSUREPIP", False)
    monkeypatch.setattr(clone.bootstrap, "_debians_pip", lambda: wheel)
    assert clone.make() == 0
    first = clone.commands[0]
    assert (first[0], first[-1]) == (f"{wheel}/pip", str(wheel))
    assert not any("ensurepip" in command for command in clone.commands)


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (lambda clone: clone.lock.write_text(SETUPTOOLS.replace("80.0", "81.0")), True),
        (lambda clone: clone.pyproject.write_text(PROJECT.replace("tiny", "small")), True),
        (lambda clone: (clone.venv / "bin/python").unlink(), True),
        (lambda clone: clone.stamp.write_text(""), True),  # killed while writing it
        (lambda clone: clone.pyproject.write_text(PROJECT.replace("100", "88")), False),
    ],
    ids=["lock", "metadata", "its Python gone", "empty stamp", "ruff's settings"],
)
def test_only_what_shapes_the_environment_makes_it_anew(
    clone: Clone, change: Callable[[Clone], object], anew: bool
) -> None:
    clone.make()
    change(clone)
    assert clone.is_made_anew() == anew


@pytest.mark.parametrize(("version", "same"), [((3, 11, 99), True), ((3, 12, 0), False)])
def test_a_security_update_of_python_keeps_the_environment(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], same: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    before = clone.bootstrap.key()
    monkeypatch.setattr(sys, "version_info", version)
    assert (clone.bootstrap.key() == before) == same


@pytest.mark.parametrize("failing", ["ensurepip", "--no-deps", "--editable"])
def test_a_set_up_that_failed_is_repaired_by_the_next_call(
    clone: Clone, capsys: pytest.CaptureFixture[str], failing: str
) -> None:
    clone.failing = failing
    assert clone.make() == 2
    assert "failed, see above" in capsys.readouterr().err
    assert not clone.stamp.exists()
    clone.failing = ""
    assert clone.is_made_anew()


def test_a_half_cleared_environment_has_no_stamp(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.make()
    old_lock = clone.lock.read_text()

    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(clone.bootstrap.venv, "create", interrupted)
        clone.lock.write_text(old_lock.replace("80.0", "81.0"))
        assert clone.make() == 130
    # The old lock again: what is left of its environment must not pass for whole.
    clone.lock.write_text(old_lock)
    assert clone.is_made_anew()


def test_a_program_that_outlives_the_set_up_keeps_the_next_one_waiting(clone: Clone) -> None:
    with clone.bootstrap._one_at_a_time():
        program = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    with (clone.root / ".venv.lock").open("w") as lock:
        with pytest.raises(BlockingIOError):
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        program.communicate(b"\n")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_python_too_old_is_named(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert clone.make() == 2
    assert re.search(r"3\.11 to 3\.13 is needed; .+ is \d.*make PYTHON=", capsys.readouterr().err)


def test_a_path_that_setuptools_would_misread_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "$HOME of mine"
    root.mkdir()
    assert Clone(root, monkeypatch).make() == 2
    error = capsys.readouterr().err
    assert f"in a path with '$'; this clone is {str(root)!r}" in error
    assert len(error.splitlines()) == 1


def test_a_directory_of_another_user_is_named(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(clone.venv))

    monkeypatch.setattr(clone.bootstrap.venv, "create", refused)
    assert clone.make() == 2
    error = capsys.readouterr().err
    assert f"Permission denied: '{clone.venv}'" in error
    assert "make clean" in error


def test_one_package_is_read_from_the_lock_with_its_hashes(clone: Clone) -> None:
    clone.lock.write_text(f"rich==1 \\\n    --hash=sha256:56\n{SETUPTOOLS}six==1.17\n")
    assert clone.bootstrap._locked("setuptools") == SETUPTOOLS.removesuffix("    # via tiny\n")
    with pytest.raises(clone.bootstrap.SetupError, match="no wheel"):
        clone.bootstrap._locked("wheel")


def test_the_lock_pins_every_package_by_hash_and_names_no_host() -> None:
    lines = [line for line in LOCK.splitlines() if not line.lstrip().startswith("#")]
    packages = [line for line in lines if not line.startswith(" ")]
    assert all(re.match(r"[a-z0-9.-]+==\S+ (; .+ )?\\$", line) for line in packages)
    hashes = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    # The last hash of a package has no backslash: one for each package.
    assert len([line for line in hashes if not line.endswith("\\")]) == len(packages)


def test_the_lock_has_what_the_project_asks_for() -> None:
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    wanted = sum(project["optional-dependencies"].values(), start=project["dependencies"])
    names = {re.split(r"[^\w.-]", requirement)[0] for requirement in wanted}
    assert names <= set(re.findall(r"^([a-z0-9.-]+)==", LOCK, re.MULTILINE))
