"""The models below a directory: the versions that are to be served, and the next ones to come.

Those are the highest of each model, or what `models.config` says. As in TensorFlow Serving, the
last version answers until the next one has loaded, and its requests are finished before its memory
is freed; a version that fails to load is never tried again.
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
from tfd2l.serve.json_values import RestError, refuse

__all__ = ["ServedModels", "VersionStatus"]

_LOG = logging.getLogger(__name__)


@dataclass
class VersionStatus:
    """What has become of a version, in TensorFlow Serving's words.

    Attributes:
        state: 'LOADING', 'AVAILABLE', 'UNLOADING' or 'END'.
        error: why it could not be loaded; empty if it could.
    """

    state: str
    error: str = ""


@dataclass
class _Model:
    """A model's versions.

    Attributes:
        policy: which of them are to be served, and their labels.
        serving: those that answer, by number.
        users: how many requests each version in memory is answering.
        statuses: of all versions that were seen, by number.
    """

    policy: ServedModel
    serving: dict[int, LoadedVersion] = field(default_factory=dict)
    users: dict[LoadedVersion, int] = field(default_factory=dict)
    statuses: dict[int, VersionStatus] = field(default_factory=dict)


class ServedModels:
    """The models below a directory, for the threads that answer requests.

    `poll` looks for changes once, `watching` does so all the time in a thread.
    """

    def __init__(self, base: Path) -> None:
        """Nothing is loaded yet.

        Raises:
            SessionError: TensorFlow's library isn't installed.
        """
        self._base = base
        self._readable = True
        self._library: ctypes.CDLL = load_library()
        self._models: dict[str, _Model] = {}
        # What models.config has, or why it can't be read.
        self._config: bytes | str = b""
        self._policies: dict[str, ServedModel] = {}
        # Held for moments only, never while a model loads or runs.
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Load what is new, and let go of what it replaces or what is gone.

        Of a model whose directory as a whole is gone, the last version goes on.
        """
        try:
            found = models_in(self._base)
        except OSError as error:
            # Once, and not every second.
            if self._readable:
                _LOG.error("%s can't be read, and what was loaded goes on: %s", self._base, error)
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
            self._let_go(model, wanted)

    def _read_policies(self) -> None:
        """Take what `models.config` says, if it changed; as it was as long as it can't be read."""
        path = self._base / CONFIG_FILE
        try:
            config: bytes | str = path.read_bytes()
        except FileNotFoundError:
            config = b""
        except OSError as error:
            config = str(error)
        # Once, and not every second.
        if config == self._config:
            return
        self._config = config
        try:
            if isinstance(config, str):
                raise DeployError(config)
            self._policies = read_models_config(config.decode(errors="replace"))
        except DeployError as error:
            _LOG.error("%s is not followed until it changes: %s", path, error)

    @contextlib.contextmanager
    def watching(self, every_s: float) -> Iterator[None]:
        """Poll in a thread of its own every so many seconds, until the context ends."""
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
        """A version to answer a request with; it stays in memory as long as the context lasts.

        Args:
            name: the model's.
            number: the version's; None takes the highest that is served.
            label: the version's, in the place of its number.

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
                asked = f"Latest({name})" if number is None else f"Specific({name}, {number})"
                raise RestError(404, f"Servable not found for request: {asked}")
            model.users[version] += 1
        try:
            yield version
        finally:
            with self._lock:
                model.users[version] -= 1
            self._free(model, version)

    def available(self) -> dict[str, int]:
        """The highest number that is served, by the model's name."""
        with self._lock:
            return {
                name: max(model.serving)
                for name, model in sorted(self._models.items())
                if model.serving
            }

    def statuses(self, name: str) -> dict[int, VersionStatus]:
        """What has become of a model's versions, the latest first; empty if it isn't known."""
        with self._lock:
            model = self._models.get(name, _Model(ServedModel(name)))
            return dict(sorted(model.statuses.items(), reverse=True))

    def failures(self) -> list[str]:
        """The versions that could not be loaded, each as <model>/<number>."""
        with self._lock:
            return [
                f"{name}/{number}"
                for name, model in sorted(self._models.items())
                for number, status in sorted(model.statuses.items())
                if status.error
            ]

    def close(self) -> None:
        """Let go of all models."""
        for model in self._models.values():
            self._let_go(model, ())

    def _load(self, name: str, model: _Model, number: int, directory: Path) -> None:
        """Load a version and have it answer from now on; or say why not, once."""
        with self._lock:
            status = model.statuses.setdefault(number, VersionStatus("LOADING"))
            # Those that failed have a status too; those that ended may come back.
            if number in model.serving or status.error:
                return
            status.state = "LOADING"
        try:
            version = LoadedVersion(self._library, directory, name, number)
        except Exception as error:  # whatever a strange model raises, the others go on
            expected = isinstance(error, ExportError)
            _LOG.error(
                "version %s of %s can't be served, and won't be tried again: %s",
                number, name, error, exc_info=None if expected else error,
            )  # fmt: skip
            with self._lock:
                model.statuses[number] = VersionStatus("END", str(error) or repr(error))
            return
        with self._lock:
            model.serving[number], model.users[version] = version, 0
            model.statuses[number] = VersionStatus("AVAILABLE")
        _LOG.info("version %s of %s answers", number, name)

    def _let_go(self, model: _Model, wanted: Collection[int]) -> None:
        """Have all but the wanted versions answer no longer, once one of these does."""
        with self._lock:
            if wanted and not model.serving.keys() & {*wanted}:
                return
            last = [
                model.serving.pop(number) for number in [*model.serving] if number not in wanted
            ]
            for version in last:
                model.statuses[version.number] = VersionStatus("UNLOADING")
        for version in last:
            self._free(model, version)

    def _free(self, model: _Model, version: LoadedVersion) -> None:
        """Free the version's memory if it serves no longer and its last request has ended."""
        with self._lock:
            served = model.serving.get(version.number) is version
            if served or model.users.get(version) != 0:
                return
            # Of several threads that get here, one finds it.
            del model.users[version]
            # Unless it is back already.
            if model.statuses[version.number].state == "UNLOADING":
                model.statuses[version.number] = VersionStatus("END")
        version.close()
        _LOG.info("version %s of %s has ended", version.number, version.model)


def _wanted(policy: ServedModel, there: Mapping[int, Path]) -> list[int]:
    """The versions to serve of those that are there, in rising order."""
    if policy.versions:
        return [number for number in policy.versions if number in there]
    return sorted(there)[-policy.keep :]
