"""The set-up of .venv: what it installs, when it starts anew, and what stops it."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

from tests.support import ROOT, ci_module

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
GROUPS = ("test", "notebook", "docs", "setup")
NAMES = ("requirements", *(f"requirements-{group}" for group in GROUPS))


class Clone:
    """A clone in a directory of its own, whose installers are only written down."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bootstrap = ci_module("bootstrap")
        self.root = root
        self.venv = root / ".venv"
        self.stamp = self.venv / ".complete"
        for name in NAMES:
            (root / f"{name}.txt").write_text("six==1.17\n")
        self.pyproject = root / "pyproject.toml"
        self.pyproject.write_text(PROJECT)
        for name, value in {
            "ROOT": root,
            "VENV": self.venv,
            "STAMP": self.stamp,
            "run": self.run,
            "find_pip": lambda: "/usr/lib/pip",
        }.items():
            monkeypatch.setattr(self.bootstrap, name, value)
        monkeypatch.setattr("shutil.which", lambda _: None)
        self.commands: list[str] = []
        self.failing = ""

    def run(self, *command: str) -> None:
        """Stands in for the installers: writes the call down, and fails if told to."""
        self.commands.append(" ".join(command).replace(f"{self.venv}/bin/", ""))
        if self.failing and self.failing in self.commands[-1]:
            sys.exit("this failed, see above")

    def make(self, *groups: str) -> list[str]:
        """One call of the set-up; returns the installers that it started."""
        self.commands = []
        self.bootstrap.main(["train", *groups])
        return self.commands

    def refusal(self) -> str:
        """Returns what a call says that must fail."""
        with pytest.raises(SystemExit) as stopped:
            self.make()
        return str(stopped.value)


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Clone:
    root = tmp_path / "a clöne"
    root.mkdir()
    return Clone(root, monkeypatch)


def test_the_first_call_installs_by_hash_and_links_the_clone_without_an_index(clone: Clone) -> None:
    tools, packages, link, imports = clone.make()
    hashed = "install --no-deps --require-hashes -r"
    assert tools == f"python /usr/lib/pip {hashed} requirements-setup.txt --ignore-installed"
    assert packages.startswith(f"uv pip {hashed} requirements.txt --python ")
    assert "--no-build-isolation" in packages
    assert link.startswith("uv pip install --no-deps --no-index ")
    assert link.endswith(f"--editable {clone.root}")
    assert imports.startswith("python -c import keras")


def test_the_second_call_installs_nothing(clone: Clone) -> None:
    clone.make()
    assert not clone.make()


def test_tests_and_notebooks_are_added_to_what_training_has(
    clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    clone.make()
    added = clone.make("test")
    assert [re.findall(r"requirements\S*", command) for command in added] == [
        ["requirements-test.txt"],
        [],  # the imports
    ]
    assert re.search(r"packages for test: .*about \d\.\d GB.* \d\.\d GB", capsys.readouterr().out)
    assert not clone.make("test")
    assert "requirements-notebook.txt" in clone.make("test", "notebook")[0]
    assert not clone.make("notebook")
    assert not clone.make()


@pytest.mark.parametrize(
    ("change", "anew"),
    [
        (lambda clone: (clone.root / "requirements.txt").write_text("six==1.18\n"), True),
        (lambda clone: (clone.root / "requirements-setup.txt").write_text("uv==1\n"), True),
        (lambda clone: clone.pyproject.write_text(PROJECT.replace("tiny", "small")), True),
        (lambda clone: (clone.venv / "bin/python").unlink(), True),
        (lambda clone: clone.stamp.write_text(""), True),  # killed while writing it
        (lambda clone: clone.stamp.write_text(clone.stamp.read_text()[:-1]), True),
        (lambda clone: clone.pyproject.write_text(PROJECT.replace("100", "88")), False),
    ],
    ids=[
        "lock",
        "uv",
        "metadata",
        "its Python gone",
        "no stamp",
        "half a stamp",
        "ruff's settings",
    ],
)
def test_only_what_shapes_the_environment_makes_it_anew(
    clone: Clone, change: Callable[[Clone], object], anew: bool
) -> None:
    clone.make()
    change(clone)
    assert len(clone.make()) == (4 if anew else 0)


@pytest.mark.parametrize(("version", "same"), [((3, 11, 99), True), ((3, 12, 0), False)])
def test_a_security_update_of_python_keeps_the_environment(
    clone: Clone, monkeypatch: pytest.MonkeyPatch, version: tuple[int, int, int], same: bool
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 11, 2))
    before = clone.bootstrap.key()
    monkeypatch.setattr(sys, "version_info", version)
    assert (clone.bootstrap.key() == before) == same


