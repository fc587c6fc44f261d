"""Gets a Debian package and unpacks it, without root and without installing it.

It needs the standard library alone, so it runs before any environment exists.

    python3 -m pipelines.basics.debian PACKAGE INTO
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from pipelines.basics.errors import Tfd2lError
from pipelines.basics.processes import Outcome, ProgramError, run

__all__ = ["TIMEOUT_S", "DebianPackageError", "main", "unpack_package"]

# Enough for a package of 30 MB and 9 MB of lists at 300 kB/s, with a reserve.
TIMEOUT_S = 180.0
_NAME = re.compile(r"[a-z0-9][a-z0-9+.-]+")
_OPTIONS = (
    # A server that does not answer must leave time for the others.
    "-o=Acquire::http::Timeout=15",
    "-o=Acquire::https::Timeout=15",
    "-o=Acquire::Retries=1",
    # Check signatures, whatever the machine's own settings say.
    "-o=APT::Get::AllowUnauthenticated=false",
    "-o=Acquire::AllowInsecureRepositories=false",
)


class DebianPackageError(Tfd2lError):
    """A Debian package can't be fetched or unpacked."""


def unpack_package(name: str, into: Path, *, timeout_s: float = TIMEOUT_S) -> None:
    """Get the Debian package `name` from the machine's mirror and unpack its files below `into`.

    It tries the machine's package lists first. If they are missing or out of date, it makes lists
    of its own in a temporary directory. apt checks the signature of the lists and, by them, the
    package. Nothing is installed, and the package's scripts do not run.

    Args:
        name: e.g. "dataset-fashion-mnist".
        into: a directory, made if need be. After an error it may hold some of the files.
        timeout_s: seconds for all steps together.

    Raises:
        DebianPackageError: the package, apt, a mirror, time or disk space is missing.
    """
    if not _NAME.fullmatch(name):
        raise DebianPackageError(
            "a Debian package's name has lower case letters, digits and + - . and starts with a "
            f"letter or digit; got {name!r}."
        )
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DebianPackageError(
                f"{program} is needed to unpack {name}, and this machine has none. It belongs to "
                "Debian and its relatives; elsewhere, get the files in another way."
            )
    deadline = time.monotonic() + timeout_s
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="debian-package-") as work:
            package = _download(name, Path(work), deadline)
            command = ["dpkg-deb", "-x", str(package), str(into.resolve())]
            outcome = run(command, timeout_s=deadline - time.monotonic())
    except (OSError, ProgramError) as error:
        raise DebianPackageError(f"package {name}: {error}.") from error
    if outcome.status != 0:
        raise DebianPackageError(f"package {name}: {_complaint(outcome)}.")


def _download(name: str, work: Path, deadline: float) -> Path:
    """Download the package's file below `work`, and return its path."""
    by_machine, by_own = work / "by-machines-lists", work / "by-own-lists"
    first = _apt_get("download", name, cwd=by_machine, deadline=deadline)
    if first.status == 0:
        return _package(by_machine)
    options = _private_lists(work)
    update = _apt_get("update", options=options, cwd=by_own, deadline=deadline)
    # Its status is ignored: an unrelated source may be away. The download shows if it was needed.
    second = _apt_get("download", name, options=options, cwd=by_own, deadline=deadline)
    if second.status == 0:
        return _package(by_own)
    reasons = [_complaint(outcome) for outcome in (second, update, first)]
    raise DebianPackageError(
        f"package {name} can't be had: {'; '.join(dict.fromkeys(filter(None, reasons)))}. "
        "Check its name, the network and the sources in /etc/apt."
    )


def _private_lists(work: Path) -> tuple[str, ...]:
    """Return apt's options for separate lists and caches below `work`."""
    for directory in ("lists/partial", "cache/archives/partial"):
        (work / directory).mkdir(parents=True)
    return (
        f"-o=Dir::State={work}",
        f"-o=Dir::State::lists={work}/lists",
        f"-o=Dir::Cache={work}/cache",
        # Neither descriptions nor file lists are needed to find a package.
        "-o=Acquire::Languages=none",
        "-o=Acquire::IndexTargets::deb::Contents-deb::DefaultEnabled=false",
        "-o=Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false",
    )


def _apt_get(*arguments: str, options: Sequence[str] = (), cwd: Path, deadline: float) -> Outcome:
    cwd.mkdir(exist_ok=True)
    command = ["apt-get", "-q", *_OPTIONS, *options, *arguments]
    # `_complaint` reads the messages, in English.
    env = {"LC_ALL": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"}
    return run(command, timeout_s=deadline - time.monotonic(), cwd=cwd, env=env)


def _package(directory: Path) -> Path:
    """Return the file that a successful download has left."""
    for package in directory.glob("*.deb"):
        return package
    raise DebianPackageError(f"apt-get download succeeded, but left no package in {directory}.")


def _complaint(outcome: Outcome) -> str:
    """Return the program's first line with an error, else with a warning, else its status."""
    lines = [line.strip() for line in outcome.output.splitlines()]
    for mark in ("E: ", "dpkg-deb: error: ", "W: Failed", "Err:"):
        for line in lines:
            if line.startswith(mark):
                return line.removeprefix("E: ").removeprefix("W: ").rstrip(".")
    return f"status {outcome.status} without a message" if outcome.status else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Unpack one package; return 0, or 2 after one line with the error."""
    parser = argparse.ArgumentParser(
        prog="python3 -m pipelines.basics.debian",
        description="Unpack a Debian package into a directory, without root.",
    )
    parser.add_argument("package")
    parser.add_argument("into", type=Path)
    parsed = parser.parse_args(arguments)
    try:
        unpack_package(parsed.package, parsed.into)
    except DebianPackageError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201  # a command's own output
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
