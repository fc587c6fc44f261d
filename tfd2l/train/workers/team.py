"""The workers that make a run together; a single process is a team of one."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Any

import tensorflow as tf

from tfd2l.engine.distribution.coordination import coordination_of
from tfd2l.train.model import describe_file
from tfd2l.train.settings.catalog import file_and_class, is_file
from tfd2l.train.settings.config import TrainConfig, about

__all__ = ["EXIT_WORKER_LOST", "Team", "facts_of_run"]

# EX_TEMPFAIL of sysexits.h: the same command may succeed when it is started again.
EXIT_WORKER_LOST = 75


class Team:
    """The workers that make a run together.

    Attributes:
        strategy: TensorFlow's; None for a single process.
        is_chief: True for the worker that writes files, which is the only process or the first.
    """

    def __init__(self, strategy: tf.distribute.Strategy | None = None) -> None:
        """Make a team of the workers of a strategy."""
        self.strategy = strategy
        self._words = None if strategy is None else coordination_of(strategy)
        self.is_chief = self._words is None or self._words.index == 0
        self._runs = 0

    def __str__(self) -> str:
        if self._words is None:
            return "one process"
        return f"{self._words.name_of(self._words.index)} of {len(self._words.addresses)}"

    def say(self, line: str) -> None:
        """Print a line about the run, on the chief alone."""
        if self.is_chief:
            print(line)  # noqa: T201 - the command's own output

    def together(self) -> contextlib.AbstractContextManager[None]:
        """A context for the next run, in which what ends one worker ends all.

        Raises:
            WorkerError: another worker is lost, or has ended by an error.
        """
        self._runs += 1
        return contextlib.nullcontext() if self._words is None else self._words.together()

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that the run is the same on all workers.

        Raises:
            DisagreementError: it is another one on a worker; all raise the same error.
        """
        if self._words is not None:
            self._words.agree(facts)

    def tell(self, key: str, value: Any) -> None:
        """Let the other workers hear a JSON value about the run."""
        if self._words is not None:
            self._words.tell(f"run {self._runs}: {key}", value)

    def hear(self, key: str) -> Any:
        """Wait for what the chief tells about the run."""
        assert self._words is not None  # noqa: S101 - the chief hears nobody
        return self._words.hear(f"run {self._runs}: {key}")


def facts_of_run(
    config: TrainConfig, data: Mapping[str, Any], changes: Mapping[str, Any] | None
) -> dict[str, Any]:
    """What all workers must have the same of: settings, model file and data.

    Args:
        config: all settings.
        data: the data's description.
        changes: the settings that a resumed run is to change; None begins a new run.
    """
    # Each worker may have its own place for the data; the chief alone writes.
    own = {"data", "data_dir", "model"}
    names = [
        name
        for name, field in TrainConfig.model_fields.items()
        if not field.exclude and name not in own
        if about(name)["group"] != "output" or name == "checkpoint_every"
    ]
    settings = config.model_dump(mode="json", include={*names})
    facts: dict[str, Any] = {"--resume": changes is not None, "--model": config.model}
    if is_file(config.model):
        path, class_name = file_and_class(config.model)
        facts["--model"] = f"{path.name}:{class_name or ''}".rstrip(":")
        facts["the SHA-256 of the model file"] = (describe_file(config.model) or {})["sha256"]
    facts |= {f"--{name.replace('_', '-')}": settings[name] for name in names}
    return facts | _flat({"data": {**data, "source": None}})


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """The innermost values of nested JSON objects, by their path."""
    found: dict[str, Any] = {}
    for name, value in values.items():
        path = f"{prefix}{name}"
        found |= _flat(value, f"{path}: ") if isinstance(value, Mapping) else {path: value}
    return found
