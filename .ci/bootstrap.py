"""Set up .venv from requirements.txt, with nothing but Python 3.11 to start from.

The standard library only: this runs before anything is installed. Without the network it is a
matter of milliseconds when .venv is complete, and fails with the reason when it is not.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
# Written last: an environment without it was interrupted half-way and is made anew.
STAMP = VENV / ".complete"
PYTHONS = ((3, 11), (3, 14))
WHEELS = Path("usr/share/python-wheels")


class SetupError(Exception):
    """The environment can't be set up; the text says why and what to do."""


def main() -> int:
    """Set up, or with --lock resolve anew; gives the exit status."""
    try:
        if not PYTHONS[0] <= sys.version_info[:2] < PYTHONS[1]:
            raise SetupError(
                f"Python 3.11 to 3.13 is needed; {sys.executable} is {sys.version.split()[0]}. "
                "Name another with `make PYTHON=/path/to/python3.11`."
            )
        if "--lock" in sys.argv[1:]:
            resolve()
        elif not is_complete():
            # One at a time: two makes in one clone would take each other's files away.
            with (ROOT / ".venv.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)
                if not is_complete():
                    set_up()
    except SetupError as error:
        print(f"setup: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("setup: interrupted; the next call begins anew", file=sys.stderr)
        return 130
    return 0


def key() -> str:
    """What an environment depends on: the locked packages, the metadata, Python, the place."""
    import tomllib  # not in a Python too old, which main() is to say in its own words

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # Of the tools' settings, only the packaging's: the others change nothing that is installed.
    metadata = [settings["build-system"], settings["project"], settings["tool"]["setuptools"]]
    parts = [LOCK.read_text(encoding="utf-8"), json.dumps(metadata), sys.version, str(ROOT)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_complete() -> bool:
    """Whether .venv is whole and is what requirements.txt asks for."""
    return STAMP.is_file() and STAMP.read_text() == key()


def set_up() -> None:
    """Make .venv from nothing, so that no left-over of another one can be in it."""
    print("setup: making .venv from requirements.txt (it takes a few minutes)", flush=True)
    with tempfile.TemporaryDirectory() as directory:
        has_pip = importlib.util.find_spec("ensurepip") is not None
        venv.create(VENV, clear=True, with_pip=has_pip, symlinks=True)
        pip = ["-m", "pip"] if has_pip else [str(_debians_pip(Path(directory)))]
        options = ["--disable-pip-version-check", "--no-input", "--quiet"]
        _python(*pip, "install", *options, "--require-hashes", "-r", str(LOCK))
        # The project itself, linked: setuptools is among the locked packages.
        linked = ["--no-index", "--no-build-isolation", "--no-deps", "--editable", str(ROOT)]
        _python(*pip, "install", *options, *linked)
    STAMP.write_text(key())


def resolve() -> None:
    """Write requirements.txt anew: every package with its version and hashes, and no host."""
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--upgrade"]
    names = ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--all-extras", "-q"]
    _python("-m", "uv", "pip", "compile", *options, *names, "pyproject.toml", "-o", LOCK.name)


def _python(*arguments: str) -> None:
    """Run the environment's Python; its output is the user's to see.

    Raises:
        SetupError: it failed.
    """
    process = subprocess.run([str(VENV / "bin/python"), *arguments], cwd=ROOT)
    if process.returncode:
        raise SetupError(
            f"`{' '.join(arguments[:3])}` failed, see above. The first set-up needs the network "
            "and about 3 GB of disk; the next call begins anew."
        )


def _debians_pip(directory: Path) -> Path:
    """Pip from Debian's own package, where Python comes without it; needs no root.

    Raises:
        SetupError: it can't be had that way.
    """
    sys.path.insert(0, str(ROOT))
    from pipelines.debian import DebianPackageError, unpack_package

    installed = sorted(Path("/", WHEELS).glob("pip-*.whl"))
    if not installed:
        try:
            unpack_package("python3-pip-whl", directory)
        except DebianPackageError as error:
            raise SetupError(
                f"this Python has no pip, and Debian's can't be fetched: {error} "
                "`apt-get install python3-venv` as root helps."
            ) from error
        installed = sorted((directory / WHEELS).glob("pip-*.whl"))
    if not installed:
        raise SetupError("this Python has no pip; `apt-get install python3-venv` as root helps.")
    # Python runs what lies in an archive: the wheel's own package `pip`.
    return installed[-1] / "pip"


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
