"""Loads the models below a directory, follows their versions and hands them to requests.

A model serves its highest version, or those that `models.config` names. As in TensorFlow Serving,
the old version answers until the new one has loaded, its memory is freed after its last request,
and a version that fails to load is never tried again.
"""

from __future__ import annotations

import contextlib
import logging
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from werkzeug.exceptions import abort

from pipelines.basics.files import read_regular
from pipelines.basics.text import one_line
from tfd2l.common.startup import quiet_libraries
from tfd2l.deploy.models import DeployError, ServedModel
from tfd2l.deploy.models_config import CONFIG_FILE, read_models_config
from tfd2l.export.c_api.session import load_library
from tfd2l.export.loaded import LoadedVersion
from tfd2l.export.saved_model import ExportError
from tfd2l.export.versions import models_in
from tfd2l.serve.metrics import Metrics

__all__ = ["LoadStatus", "ServedModels"]

_LOG = logging.getLogger(__name__)
# Seconds that a running poll has at the end.
_LAST_POLL_S = 5


@dataclass(frozen=True)
class LoadStatus:
    """The state of a version, in TensorFlow Serving's words.

    Attributes:
        state: 'LOADING', 'AVAILABLE' or 'END'.
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
        statuses: of all versions that were seen, by number.
    """

    policy: ServedModel
    serving: dict[int, LoadedVersion] = field(default_factory=dict)
    statuses: dict[int, LoadStatus] = field(default_factory=dict)


class ServedModels:
    """The models below a directory, shared by the threads that answer requests.

    `poll` looks for changes once, `watching` polls in a thread.

    Attributes:
        metrics: counts of loads, and of the requests that the application answers.
    """

    def __init__(self, base: Path) -> None:
        """Load nothing yet.

        Raises:
            SessionError: TensorFlow's library isn't installed.
        """
        self.metrics = Metrics()
        self._base = base
        with quiet_libraries():
            self._library = load_library()
        self._models: dict[str, _Model] = {}
        self._policies: Mapping[str, ServedModel] = {}
        self._problems: list[str] = []
        # Held for moments only, never while a model loads or runs.
        self._lock = threading.Lock()

    def poll(self) -> None:
        """Load new versions, and unload those that are replaced or removed.

        A model whose whole directory is gone keeps its last version, and the last content of
        `models.config` holds while the file can't be read.
        """
        found: Mapping[str, Mapping[int, Path]] = {}
        problems = []
        try:
            self._policies = self._read_config()
        except (OSError, DeployError) as error:
            problems.append(f"{CONFIG_FILE} is not followed until it changes: {error}")
        try:
            found = models_in(self._base)
        except OSError as error:
            problems.append(f"{self._base} can't be read; the loaded models stay: {error}")
        self._report(problems)
        for name, versions in found.items():
            self._follow(name, versions)

    @contextlib.contextmanager
    def watching(self, every_s: float) -> Iterator[None]:
        """Poll in a thread every `every_s` seconds, until the context ends."""
        stopped = threading.Event()

        def watch() -> None:
            while not stopped.wait(every_s):
                try:
                    self.poll()
                except Exception as error:  # whatever it is, the next poll may go well
                    self._report([f"a look for new versions failed: {one_line(repr(error))}"])

        thread = threading.Thread(target=watch, name="watch-models", daemon=True)
        thread.start()
        try:
            yield
        finally:
            stopped.set()
            # A version that is loading does not hold up the end of the process.
            thread.join(_LAST_POLL_S)

    def version(
        self, model: str, number: int | None = None, label: str | None = None
    ) -> LoadedVersion:
        """Return a version to answer a request with.

        Args:
            model: the model's name.
            number: of the version; None takes the highest that is served.
            label: of the version, instead of its number.

        Raises:
            werkzeug.exceptions.HTTPException: 404; it is not served. 400; the model has no such
                label.
        """
        with self._lock:
            found = self._models.get(model, _Model(ServedModel(model)))
            if label is not None:
                number = found.policy.labels.get(label)
                if number is None:
                    abort(400, f"Unrecognized servable version label: {label}")
            highest = max(found.serving, default=0)
            version = found.serving.get(highest if number is None else number)
        if version is None:
            which = f"Latest({model})" if number is None else f"Specific({model}, {number})"
            abort(404, f"Servable not found for request: {which}")
        return version

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

    def problems(self) -> list[str]:
        """Return the reasons why the last poll did not follow all of the directory."""
        return [*self._problems]

    def _report(self, problems: list[str]) -> None:
        """Keep the problems of a poll, and log those that the last one did not have."""
        for problem in problems:
            if problem not in self._problems:
                _LOG.error("%s", problem)
        self._problems = problems

    def _read_config(self) -> dict[str, ServedModel]:
        """Read `models.config`; without the file, every model serves its highest version."""
        try:
            text = read_regular(self._base / CONFIG_FILE).decode(errors="replace")
        except FileNotFoundError:
            return {}
        return read_models_config(text)

    def _follow(self, name: str, present: Mapping[int, Path]) -> None:
        """Load the versions of a model that are to be served, then unload the others."""
        policy = self._policies.get(name, ServedModel(name))
        wanted = [number for number in policy.versions if number in present]
        if not policy.versions:
            wanted = sorted(present)[-policy.keep :]
        with self._lock:
            model = self._models.setdefault(name, _Model(policy))
            model.policy = policy
        for number in wanted:
            failed = number in model.statuses and model.statuses[number].error
            if number not in model.serving and not failed:
                self._load(name, model, number, present[number])
        with self._lock:
            # The old versions answer until one of the wanted does.
            if wanted and not model.serving.keys() & {*wanted}:
                return
            for number in model.serving.keys() - {*wanted}:
                # A running request keeps it in memory.
                del model.serving[number]
                model.statuses[number] = LoadStatus("END")
                _LOG.info("version %s of %s has ended", number, name)

    def _load(self, name: str, model: _Model, number: int, directory: Path) -> None:
        """Load a version and let it answer, or log why it can't."""
        with self._lock:
            model.statuses[number] = LoadStatus("LOADING")
        start = time.monotonic()

        def count(*, succeeded: bool) -> None:
            seconds = time.monotonic() - start
            self.metrics.count_load(str(directory), seconds, succeeded=succeeded)

        try:
            version = LoadedVersion(self._library, directory, name, number)
        except Exception as error:  # whatever a strange model raises, the others are served
            count(succeeded=False)
            expected = isinstance(error, ExportError)
            _LOG.error(
                "version %s of %s can't be served, and won't be tried again: %s",
                number, name, error, exc_info=None if expected else error,
            )  # fmt: skip
            with self._lock:
                model.statuses[number] = LoadStatus("END", str(error) or repr(error))
            return
        count(succeeded=True)
        with self._lock:
            model.serving[number] = version
            model.statuses[number] = LoadStatus("AVAILABLE")
        _LOG.info("version %s of %s answers", number, name)
