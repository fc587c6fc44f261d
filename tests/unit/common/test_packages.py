"""Versions of packages: by their metadata, by the loaded module, or missing."""

from __future__ import annotations

import platform
import sys
from importlib import metadata

import numpy as np
import pytest

from tfd2l.common.packages import package_versions


def test_versions_are_those_of_the_installed_packages() -> None:
    found = package_versions()
    assert next(iter(found)) == "python"
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_a_package_without_metadata_has_the_version_of_its_module_if_it_is_loaded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def version(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    found = package_versions()
    assert found["numpy"] == np.__version__
    assert found["pandas"] == "not installed"
