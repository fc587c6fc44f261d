"""Which models and versions below a directory TensorFlow Serving is to serve."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tfd2l.common.errors import Tfd2lError
from tfd2l.export.versions import hint_one_model, models_in, versions_in

__all__ = ["DeployError", "ServedModel", "choose", "find_models"]

# The server takes names from URLs undecoded, so these are the ones that can be asked for.
_NAME = re.compile("[A-Za-z0-9_][A-Za-z0-9._-]*")


class DeployError(Tfd2lError, ValueError):
    """The directory, a flag or a file does not allow a configuration; the text says why."""


@dataclass(frozen=True)
class ServedModel:
    """A model and what is to be served of it.

    Attributes:
        name: of the model and of its directory.
        versions: those that are served, in rising order; empty for the last `keep` ones, whichever
            they are.
        keep: how many versions are served while `versions` is empty.
        labels: the versions that requests can name as well, by label.
    """

    name: str
    versions: tuple[int, ...] = ()
    keep: int = 1
    labels: Mapping[str, int] = field(default_factory=dict)


def find_models(directory: Path) -> dict[str, list[int]]:
    """The models below a directory: their versions in rising order, by the model's name.

    Hidden directories and those without a version are no models.

    Raises:
        DeployError: there is no model, or one that TensorFlow Serving can't serve: for its name,
            for a version without a saved model, for a symbolic link or for its permissions.
    """
    try:
        models = {
            name: list(versions) for name, versions in models_in(directory).items() if versions
        }
        if not models:
            raise _no_model(directory)
        for name, versions in models.items():
            _check(directory / name, versions)
        _check_readable([directory])
    except OSError as error:
        raise DeployError(
            f"the models' directory must be one that can be read; {error}. Train a model with "
            "python -m tfd2l.train, or name another directory."
        ) from error
    return models


def choose(
    models: Mapping[str, Sequence[int]],
    *,
    keep: int = 1,
    pins: Mapping[str, Sequence[int]] | None = None,
    labels: Mapping[str, Mapping[str, int]] | None = None,
) -> list[ServedModel]:
    """What is to be served of each model.

    Args:
        models: the versions that there are, by model, as `find_models` gives them.
        keep: how many of the last versions; for models with neither pins nor labels.
        pins: by model, the versions to serve whatever else there is.
        labels: by model, a version for each label. Without pins, the labelled versions are the
            served ones.

    Raises:
        DeployError: a model or version is not there, or a labelled one is not among the pinned.
    """
    pins, labels = pins or {}, labels or {}
    for name in (*pins, *labels):
        if name not in models:
            raise DeployError(
                f"{name!r} is to be pinned or labelled, and is not there. The models are "
                f"{_listed(models)}."
            )
    served = []
    for name, there in models.items():
        labelled = labels.get(name, {})
        versions = sorted({*pins.get(name, labelled.values())})
        if missing := sorted({*versions, *labelled.values()} - {*there}):
            raise DeployError(
                f"{name} has no version {_listed(missing)} to pin or label. It has "
                f"{_listed(there)}."
            )
        if loose := sorted({*labelled.values()} - {*versions}):
            raise DeployError(
                f"a labelled version must be served; of {name}, {_listed(versions)} is pinned, and "
                f"{_listed(loose)} has a label. Pin both, or leave --pin out."
            )
        served.append(ServedModel(name, tuple(versions), keep, labelled))
    return served


def _check(model: Path, versions: Iterable[int]) -> None:
    """Refuse what would keep the server from starting, or the model from being asked for."""
    if _NAME.fullmatch(model.name) is None:
        raise DeployError(
            "a model's name goes into URLs as it is, so it has letters (a to z), digits, '.', '_' "
            f"and '-' only, and none of '.' and '-' in front; got {model.name!r}. Rename the "
            "directory."
        )
    directories = versions_in(model)
    for version in (directories[number] for number in versions):
        if not any((version / name).is_file() for name in ("saved_model.pb", "saved_model.pbtxt")):
            raise DeployError(
                f"each version must have a saved_model.pb, or the server may not start; {version} "
                "has none. Remove it, or give it a name that is no number."
            )
    for path in (model, *directories.values()):
        if path.is_symlink():
            raise DeployError(
                f"a model must be whole in its directory, as only that is mounted; {path} is a "
                "symbolic link. Put a copy there."
            )
    _check_readable([model, *directories.values()])


def _check_readable(directories: Iterable[Path]) -> None:
    for path in directories:
        if path.stat().st_mode & 0o5 != 0o5:
            raise DeployError(
                f"the server runs as nobody, so all must be able to read; {path} has mode "
                f"{path.stat().st_mode & 0o777:03o}. Do: chmod -R o+rX {path}"
            )


def _no_model(directory: Path) -> DeployError:
    if versions_in(directory):
        return DeployError(hint_one_model(directory))
    return DeployError(
        f"{directory} has no model, that is no directory with versions named 1, 2, ... Train one "
        "with python -m tfd2l.train, or name another directory."
    )


def _listed(things: Iterable[object]) -> str:
    return ", ".join(map(str, things))
