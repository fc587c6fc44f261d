"""Which models a directory has, and which versions, before anything is loaded."""

from __future__ import annotations

import contextlib
import re
from pathlib import Path

__all__ = ["model_directories", "versions_in"]

# Versions are int64 in the server; a longer number is none.
_LAST_VERSION = 2**63 - 1


def model_directories(base: Path) -> dict[str, dict[int, Path]]:
    """The versions of each model below `base`, by the model's name and the version's number.

    A directory without versions is a model that has none. Names with a point in front are others'.

    Raises:
        OSError: `base` can't be listed.
    """
    models = {}
    for directory in sorted(base.iterdir()):
        # One that is being removed, or a plain file.
        with contextlib.suppress(OSError):
            if not directory.name.startswith("."):
                models[directory.name] = versions_in(directory)
    return models


def versions_in(directory: Path) -> dict[int, Path]:
    """A model's versions by number: what is named like an integer, plain files too.

    TensorFlow Serving has it so, and fails to load the files.

    Raises:
        OSError: the directory can't be listed.
    """
    found = {
        int(path.name): path for path in directory.iterdir() if re.fullmatch("[0-9]+", path.name)
    }
    return {number: path for number, path in found.items() if number <= _LAST_VERSION}
