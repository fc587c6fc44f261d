"""Set up .venv from the hashed locks, with nothing but Python 3.11 to start from.

    python3 .ci/bootstrap.py [test] [notebook] [docs]

The packages for training are always installed; the arguments add those for tests, notebooks
and the documentation site.
When .venv is complete, a call takes milliseconds and needs no network. uv does the work; the uv in
PATH, or else any pip, first installs the locked uv. This file imports the standard library only.
"""

from __future__ import annotations

import ast
import fcntl
import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import venv
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
# A hash of what .venv depends on, then the installed groups. It is written last: an environment
# without it was interrupted, and is made anew.
STAMP = VENV / ".complete"
# uv itself, and the setuptools that builds the packages that come as source.
TOOLS = "requirements-setup.txt"


class Group(NamedTuple):
    """Packages that are installed together; the GB were measured on x86-64 with Python 3.11."""

    lock: str
    download_gb: float
    disk_gb: float
    # What is imported once, so that its bytecode is there also if PYTHONDONTWRITEBYTECODE is set:
    # without it, each start that imports TensorFlow takes 5 s more. All bytecode would take 12 s
    # and 0.2 GB.
    imports: str


GROUPS = {
    "train": Group(
        "requirements.txt",
        0.47,
        2.0,
        "keras, matplotlib.pyplot, pandas, pydantic, rich.progress, tensorflow, werkzeug",
    ),
    "test": Group("requirements-test.txt", 0.12, 0.5, "hypothesis, ipykernel.kernelapp, pytest"),
    "notebook": Group("requirements-notebook.txt", 0.05, 0.2, "jupyterlab.labapp"),
    "docs": Group("requirements-docs.txt", 0.05, 0.2, "myst_nb, pydata_sphinx_theme"),
}
# uv does not read pip's settings: it gets them in variables of its own.
UV_NAMES = {
    "index-url": "UV_DEFAULT_INDEX",
    "extra-index-url": "UV_INDEX",
    "find-links": "UV_FIND_LINKS",
    "cert": "SSL_CERT_FILE",
    "proxy": "ALL_PROXY",
    "trusted-host": "UV_INSECURE_HOST",
}
# A user's settings that would send files elsewhere, or bring in others.
UNWANTED = (
    "PIP_PREFIX", "PIP_ROOT", "PIP_TARGET", "PIP_USER",
    "PYTHONDONTWRITEBYTECODE", "PYTHONHOME", "PYTHONPATH",
)  # fmt: skip


def main(groups: list[str]) -> None:
    """Set up the missing ones of these groups; a SystemExit says what prevents it."""
    if not (3, 11) <= sys.version_info[:2] < (3, 14):
        sys.exit(
            f"setup: Python 3.11 to 3.13 is needed; {sys.executable} is {sys.version.split()[0]}. "
            "Name another with `make PYTHON=/path/to/python3.11`."
        )
    if set(str(ROOT)) & set(":\n"):
        sys.exit(
            "setup: venv and setuptools can't work in a path with a colon or a line break; this "
            f"clone is {str(ROOT)!r}. Move it to another directory."
        )
    try:
        if missing(groups):
            with (ROOT / ".venv.lock").open("w") as lock:
                wait_for(lock.fileno())
                set_up(missing(groups))
    except OSError as error:
        sys.exit(
            f"setup: {error}. It needs about 2 GB of disk, and .venv must be yours: a set-up as "
            "root leaves one that only root can change (`make clean` as root removes it)."
        )
    except KeyboardInterrupt:
        sys.exit("setup: interrupted; the next call begins anew")


def missing(groups: list[str]) -> list[str]:
    """Returns the groups that .venv lacks: all of them if it is incomplete or out of date."""
    made = STAMP.read_text().split() if STAMP.exists() and (VENV / "bin/python").exists() else []
    return [group for group in groups if made[:1] != [key()] or group not in made]


