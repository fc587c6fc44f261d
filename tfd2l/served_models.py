"""The models below a directory: the highest version of each, in memory, and the next one to come.

As in TensorFlow Serving, the last version answers until the next one has loaded, and its requests
are finished before its memory is freed; a version that fails to load is never tried again.
"""

from __future__ import annotations

import contextlib
import ctypes
import logging
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tfd2l.json_values import RestError
from tfd2l.load_check import load_library
from tfd2l.loaded_version import LoadedVersion
from tfd2l.model_directories import model_directories
from tfd2l.saved_model import ExportError

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
        serving: the one that answers.
        users: how many requests each version in memory is answering.
        statuses: of all versions that were seen, by number.
    """

    serving: LoadedVersion | None = None
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
        # Held for moments only, never while a model loads or runs.
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Load what is new, and let go of what it replaces or what is gone.

        Of a model whose directory as a whole is gone, the last version goes on.
        """
        try:
            found = model_directories(self._base)
        except OSError as error:
            # Once, and not every second.
            if self._readable:
                _LOG.error("%s can't be read, and what was loaded goes on: %s", self._base, error)
            self._readable = False
            return
        self._readable = True
        for name, versions in found.items():
            with self._lock:
                model = self._models.setdefault(name, _Model())
                number = max(versions, default=None)
                serving = model.serving.number if model.serving is not None else None
                if number is not None and number != serving:
                    # Those that failed have a status too; those that ended may come back.
                    status = model.statuses.setdefault(number, VersionStatus("LOADING"))
                    if status.error:
                        continue
                    status.state = "LOADING"
            if number is None:
                self._replace(model, None)
            elif number != serving:
                self._load(name, model, number, versions[number])

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
    def version(self, name: str, number: int | None = None) -> Iterator[LoadedVersion]:
        """A version to answer a request with; it stays in memory as long as the context lasts.

        Args:
            name: the model's.
            number: the version's; None takes the one that is served.

        Raises:
            RestError: 404; it is not served.
        """
        with self._lock:
            model = self._models.get(name, _Model())
            version = model.serving
            if version is None or number not in (None, version.number):
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
        """The number of the version that is served, by the model's name."""
        with self._lock:
            return {
                name: model.serving.number
                for name, model in sorted(self._models.items())
                if model.serving is not None
            }

    def statuses(self, name: str) -> dict[int, VersionStatus]:
        """What has become of a model's versions, the latest first; empty if it isn't known."""
        with self._lock:
            model = self._models.get(name, _Model())
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
            self._replace(model, None)

    def _load(self, name: str, model: _Model, number: int, directory: Path) -> None:
        """Load a version and have it answer from now on; or say why not."""
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
        self._replace(model, version)
        _LOG.info("version %s of %s answers", number, name)

    def _replace(self, model: _Model, version: LoadedVersion | None) -> None:
        """Have another version answer from now on, or none."""
        with self._lock:
            last, model.serving = model.serving, version
            if version is not None:
                model.users[version] = 0
                model.statuses[version.number] = VersionStatus("AVAILABLE")
            if last is not None:
                model.statuses[last.number] = VersionStatus("UNLOADING")
        if last is not None:
            self._free(model, last)

    def _free(self, model: _Model, version: LoadedVersion) -> None:
        """Free the version's memory if it serves no longer and its last request has ended."""
        with self._lock:
            if model.serving is version or model.users.get(version) != 0:
                return
            # Of several threads that get here, one finds it.
            del model.users[version]
            # Unless it is back already.
            if model.statuses[version.number].state == "UNLOADING":
                model.statuses[version.number] = VersionStatus("END")
        version.close()
        _LOG.info("version %s of %s has ended", version.number, version.model)
