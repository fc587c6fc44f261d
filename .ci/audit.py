"""Hold the locked packages against the advisories that PyPI has of them.

pip-audit does the work; uv fetches it into an environment of its own, away from .venv. Without the
network, or where a mirror has packages and no advisories, nothing can be said, and that is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCK = ROOT / "requirements.txt"
COMMAND = ("-m", "uv", "tool", "run", "pip-audit", "--disable-pip", "--progress-spinner=off")
TIMEOUT_S = 600
FOUND = 1


def main() -> int:
    """Ask, and say what came of it; 1 if a locked version has an advisory, else 0."""
    command = [sys.executable, *COMMAND, "--format=json", "--requirement", str(LOCK)]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    except subprocess.TimeoutExpired:
        print(f"audit: NOT DONE. There was no answer within {TIMEOUT_S} s.")
        return 0
    text, status = verdict(ended.stdout, ended.stderr)
    print(text)
    return status


def verdict(answer: str, complaints: str) -> tuple[str, int]:
    """What pip-audit's answer amounts to, and the exit status.

    Args:
        answer: its JSON. It passes over a package that it finds nothing about, and then says that
            there are no known vulnerabilities; so what it passed over is counted here.
        complaints: what it wrote to standard error.
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
        lines.append("Raise what pyproject.toml asks for where need be, and run: make lock")
    return "\n".join(lines), FOUND if found else 0


if __name__ == "__main__":
    sys.exit(main())
