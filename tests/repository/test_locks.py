"""The locks: each package by version and hash, from no particular host, one version in all."""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from tests.support import ROOT, ci_module

LOCKS = {path.name: path.read_text(encoding="utf-8") for path in ROOT.glob("requirements*.txt")}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# These are for users: no environment of the project has them, so none is locked.
FOR_USERS = {"and-cuda", "grpc"}
EXTRAS = {
    name: requirements
    for name, requirements in PROJECT["optional-dependencies"].items()
    if name not in FOR_USERS
}


def pinned(name: str) -> dict[str, set[str]]:
    """The versions of each package in a lock."""
    versions: dict[str, set[str]] = {}
    for package, version in re.findall(r"^([a-z0-9-]+)==(\S+)", LOCKS[name], re.MULTILINE):
        versions.setdefault(package, set()).add(version)
    return versions


def names(requirements: list[str]) -> set[str]:
    return {re.split(r"[^\w.-]", requirement)[0] for requirement in requirements}


@pytest.mark.parametrize("lock", sorted(LOCKS))
def test_a_lock_pins_every_package_by_hash_and_names_no_host(lock: str) -> None:
    lines = [line for line in LOCKS[lock].splitlines() if not line.startswith("#")]
    packages = [line for line in lines if not line.startswith(" ")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[\w.+!]+( ; [^\\]+)? \\", line) for line in packages)
    hashes = [line for line in lines if line.startswith(" ")]
    assert all(re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line) for line in hashes)
    # The last hash of a package has no backslash: one for each package.
    assert len([line for line in hashes if not line.endswith("\\")]) == len(packages) > 1


def test_a_package_has_the_same_versions_in_all_locks() -> None:
    seen: dict[str, set[str]] = {}
    for lock in LOCKS:
        for package, versions in pinned(lock).items():
            assert seen.setdefault(package, versions) == versions


def test_training_has_what_the_project_requires_and_no_tools() -> None:
    train = set(pinned("requirements.txt"))
    assert names(PROJECT["dependencies"]) | {"tensorflow-cpu"} <= train
    for extra in EXTRAS.values():
        assert not names(extra) & train


@pytest.mark.parametrize("extra", sorted(EXTRAS))
def test_a_further_lock_has_what_its_extra_adds(extra: str) -> None:
    added = set(pinned(f"requirements-{extra}.txt"))
    assert names(EXTRAS[extra]) <= added
    assert not added & {"tensorflow", "tensorflow-cpu", "numpy", "keras"}


def test_uv_and_what_builds_sources_are_locked_too() -> None:
    assert set(pinned("requirements-setup.txt")) == {"setuptools", "uv"}
    assert (
        pinned("requirements-setup.txt")["setuptools"] == pinned("requirements.txt")["setuptools"]
    )


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(ROOT / ".ci")
    module = ci_module("lock")
    monkeypatch.delitem(sys.modules, "bootstrap")
    return module


def test_a_package_of_the_base_is_locked_again_only_for_more_platforms(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls: list[list[str]] = []

    def compiled(*arguments: str) -> str:
        """A resolver where colorama is for Windows alone, but everywhere with the extra `test`."""
        calls.append([each for each in arguments if each.startswith("--no-emit")])
        marker = "" if "--extra=test" in arguments else " ; sys_platform == 'win32'"
        return f"colorama==0.4{marker} \\\nnumpy==2.4 ; a \\\nnumpy==2.5 ; b \\\n"

    monkeypatch.setattr(lock, "compiled", compiled)
    locks = lock.resolve(tmp_path)
    assert set(locks) == set(LOCKS)
    test, *others = [call for call in calls if call]
    assert test == ["--no-emit-package=numpy"]
    assert others == [["--no-emit-package=colorama", "--no-emit-package=numpy"]] * 2


def test_only_the_machines_with_a_cpu_build_lock_it(
    lock: ModuleType, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(lock, "compiled", lambda *_: "")
    lock.resolve(tmp_path)
    on_a_pc = "sys_platform == 'linux' and platform_machine == 'x86_64'"
    assert (tmp_path / "cpu").read_text() == f"tensorflow-cpu>=2.21,<2.22; {on_a_pc}\n"
    elsewhere = on_a_pc.replace("==", "!=").replace("and", "or")
    assert (tmp_path / "other").read_text() == f"tensorflow>=2.21,<2.22; {elsewhere}\n"
