"""Versions of Python and of the packages that shape a model and its results."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

__all__ = ["package_versions"]

_PACKAGES = ("tfd2l", "tensorflow", "keras", "numpy", "pandas")


def package_versions() -> dict[str, str]:
    """Return the versions by name, 'python' first; 'not installed' where there is none.

    Example:
        >>> from tfd2l.common.packages import package_versions
        >>> sorted(package_versions())
        ['keras', 'numpy', 'pandas', 'python', 'tensorflow', 'tfd2l']
    """
    return {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        # tfd2l run from a checkout, or TensorFlow from a distribution of another name.
        return str(getattr(sys.modules.get(package), "__version__", "not installed"))
