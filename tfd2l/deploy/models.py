"""Finds the models below a directory, and chooses the versions that TensorFlow Serving serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfd2l.common.errors import Tfd2lError
from tfd2l.export.versions import hint_one_model, models_in, versions_in

__all__ = ["DeployError", "ServedModel", "choose_versions", "find_models", "list_models"]

# The server does not decode names in URLs, so a request can name these only.
_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]*")


class DeployError(Tfd2lError, ValueError):
    """The directory, a flag or a file does not allow a configuration; the text says why."""


@dataclass(frozen=True)
class ServedModel:
    """A model and its versions that are to be served.

    Attributes:
        name: of the model and of its directory.
        versions: the served ones, in rising order; empty for the last `keep` ones, whichever
            they are.
        keep: how many versions are served while `versions` is empty.
        labels: the versions that requests can also name by a label, by label.
    """

    name: str
    versions: tuple[int, ...] = ()
    keep: int = 1
    labels: Mapping[str, int] = field(default_factory=dict)


def find_models(directory: Path) -> dict[str, list[int]]:
    """List models as `list_models` does, and check that TensorFlow Serving can serve them.

    Raises:
        DeployError: there is no model, or one that TensorFlow Serving can't serve: for its name,
            for a version without a saved model, for a symbolic link or for its permissions.
    """
    models = list_models(directory)
    for name in models:
        _check_model(directory / name)
    _check_readable([directory])
    return models


def list_models(directory: Path) -> dict[str, list[int]]:
    """List the versions of each model below a directory, in rising order, by the model's name.

    Hidden directories and directories without a version do not count as models.

    Raises:
        DeployError: there is no model, or the directory can't be read.
    """
    try:
        found = models_in(directory)
        is_model = bool(versions_in(directory))
    except OSError as error:
        raise DeployError(
            f"the models' directory must be one that can be read; {error}. Train a model with "
            "python -m tfd2l.train, or name another directory."
        ) from error
    models = {name: list(versions) for name, versions in found.items() if versions}
    if models:
        return models
    if is_model:
        raise DeployError(hint_one_model(directory))
    raise DeployError(
        f"{directory} has no model, that is no directory with versions named 1, 2, ... Train one "
        "with python -m tfd2l.train, or name another directory."
    )


def choose_versions(
    models: Mapping[str, Sequence[int]],
    *,
    keep: int = 1,
    pins: Mapping[str, Sequence[int]] | None = None,
    labels: Mapping[str, Mapping[str, int]] | None = None,
) -> list[ServedModel]:
    """Choose the versions of each model that are to be served.

    Args:
        models: the existing versions, by model, as `find_models` returns them.
        keep: how many of the last versions; for models with neither pins nor labels.
        pins: by model, the versions to serve whatever others exist.
        labels: by model, a version for each label. Without pins, exactly the labelled versions
            are served.

    Raises:
        DeployError: a model or version does not exist, or a labelled one is not among the pinned.

    Example:
        >>> from tfd2l.deploy.models import choose_versions
        >>> [model] = choose_versions({"mlp": [1, 2, 3]}, pins={"mlp": [2]})
        >>> model.versions
        (2,)
    """
    pins, labels = pins or {}, labels or {}
    for name in (*pins, *labels):
        if name not in models:
            raise DeployError(
                f"{name!r} is to be pinned or labelled, and does not exist. The models are "
                f"{_listed(models)}."
            )
    served = []
    for name, existing in models.items():
        labelled = labels.get(name, {})
        versions = sorted({*pins.get(name, labelled.values())})
        if missing := sorted({*versions, *labelled.values()} - {*existing}):
            raise DeployError(
                f"{name} has no version {_listed(missing)} to pin or label. It has "
                f"{_listed(existing)}."
            )
        if not_pinned := sorted({*labelled.values()} - {*versions}):
            raise DeployError(
                f"a labelled version must be served; of {name}, {_listed(versions)} is pinned, and "
                f"{_listed(not_pinned)} has a label. Pin both, or leave --pin out."
            )
        served.append(ServedModel(name, tuple(versions), keep, labelled))
    return served


def _check_model(model: Path) -> None:
    """Refuse a model that keeps the server from starting, or that no request can name."""
    if _NAME.fullmatch(model.name) is None:
        raise DeployError(
            "a model's name is a part of URLs, so it has only letters (a to z), digits, '.', '_' "
            f"and '-', and begins with neither '.' nor '-'; got {model.name!r}. Rename the "
            "directory."
        )
    directories = list(versions_in(model).values())
    for version in directories:
        if not any((version / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise DeployError(
                f"each version must have a saved_model.pb, or the server may not start; {version} "
                "has none. Remove it, or give it a name that is not a number."
            )
    for path in (model, *directories):
        if path.is_symlink():
            raise DeployError(
                "a model must be whole in its directory, as only the directory is mounted; "
                f"{path} is a symbolic link. Put a copy there."
            )
    _check_readable([model, *directories])


def _check_readable(directories: Iterable[Path]) -> None:
    for path in directories:
        mode = path.stat().st_mode
        if mode & 0o5 != 0o5:
            raise DeployError(
                "the server runs as nobody, so everybody must be able to read the models; "
                f"{path} has mode {mode & 0o777:03o}. Do: chmod -R o+rX {path}"
            )


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))
