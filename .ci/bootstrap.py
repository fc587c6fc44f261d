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
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
LOCK = ROOT / "requirements.txt"
# Written last: an environment without it was interrupted half-way and is made anew.
STAMP = VENV / ".complete"
# Inside, so that what a killed set-up leaves behind (TensorFlow's file alone has 600 MB) goes with
# it, and because /tmp may be small.
SCRATCH = VENV / "tmp"
PYTHONS = ((3, 11), (3, 14))
# Debian cuts it out of its Python.
HAS_ENSUREPIP = importlib.util.find_spec("ensurepip") is not None
WHEELS = Path("usr/share/python-wheels")
# The first separates the directories in PATH; setuptools replaces names behind the second.
UNFIT = frozenset(":$\n")
# A user's settings that would send packages elsewhere, or bring in others.
UNWANTED = ("PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PYTHONHOME", "PYTHONPATH")


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
        else:
            ensure(is_complete)
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
    # Not the third number of Python's version: a security update of 3.11 leaves 3.11's packages
    # as they are, and may come when there is no network.
    version = list(sys.version_info[:2])
    parts = [LOCK.read_text(encoding="utf-8"), json.dumps([metadata, version]), str(ROOT)]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()


def is_whole() -> bool:
    """Whether .venv was set up to the end, for whatever lock, and its Python is still there."""
    return STAMP.is_file() and (VENV / "bin/python").exists()


def is_complete() -> bool:
    """Whether .venv is whole and is what requirements.txt asks for."""
    return is_whole() and STAMP.read_text() == key()


def ensure(is_enough: Callable[[], bool]) -> None:
    """Set up unless `is_enough` says that what is there will do.

    Raises:
        SetupError: it could not be done.
    """
    try:
        if is_enough():
            return
        with _one_at_a_time():
            if not is_enough():
                set_up()
    except OSError as error:
        raise SetupError(
            f"{error}. It needs about 5 GB of disk, and .venv must be yours: a set-up as root "
            "leaves one that only root can change (`make clean` as root removes it)."
        ) from error


def set_up() -> None:
    """Make .venv from nothing, so that no left-over of another one can be in it."""
    unfit = sorted(set(str(ROOT)) & UNFIT)
    if unfit:
        raise SetupError(
            f"setuptools and venv can't work in a path with {' or '.join(map(repr, unfit))}; "
            f"this clone is {str(ROOT)!r}. Move it to another directory."
        )
    print("setup: making .venv from requirements.txt (it takes a few minutes)", flush=True)
    # First, lest a kill while the old one is cleared leaves a part of it with its stamp.
    STAMP.unlink(missing_ok=True)
    venv.create(VENV, clear=True, symlinks=True)
    SCRATCH.mkdir()
    _add_pip()
    # Packages that come as source are built with the locked setuptools, not with the newest: the
    # hashes are to cover all that runs here. The project itself is linked with it, too.
    tools = SCRATCH / "build-tools.txt"
    tools.write_text(_locked("setuptools"), encoding="utf-8")
    _pip("--no-deps", "--require-hashes", "-r", str(tools))
    build = ["--no-build-isolation", "--use-pep517"]
    _pip(*build, "--require-hashes", "-r", str(LOCK))
    _pip(*build, "--no-index", "--no-deps", "--editable", str(ROOT))
    shutil.rmtree(SCRATCH)
    STAMP.write_text(key())


def resolve() -> None:
    """Write requirements.txt anew: every package with its version and hashes, and no host.

    Raises:
        SetupError: no versions fit together, or the network is away.
    """
    # For uv. Any whole environment has it, so a pyproject.toml just changed needs no new one yet.
    ensure(is_whole)
    options = ["--universal", "--python-version", "3.11", "--generate-hashes", "--upgrade"]
    names = ["--no-header", "--no-emit-index-url", "--no-emit-find-links", "--all-extras", "-q"]
    source = ["--no-config", "pyproject.toml", "-o", LOCK.name]
    if _python("-m", "uv", "pip", "compile", *options, *names, *source):
        raise SetupError("requirements.txt was not resolved, see above.")


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Wait until no other set-up of this clone is at work, and keep others waiting."""
    with (ROOT / ".venv.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("setup: waiting for another set-up of this clone", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        # The programs started below hold the lock with us, and alone if we are killed: a pip that
        # lives on must end before the next set-up may clear what it writes to.
        os.set_inheritable(lock.fileno(), True)
        yield


def _locked(name: str) -> str:
    """The lines of requirements.txt for one package, with its hashes."""
    text = LOCK.read_text(encoding="utf-8")
    found = re.search(rf"^{re.escape(name)}==(?:.*\\\n)*.*\n", text, re.MULTILINE)
    if found is None:
        raise SetupError(f"requirements.txt has no {name}; `git checkout requirements.txt` helps.")
    return found[0]


def _pip(*arguments: str) -> None:
    """Install with the environment's pip.

    Raises:
        SetupError: it failed.
    """
    # Whoever looks on sees how far it is; a log gets the errors only.
    quiet = [] if sys.stdout.isatty() else ["--quiet"]
    options = ["--disable-pip-version-check", "--no-input", *quiet]
    if _python("-m", "pip", "install", *options, *arguments):
        raise SetupError(
            "pip failed, see above. The first set-up needs the network and about 5 GB of disk; "
            "the next call begins anew."
        )


def _python(*arguments: str) -> int:
    """Run the environment's Python and give its status; its output is the user's to see."""
    env = {name: value for name, value in os.environ.items() if name not in UNWANTED}
    env |= {"PIP_USER": "0", "TMPDIR": str(SCRATCH)} if SCRATCH.is_dir() else {}
    # close_fds=False passes on what is inheritable: beside the three streams, the lock.
    command = [str(VENV / "bin/python"), *arguments]
    return subprocess.run(command, cwd=ROOT, env=env, close_fds=False).returncode


def _add_pip() -> None:
    """Pip into the new environment: Python's own copy or, where that is cut out, Debian's.

    Raises:
        SetupError: it can't be had either way.
    """
    if HAS_ENSUREPIP:
        if _python("-m", "ensurepip", "--default-pip"):
            raise SetupError("this Python's ensurepip failed, see above; another Python may help.")
        return
    wheel = _debians_pip()
    # Python runs what lies in an archive: here the wheel's own package `pip`, to install itself.
    if _python(str(wheel / "pip"), "install", "-q", "--no-index", "--no-deps", str(wheel)):
        raise SetupError("Debian's pip failed, see above; `apt-get install python3-venv` may help.")


def _debians_pip() -> Path:
    """The wheel of pip from Debian's own package; needs no root.

    Raises:
        SetupError: it can't be had that way.
    """
    sys.path.insert(0, str(ROOT))
    from pipelines.basics.debian import DebianPackageError, unpack_package

    installed = sorted(Path("/", WHEELS).glob("pip-*.whl"))
    if not installed:
        try:
            unpack_package("python3-pip-whl", SCRATCH)
        except DebianPackageError as error:
            raise SetupError(
                f"this Python has no pip, and Debian's can't be fetched: {error} "
                "`apt-get install python3-venv` as root helps."
            ) from error
        installed = sorted((SCRATCH / WHEELS).glob("pip-*.whl"))
    if not installed:
        raise SetupError("this Python has no pip; `apt-get install python3-venv` as root helps.")
    return installed[-1]


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main())