def key() -> str:
    """Returns a hash of what .venv depends on: the locks, the metadata, Python and the place."""
    import tomllib  # an older Python, which main() refuses in its own words, lacks it

    locks = [
        (ROOT / name).read_bytes() for name in (TOOLS, *(each.lock for each in GROUPS.values()))
    ]
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    # The other tools' settings change nothing that is installed.
    metadata = [settings["build-system"], settings["project"], settings["tool"]["setuptools"]]
    # Without the third number of Python's version: a security update keeps the environment.
    parts = [locks, metadata, sys.version_info[:2], str(ROOT)]
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def wait_for(lock: int) -> None:
    """Lock the open file as soon as no other set-up of this clone holds it."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("setup: waiting for another set-up of this clone", file=sys.stderr, flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)
    # The installers hold the lock too, and alone if this process is killed: one that lives on
    # must end before the next set-up may clear the directory that it writes to.
    os.set_inheritable(lock, True)


def set_up(groups: list[str]) -> None:
    """Install these groups: into a new .venv if "train" is among them."""
    if not groups:  # the set-up that this one waited for has made them
        return
    wanted = [GROUPS[group] for group in groups]
    print(
        f"setup: installing the packages for {' and '.join(groups)}: this downloads about "
        f"{sum(each.download_gb for each in wanted):.1f} GB, less what uv's cache has, and keeps "
        f"about {sum(each.disk_gb for each in wanted):.1f} GB in .venv",
        flush=True,
    )
    done = key() if "train" in groups else STAMP.read_text()
    # First, so that a kill from here on leaves nothing that passes for complete.
    STAMP.unlink(missing_ok=True)
    python, uv = str(VENV / "bin/python"), str(VENV / "bin/uv")
    hashed = ["install", "--no-deps", "--require-hashes", "-r"]
    if "train" in groups:
        venv.create(VENV, clear=True, symlinks=True)
        if found := shutil.which("uv"):
            run(found, "pip", *hashed, TOOLS, "--python", python)
        else:
            # A pip outside of .venv brings the packages beside it into view, which don't count.
            run(python, find_pip() or fetch_pip(), *hashed, TOOLS, "--ignore-installed")
    # The locked setuptools builds what comes as source, so that hashes cover all code that runs.
    options = ["--python", python, "--no-build-isolation"]
    for each in wanted:
        run(uv, "pip", *hashed, each.lock, *options)
    if "train" in groups:
        run(uv, "pip", "install", "--no-deps", "--no-index", *options, "--editable", str(ROOT))
    for each in wanted:
        run(python, "-c", f"import {each.imports}")
    STAMP.write_text(" ".join([done, *groups]))


def run(*command: str) -> None:
    """Run an installer; a terminal shows the last line of its output, and an error all of it."""
    written: list[str] = []
    # close_fds=False hands on the lock, see `wait_for`.
    with subprocess.Popen(
        command, cwd=ROOT, env=variables(), close_fds=False,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
    ) as program:  # fmt: skip
        for line in program.stdout or ():
            written.append(line.rstrip())
            if sys.stdout.isatty():
                print(f"\r\033[K{written[-1][:79]}\r", end="", flush=True)
    if sys.stdout.isatty():
        print("\033[K", end="", flush=True)
    if program.returncode:
        sys.exit(
            "\n".join(written) + "\nsetup: this failed, see above. The first set-up needs the "
            "network; the next call begins anew."
        )


@cache
def variables() -> dict[str, str]:
    """Returns an installer's environment: pip's settings under uv's names, then the user's own."""
    command = [sys.executable, find_pip(), "config", "list"]
    listing = subprocess.run(command, capture_output=True, text=True).stdout if command[1] else ""
    # pip lists its environment variables first, but they outweigh its files.
    lines = sorted(listing.splitlines(), key=lambda line: line.startswith(":env:"))
    # Hashes cover each file, so it may come from any of several indexes.
    settings = {"UV_INDEX_STRATEGY": "unsafe-best-match"}
    for line in lines:
        found = re.fullmatch(r"(?:global|install|:env:)\.([a-z-]+)=(.*)", line)
        if found and found[1] in UV_NAMES:
            name, value = found.groups()
            separator = "," if name == "find-links" else " "
            settings[UV_NAMES[name]] = separator.join(ast.literal_eval(value).split())
    if not os.access(Path.home(), os.W_OK):
        settings["UV_CACHE_DIR"] = str(VENV / "cache")
    return settings | {name: os.environ[name] for name in os.environ if name not in UNWANTED}


def find_pip() -> str:
    """Returns the folder of a pip, which Python can run in a wheel too; "" if there is none."""
    if (found := importlib.util.find_spec("pip")) and found.origin:
        return str(Path(found.origin).parent)
    debian = "usr/share/python-wheels/pip-*.whl"
    places = [(Path(os.__file__).parent, "ensurepip/_bundled/pip-*.whl"), (Path("/"), debian)]
    wheels = [wheel for place, name in [*places, (VENV, debian)] for wheel in place.glob(name)]
    return str(wheels[0] / "pip") if wheels else ""


def fetch_pip() -> str:
    """Returns the pip of a package of Debian's, whose Python has none; this needs no root."""
    sys.path.insert(0, str(ROOT))
    from pipelines.basics.debian import DebianPackageError, unpack_package

    try:
        unpack_package("python3-pip-whl", VENV)
    except DebianPackageError as error:
        sys.exit(
            f"setup: there is neither uv nor pip, and Debian's pip can't be fetched: {error} "
            "`apt-get install python3-pip` as root helps."
        )
    variables.cache_clear()  # this pip knows the machine's settings
    return find_pip()


if __name__ == "__main__":
    main(["train", *sys.argv[1:]])
