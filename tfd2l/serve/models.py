"""Loads the models below a directory, follows their versions and hands them to requests.

A model serves its highest version, or those that `models.config` names. As in TensorFlow Serving,
the old version answers until the new one has loaded, its memory is freed after its last request,
and a version that fails to load is never tried again.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tfd2l.deploy.models import DeployError, ServedModel
from tfd2l.deploy.models_config import CONFIG_FILE, read_models_config
from tfd2l.export.c_api import load_library
from tfd2l.export.loaded import LoadedVersion
from tfd2l.export.saved_model import ExportError
from tfd2l.export.versions import models_in
from tfd2l.serve.errors import RestError, refuse

__all__ = ["LoadStatus", "ServedModels"]

_LOG = logging.getLogger(__name__)


@dataclass
class LoadStatus:
    """The state of a version, in TensorFlow Serving's words.

    Attributes:
        state: 'LOADING', 'AVAILABLE', 'UNLOADING' or 'END'.
        error: the reason why it could not be loaded; empty if it could.
    """

    state: str
    error: str = ""


@dataclass
class _Model:
    """A model's versions.

    Attributes:
        policy: the versions to serve, and their labels.
        serving: the versions that answer requests, by number.
        users: the number of running requests of each version in memory.
        statuses: of all versions that were seen, by number.
    """

    policy: ServedModel
    serving: dict[int, LoadedVersion] = field(default_factory=dict)
    users: dict[LoadedVersion, int] = field(default_factory=dict)
    statuses: dict[int, LoadStatus] = field(default_factory=dict)


class ServedModels:
    """The models below a directory, shared by the threads that answer requests.

    `poll` looks for changes once, `watching` polls in a thread.
    """

    def __init__(self, base: Path) -> None:
        """Load nothing yet.

        Raises:
            SessionError: TensorFlow's library isn't installed.
        """
        self._base = base
        self._readable = True
        self._library: ctypes.CDLL = load_library()
        self._models: dict[str, _Model] = {}
        # The content of models.config, or the reason why it can't be read.
        self._config: bytes | str = b""
        self._policies: dict[str, ServedModel] = {}
        # Held for moments only, never while a model loads or runs.
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Load new versions, and unload those that are replaced or removed.

        A model whose whole directory is gone keeps its last version.
        """
        try:
            found = models_in(self._base)
        except OSError as error:
            # Logged once, not every second.
            if self._readable:
                _LOG.error("%s can't be read; the loaded models stay: %s", self._base, error)
            self._readable = False
            return
        self._readable = True
        self._read_policies()
        for name, versions in found.items():
            policy = self._policies.get(name, ServedModel(name))
            with self._lock:
                model = self._models.setdefault(name, _Model(policy))
                model.policy = policy
            wanted = _wanted(policy, versions)
            for number in wanted:
                self._load(name, model, number, versions[number])
            self._unload_others(model, wanted)

    @contextlib.contextmanager
    def watching(self, every_s: float) -> Iterator[None]:
        """Poll in a thread every `every_s` seconds, until the context ends."""
        stopped = threading.Event()

        def watch() -> None:
            while not stopped.wait(every_s):
                self.poll()

        thread = threading.Thread(target=watch, name="watch-models", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            thread.join()

    @contextlib.contextmanager
    def version(
        self, name: str, number: int | None = None, label: str | None = None
    ) -> Iterator[LoadedVersion]:
        """Give a version to answer a request with; it stays in memory until the context ends.

        Args:
            name: of the model.
            number: of the version; None takes the highest that is served.
            label: of the version, instead of its number.

        Raises:
            RestError: 404; it is not served. 400; the model has no such label.
        """
        with self._lock:
            model = self._models.get(name, _Model(ServedModel(name)))
            if label is not None:
                number = model.policy.labels.get(label)
                if number is None:
                    refuse(f"Unrecognized servable version label: {label}")
            version = model.serving.get(max(model.serving, default=0) if number is None else number)
            if version is None:
                which = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise RestError(404, f"Servable not found for request: {which}")
            model.users[version] += 1
        try:
            yield version
        finally:
            with self._lock:
                model.users[version] -= 1
            self._free(model, version)

    def available(self) -> dict[str, int]:
        """Return the highest number that is served, by the model's name."""
        with self._lock:
            return {
                name: max(model.serving)
                for name, model in sorted(self._models.items())
                if model.serving
            }

    def statuses(self, name: str) -> dict[int, LoadStatus]:
        """Return the status of a model's versions, the latest first; empty for an unknown model."""
        with self._lock:
            model = self._models.get(name, _Model(ServedModel(name)))
            return dict(sorted(model.statuses.items(), reverse=True))

    def failures(self) -> list[str]:
        """Return the versions that could not be loaded, each as <model>/<number>."""
        with self._lock:
            return [
                f"{name}/{number}"
                for name, model in sorted(self._models.items())
                for number, status in sorted(model.statuses.items())
                if status.error
            ]

    def close(self) -> None:
        """Unload all models; a version that is in use stays until its last request has ended."""
        for model in self._models.values():
            self._unload_others(model, ())

    def _read_policies(self) -> None:
        """Read `models.config` if it changed; while it can't be read, the last content holds."""
        path = self._base / CONFIG_FILE
        try:
            config: bytes | str = path.read_bytes()
        except FileNotFoundError:
            config = b""
        except OSError as error:
            config = str(error)
        # An error is logged once, not every second.
        if config == self._config:
            return
        self._config = config
        try:
            if isinstance(config, str):
                raise DeployError(config)
            self._policies = read_models_config(config.decode(errors="replace"))
        except DeployError as error:
            _LOG.error("%s is not followed until it changes: %s", path, error)

    def _load(self, name: str, model: _Model, number: int, directory: Path) -> None:
        """Load a version and let it answer, or log once why it can't."""
        with self._lock:
            status = model.statuses.setdefault(number, LoadStatus("LOADING"))
            # A version that failed stays so; one that ended may come back.
            if number in model.serving or status.error:
                return
            status.state = "LOADING"
        try:
            version = LoadedVersion(self._library, directory, name, number)
        except Exception as error:  # whatever a strange model raises, the others are served
            expected = isinstance(error, ExportError)
            _LOG.error(
                "version %s of %s can't be served, and won't be tried again: %s",
                number, name, error, exc_info=None if expected else error,
            )  # fmt: skip
            with self._lock:
                model.statuses[number] = LoadStatus("END", str(error) or repr(error))
            return
        with self._lock:
            model.serving[number] = version
            model.users[version] = 0
            model.statuses[number] = LoadStatus("AVAILABLE")
        _LOG.info("version %s of %s answers", number, name)

    def _unload_others(self, model: _Model, wanted: Collection[int]) -> None:
        """Unload all but the wanted versions, as soon as one of these answers."""
        with self._lock:
            if wanted and not model.serving.keys() & {*wanted}:
                return
            replaced = [
                model.serving.pop(number) for number in [*model.serving] if number not in wanted
            ]
            for version in replaced:
                model.statuses[version.number] = LoadStatus("UNLOADING")
        for version in replaced:
            self._free(model, version)

    def _free(self, model: _Model, version: LoadedVersion) -> None:
        """Free the version's memory if it is not served and its last request has ended."""
        with self._lock:
            served = model.serving.get(version.number) is version
            if served or model.users.get(version) != 0:
                return
            # Of several threads that get here, one finds it.
            del model.users[version]
            # The same number may have been loaded again meanwhile.
            if model.statuses[version.number].state == "UNLOADING":
                model.statuses[version.number] = LoadStatus("END")
        version.close()
        _LOG.info("version %s of %s has ended", version.number, version.model)


def _wanted(policy: ServedModel, present: Mapping[int, Path]) -> list[int]:
    """Return the versions to serve among those that are present, in rising order."""
    if policy.versions:
        return [number for number in policy.versions if number in present]
    return sorted(present)[-policy.keep :]
