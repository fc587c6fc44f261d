"""The Dockerfile, read by its own grammar: no container engine runs where the tests do."""

from __future__ import annotations

import re
import shlex
import tomllib

from tests.support import ROOT
from tfd2l.deploy.training_job import JobSettings

INSTRUCTIONS = [
    shlex.split(line)
    for line in (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    if line and not line.startswith("#")
]


def test_the_image_has_the_locked_packages_and_all_of_the_library() -> None:
    copied = [path for name, *paths in INSTRUCTIONS if name == "COPY" for path in paths[:-1]]
    assert all((ROOT / path).exists() for path in copied)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    packages = {
        name.strip("*") for name in project["tool"]["setuptools"]["packages"]["find"]["include"]
    }
    assert packages | {"requirements.txt", "pyproject.toml", "README.md", "LICENSE"} == {*copied}
    # The build sees nothing else.
    allowed = (ROOT / ".dockerignore").read_text(encoding="utf-8").split("\n")
    assert {line[1:] for line in allowed if line.startswith("!")} == {*copied}
    assert "*" in allowed


def test_it_runs_as_the_user_of_the_jobs_on_a_python_that_the_project_supports() -> None:
    assert {name for name, *_ in INSTRUCTIONS} == {"FROM", "WORKDIR", "COPY", "RUN", "USER", "CMD"}
    [user] = [words for name, *words in INSTRUCTIONS if name == "USER"]
    assert user == [f"{JobSettings().user}:{JobSettings().user}"]
    [[image]] = [words for name, *words in INSTRUCTIONS if name == "FROM"]
    version = re.fullmatch(r"python:3\.(\d+)-slim", image)
    assert version is not None
    assert 11 <= int(version[1]) < 14
