"""Resolve pyproject.toml anew into the locks: each package with its version and hashes, no host.

    .venv/bin/python .ci/lock.py

requirements.txt has what training needs; the others have what they add to it.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

from bootstrap import GROUPS, ROOT, TOOLS, VENV, variables

TOOLS_WANTED = "setuptools>=77\nuv>=0.9\n"
OPTIONS = (
    *("--universal", "--python-version=3.11", "--generate-hashes", "--quiet"),
    *("--no-header", "--no-annotate", "--no-emit-index-url", "--no-emit-find-links"),
)
ADDITIONAL = ("UV_INDEX", "UV_EXTRA_INDEX_URL", "UV_FIND_LINKS")
HEADER = "# Made by `make lock` from pyproject.toml; not to be edited.\n"
ON_A_PC = "sys_platform == 'linux' and platform_machine == 'x86_64'"
ELSEWHERE = "sys_platform != 'linux' or platform_machine != 'x86_64'"


def main() -> None:
    """Write all locks, or none if an error occurs."""
    with tempfile.TemporaryDirectory() as folder:
        locks = resolve(Path(folder))
    for name, text in locks.items():
        (ROOT / name).write_text(HEADER + text, encoding="utf-8")


def resolve(folder: Path) -> dict[str, str]:
    """Returns each lock's text by its name; `folder` is for what uv reads."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tensorflow = next(each for each in project["dependencies"] if re.match("tensorflow[<>=]", each))
    # On a PC, .venv gets TensorFlow's CPU build: a download of 0.3 instead of 0.6 GB, and 0.6 GB
    # less of disk. The other build has CUDA kernels besides, which need NVIDIA's libraries.
    cpu, other, tools, all_pins = (folder / name for name in ("cpu", "other", "tools", "pins"))
    cpu.write_text(f"{tensorflow.replace('tensorflow', 'tensorflow-cpu')}; {ON_A_PC}\n")
    other.write_text(f"{tensorflow}; {ELSEWHERE}\n")
    tools.write_text(TOOLS_WANTED)
    source = ["pyproject.toml", str(cpu), f"--overrides={other}"]
    # The other extras, as and-cuda, are for users: no environment of the project has them.
    extras = [extra for extra in project["optional-dependencies"] if extra in GROUPS]
    # All together first, so that a package has one version in all of the locks.
    all_pins.write_text(compiled(*source, str(tools), *(f"--extra={each}" for each in extras)))
    constraint = f"--constraints={all_pins}"
    base = compiled(*source, constraint)
    known = pins(base)
    locks = {TOOLS: compiled(str(tools), constraint), GROUPS["train"].lock: base}
    for extra in extras:
        extended = [*source, constraint, f"--extra={extra}"]
        # A package that is needed on more platforms than in the base is locked here as well.
        same = [
            name for name, lines in pins(compiled(*extended)).items() if known.get(name) == lines
        ]
        omit = [f"--no-emit-package={name}" for name in same]
        locks[GROUPS[extra].lock] = compiled(*extended, *omit)
    return locks


def compiled(*arguments: str) -> str:
    """Returns the lock that uv makes of these sources and options."""
    command = [str(VENV / "bin/uv"), "pip", "compile", *OPTIONS, *arguments]
    # Without additional indexes: of a package that one of them has, only its files were locked.
    env = {name: value for name, value in variables().items() if name not in ADDITIONAL}
    done = subprocess.run(command, cwd=ROOT, env=env, stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit("lock: nothing was changed; uv says above why.")
    return done.stdout


def pins(lock: str) -> dict[str, list[str]]:
    """Returns each package's lines with version and platforms."""
    found: dict[str, list[str]] = {}
    for line, name in re.findall(r"^(([a-z0-9-]+)==.*)", lock, re.MULTILINE):
        found.setdefault(name, []).append(line)
    return found


if __name__ == "__main__":
    main()
