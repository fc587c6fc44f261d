"""A small exported model that tests publish, and its directory's entries."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.support.small_models import Linear
from tfd2l.export.expected import regressor_checks
from tfd2l.export.signatures import export_regressor
from tfd2l.export.verify import Check


def export_with_checks(directory: Path) -> tuple[Path, list[Check]]:
    """Export a linear regression; return its directory and its checks."""
    export_regressor(Linear(), directory, num_inputs=2)
    return directory, regressor_checks(Linear(), np.ones((8, 2), np.float32))


def copying(source: Path) -> Callable[[Path], None]:
    """Make a function that writes a copy of `source`, for `publish`."""

    def write(directory: Path) -> None:
        shutil.copytree(source, directory, dirs_exist_ok=True)

    return write


def names(directory: Path) -> list[str]:
    """List the entries of a directory."""
    return sorted(path.name for path in directory.iterdir())
