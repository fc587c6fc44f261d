"""Versions of Python and of the packages that shape a model and its results."""

from __future__ import annotations

import platform
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import tfd2l

__all__ = ["package_versions", "project_version"]

_PACKAGES = ("tfd2l", "tensorflow", "keras", "numpy", "pandas")


def package_versions() -> dict[str, str]:
    """Return the versions by name, 'python' first; 'not installed' where there is none.

    Example:
        >>> from tfd2l.common.packages import package_versions
        >>> sorted(package_versions())
        ['keras', 'numpy', 'pandas', 'python', 'tensorflow', 'tfd2l']
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def project_version() -> dict[str, str | None]:
    """Return the project's `version` and, in a clone of its repository, the `commit`."""
    root = Path(tfd2l.__file__).resolve().parents[1]
    commit = None
    if (root / ".git").exists():
        try:
            found = subprocess.run(
                ["git", "-C", str(root), "rev-parse", "HEAD"],
                capture_output=True,
                text=True,
                check=True,
                timeout=10,
            )
            commit = found.stdout.strip()
        except (OSError, subprocess.SubprocessError):
            # No git here, or the clone is of another user.
            commit = None
    return {"version": tfd2l.__version__, "commit": commit}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        # tfd2l run from a checkout, or TensorFlow from a distribution of another name.
        return str(getattr(sys.modules.get(package), "__version__", "not installed"))
