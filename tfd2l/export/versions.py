"""The models below a directory and their versions, as TensorFlow Serving sees them.

A version is an entry of a model's directory whose name is a decimal number below 2**63.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

__all__ = ["MAX_VERSION", "hint_one_model", "models_in", "versions_in"]

# The server keeps version numbers as int64, and ignores names with a larger number.
MAX_VERSION = 2**63 - 1


def models_in(base: Path) -> dict[str, dict[int, Path]]:
    """List the versions of each model below `base`, by the model's name and the version's number.

    A directory without versions counts as a model without any. Hidden directories are skipped.

    Raises:
        OSError: `base` can't be listed.
    """
    models = {}
    for directory in sorted(base.iterdir()):
        # Plain files can't be listed, nor directories that are being removed.
        with contextlib.suppress(OSError):
            if not directory.name.startswith("."):
                models[directory.name] = versions_in(directory)
    return models


def versions_in(directory: Path) -> dict[int, Path]:
    """List a model's versions by number, in rising order.

    Plain files count, as they do for TensorFlow Serving, which then fails to load them.

    Raises:
        OSError: the directory can't be listed.
    """
    found = {
        int(path.name): path for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)
    }
    return {number: found[number] for number in sorted(found) if number <= MAX_VERSION}


def hint_one_model(directory: Path) -> str:
    """Return an error's text for a directory of versions in place of a directory of models."""
    return (
        f"{directory} has versions, so it is the directory of one model. Name the one above it: "
        f"{directory.absolute().parent}"
    )
