"""Hold the locked packages against the advisories that PyPI has of them.

pip-audit does the work; uv fetches it into an environment of its own, away from .venv. Without the
network, or where a mirror has packages and no advisories, nothing can be said, and that is said.
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
LOCK = ROOT / "requirements.txt"
COMMAND = ("-m", "uv", "tool", "run", "pip-audit", "--disable-pip", "--progress-spinner=off")
# For all locks together: a mirror that hangs is not to hold up what else is tested.
TIMEOUT_S = 120.0
FOUND = 1
# Of versions that somebody else chose, and that run in environments of their own.
PEERS = sorted((ROOT / "benchmarks" / "requirements").glob("*.txt"))
REMEDY = "Raise what pyproject.toml asks for where need be, and run: make lock"


def main() -> int:
    """Ask, and say what came of it; 1 if a version of the project's has an advisory, else 0."""
    until_s = time.monotonic() + TIMEOUT_S
    text, status = ask(LOCK, until_s, REMEDY)
    print(text)
    for lock in PEERS:
        # The peers of the benchmarks stay what they are: theirs is told, and fails nothing.
        text, _ = ask(lock, until_s, "Nothing of the project installs these.")
        print(f"{lock.relative_to(ROOT)}: {text}")
    return status


def ask(lock: Path, until_s: float, remedy: str) -> tuple[str, int]:
    """Have pip-audit look at a lock until the clock is at `until_s`; see `verdict`."""
    words = run([*COMMAND, "--format=json", "--requirement", str(lock)], until_s)
    if words is None:
        return f"audit: NOT DONE. There was no answer within {TIMEOUT_S:.0f} s.", 0
    return verdict(*words, remedy)


def run(arguments: Sequence[str], until_s: float) -> tuple[str, str] | None:
    """What Python, run with these arguments, writes to both outputs; None if it takes longer."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            return process.communicate(timeout=max(until_s - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            # With pip-audit, which uv starts and which would keep the outputs open.
            os.killpg(process.pid, signal.SIGKILL)
            return None


def verdict(answer: str, complaints: str, remedy: str = REMEDY) -> tuple[str, int]:
    """What pip-audit's answer amounts to, and the exit status.

    Args:
        answer: its JSON. It passes over a package that it finds nothing about, and then says that
            there are no known vulnerabilities; so what it passed over is counted here.
        complaints: what it wrote to standard error.
        remedy: what to do about advisories.
    """
    try:
        packages = json.loads(answer)["dependencies"]
    except (ValueError, KeyError, TypeError):
        lines = [line for line in complaints.splitlines() if line.strip()]
        return f"audit: NOT DONE. {lines[-1].strip() if lines else 'pip-audit gave no answer'}", 0
    asked = [package for package in packages if "skip_reason" not in package]
    if not asked:
        return (
            f"audit: NOT DONE. The index that this machine uses has no advisories of any of the "
            f"{len(packages)} packages; do it where PyPI itself can be reached."
        ), 0
    found = [
        f"{package['name']} {package['version']}: {advisory['id']}, "
        f"mended in {', '.join(advisory['fix_versions']) or 'no version yet'}"
        for package in asked
        for advisory in package["vulns"]
    ]
    unknown = len(packages) - len(asked)
    lines = [f"audit: {len(asked)} packages, {len(found)} advisories", *found]
    if unknown:
        lines.append(f"of {unknown} more packages nothing could be learnt")
    if found:
        lines.append(remedy)
    return "\n".join(lines), FOUND if found else 0


if __name__ == "__main__":
    sys.exit(main())