@pytest.mark.parametrize("failing", ["setup.txt", "requirements.txt", "--editable", "import keras"])
def test_a_set_up_that_failed_is_repaired_by_the_next_call(clone: Clone, failing: str) -> None:
    clone.failing = failing
    assert clone.refusal() == "this failed, see above"
    assert not clone.stamp.exists()
    clone.failing = ""
    assert len(clone.make()) == 4
    assert not clone.make()


def test_after_an_interrupted_addition_everything_is_made_anew(clone: Clone) -> None:
    clone.make()
    clone.failing = "requirements-test.txt"
    with pytest.raises(SystemExit):
        clone.make("test")
    clone.failing = ""
    assert len(clone.make()) == 4


def test_a_half_cleared_environment_has_no_stamp(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    clone.make()

    def interrupted(*_: object, **__: object) -> NoReturn:
        raise KeyboardInterrupt

    lock = clone.root / "requirements.txt"
    with monkeypatch.context() as patched:
        patched.setattr(clone.bootstrap.venv, "create", interrupted)
        lock.write_text("six==1.18\n")
        assert "interrupted" in clone.refusal()
    # The old lock again: what is left of its environment must not pass for complete.
    lock.write_text("six==1.17\n")
    assert len(clone.make()) == 4


def test_a_program_that_outlives_the_set_up_keeps_the_next_one_waiting(
    clone: Clone, capsys: pytest.CaptureFixture[str]
) -> None:
    with (clone.root / ".venv.lock").open("w") as first:
        clone.bootstrap.wait_for(first.fileno())
        program = subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, close_fds=False
        )
    assert not capsys.readouterr().err
    with (clone.root / ".venv.lock").open("w") as second:
        with pytest.raises(BlockingIOError):
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        program.communicate(b"\n")
        fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_call_that_waited_installs_only_what_is_still_missing(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def the_other_one_ends(_: int) -> None:
        monkeypatch.setattr(clone.bootstrap, "wait_for", lambda _: None)
        clone.bootstrap.main(["train"])
        clone.commands = []

    monkeypatch.setattr(clone.bootstrap, "wait_for", the_other_one_ends)
    assert not clone.make()


# Obtaining uv.


def test_the_uv_in_path_installs_the_locked_one(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shutil.which", lambda name: f"/opt/{name}")
    tools, packages, *_ = clone.make()
    assert tools.startswith("/opt/uv pip install --no-deps --require-hashes -r requirements-setup")
    assert packages.startswith("uv pip install")


def test_without_uv_and_pip_debians_package_is_fetched(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.basics import debian

    def unpack(name: str, into: Path) -> None:
        assert name == "python3-pip-whl"
        monkeypatch.setattr(clone.bootstrap, "find_pip", lambda: f"{into}/pip-23.whl/pip")

    monkeypatch.setattr(clone.bootstrap, "find_pip", lambda: "")
    monkeypatch.setattr(debian, "unpack_package", unpack)
    assert clone.make()[0].startswith(f"python {clone.venv}/pip-23.whl/pip install")


def test_where_debians_pip_cannot_be_had_one_line_says_so(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    from pipelines.basics import debian

    def refused(*_: object) -> NoReturn:
        raise debian.DebianPackageError("the network is away.")

    monkeypatch.setattr(clone.bootstrap, "find_pip", lambda: "")
    monkeypatch.setattr(debian, "unpack_package", refused)
    refusal = clone.refusal()
    assert re.fullmatch(r"setup: there is neither uv nor pip, .*away\. .*as root helps\.", refusal)


def test_nothing_but_the_standard_library_is_needed_to_start() -> None:
    program = (
        f"import runpy, sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "import pipelines.basics.debian\n"
        f"print(runpy.run_path({str(ROOT / '.ci/bootstrap.py')!r})['find_pip']())"
    )
    # -S leaves site-packages out: this finds the pip that comes with Python, if there is one.
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True
    )
    assert re.fullmatch(r"(.*/pip-\d.*\.whl/pip)?\n", done.stdout)


@pytest.fixture
def settings_of(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], dict[str, str]]:
    """Gives the installers' environment where pip lists these settings."""

    def variables(listing: str) -> dict[str, str]:
        pip = clone.root / "pip"
        pip.mkdir()
        (pip / "__main__.py").write_text(f"print({listing!r})")
        monkeypatch.setattr(clone.bootstrap, "find_pip", lambda: str(pip))
        return dict(clone.bootstrap.variables())

    return variables


def test_uv_takes_files_from_where_pip_does(
    settings_of: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("UV_DEFAULT_INDEX", "UV_INDEX", "UV_FIND_LINKS", "SSL_CERT_FILE"):
        monkeypatch.delenv(name, raising=False)
    found = settings_of(
        ":env:.index-url='https://c.example'\nglobal.cert='/a.pem'\n"
        "global.extra-index-url='\\nhttps://d.example\\nhttps://e.example'\n"
        "global.index-url='https://a.example'\nglobal.timeout='9'\n"
        "install.find-links='/one /two'\ninstall.index-url='https://b.example'\n"
    )
    assert found["UV_DEFAULT_INDEX"] == "https://c.example"
    assert found["UV_INDEX"] == "https://d.example https://e.example"
    assert found["UV_FIND_LINKS"] == "/one,/two"
    assert found["SSL_CERT_FILE"] == "/a.pem"


def test_uvs_own_variables_outweigh_pips_settings(
    settings_of: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://mine.example")
    monkeypatch.setenv("PYTHONPATH", "/elsewhere")
    found = settings_of("global.index-url='https://a.example'")
    assert found["UV_DEFAULT_INDEX"] == "https://mine.example"
    assert "PYTHONPATH" not in found


def test_without_a_home_of_ones_own_uvs_cache_is_in_the_environment(
    settings_of: Callable[[str], dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("UV_CACHE_DIR", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nowhere"))
    assert settings_of("")["UV_CACHE_DIR"].endswith("/.venv/cache")


# Errors.


def test_an_installer_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    root = tmp_path / "clone"
    root.mkdir()
    with monkeypatch.context() as patched:
        bootstrap = Clone(root, patched).bootstrap
    monkeypatch.setattr(bootstrap, "ROOT", root)
    bootstrap.run(sys.executable, "-c", "print('all is well')")
    assert capfd.readouterr() == ("", "")  # a log gets no progress
    with pytest.raises(SystemExit) as stopped:
        bootstrap.run(sys.executable, "-c", "import sys; sys.exit('no such index')")
    assert re.fullmatch("no such index\nsetup: this failed, .*network.*", str(stopped.value))


def test_a_python_too_old_is_named(clone: Clone, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 10, 12))
    assert re.search(r"3\.11 to 3\.13 is needed; .+ is \d.*make PYTHON=", clone.refusal())


def test_a_path_that_venv_refuses_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "10:30"
    root.mkdir()
    refusal = Clone(root, monkeypatch).refusal()
    assert f"a colon or a line break; this clone is {str(root)!r}" in refusal
    assert not (root / ".venv").exists()


def test_a_directory_of_another_user_is_named(
    clone: Clone, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object, **__: object) -> NoReturn:
        raise PermissionError(13, "Permission denied", str(clone.venv))

    monkeypatch.setattr(clone.bootstrap.venv, "create", refused)
    refusal = clone.refusal()
    assert f"Permission denied: '{clone.venv}'" in refusal
    assert "make clean" in refusal


@pytest.mark.long  # It downloads half a gigabyte unless uv's cache has it.
def test_a_real_set_up_recovers_from_a_kill_and_is_then_complete(tmp_path: Path) -> None:
    clone = tmp_path / "a clöne"
    subprocess.run(["git", "clone", "--quiet", ROOT, clone], check=True)
    python = clone / ".venv/bin/python"
    command = [sys.executable, ".ci/bootstrap.py"]
    killed = subprocess.Popen(command, cwd=clone, start_new_session=True)
    while not (clone / ".venv/bin/uv").exists():
        assert killed.poll() is None
    os.killpg(killed.pid, 9)
    killed.wait()
    subprocess.run(command, cwd=clone, check=True)
    code = "import tensorflow, tfd2l, importlib.util as u; print(u.find_spec('pytest'))"
    found = subprocess.run([python, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout == "None\n"
    # A call that installs anything says so.
    again = subprocess.run(command, cwd=clone, check=True, capture_output=True)
    assert (again.stdout, again.stderr) == (b"", b"")
