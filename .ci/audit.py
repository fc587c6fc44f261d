"""Check the locked packages for known vulnerabilities, by the advisories that PyPI has of them.

pip-audit does the work; uv fetches it into an environment of its own, away from .venv. Without the
network, or with a mirror that has packages but no advisories, nothing is checked, and that is said.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = sorted(ROOT.glob("requirements*.txt"))
COMMAND = ("-m", "uv", "tool", "run", "pip-audit", "--disable-pip", "--progress-spinner=off")
# For all locks together: a mirror that hangs must not hold up the tests.
TIMEOUT_S = 120.0
FOUND = 1
# Other people chose these versions, and they run in environments of their own.
PEERS = sorted((ROOT / "benchmarks" / "requirements").glob("*.txt"))
REMEDY = "Raise the versions in pyproject.toml where need be, and run: make lock"


def main() -> int:
    """Print what was found; returns 1 if the project locks a version with an advisory, else 0."""
    deadline_s = time.monotonic() + TIMEOUT_S
    text, status = check(LOCKS, deadline_s, REMEDY)
    print(text)
    for lock in PEERS:
        # The peers of the benchmarks keep their versions: their advisories fail nothing.
        text, _ = check([lock], deadline_s, "Nothing of the project installs these.")
        print(f"{lock.relative_to(ROOT)}: {text}")
    return status


def check(locks: Sequence[Path], deadline_s: float, remedy: str) -> tuple[str, int]:
    """Run pip-audit on locks until `deadline_s` at the latest; returns as `verdict` does."""
    requirements = [f"--requirement={lock}" for lock in locks]
    output = run([*COMMAND, "--format=json", *requirements], deadline_s)
    if output is None:
        return f"audit: NOT DONE. There was no answer within {TIMEOUT_S:.0f} s.", 0
    return verdict(*output, remedy)


def run(arguments: Sequence[str], deadline_s: float) -> tuple[str, str] | None:
    """Run Python with these arguments; returns both outputs, or None if it takes too long."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=max(deadline_s - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            # The whole group: uv starts pip-audit, which would keep the outputs open.
            os.killpg(process.pid, signal.SIGKILL)
            return None


def verdict(answer: str, complaints: str, remedy: str = REMEDY) -> tuple[str, int]:
    """Returns the text to print and the exit status.

    Args:
        answer: pip-audit's JSON. It skips a package that it finds nothing about, and then says that
            there are no known vulnerabilities; so the skipped packages are counted here.
        complaints: its standard error.
        remedy: what to do about advisories.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = [line for line in complaints.splitlines() if line.strip()]
        return f"audit: NOT DONE. {lines[-1].strip() if lines else 'pip-audit gave no answer'}", 0
    checked = [package for package in packages if "skip_reason" not in package]
    if not checked:
        return (
            f"audit: NOT DONE. The index that this machine uses has no advisories of any of the "
            f"{len(packages)} packages; repeat this where PyPI itself can be reached."
        ), 0
    found = [
        f"{package['name']} {package['version']}: {advisory['id']}, "
        f"fixed in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in checked
        for advisory in package["vulns"]
    ]
    skipped = len(packages) - len(checked)
    lines = [f"audit: {len(checked)} packages, {len(found)} advisories", *found]
    if skipped:
        lines.append(f"{skipped} more packages could not be checked")
    if found:
        lines.append(remedy)
    return "\n".join(lines), FOUND if found else 0


if __name__ == "__main__":
    sys.exit(main())
