"""The workers of a run: their addresses and the number of this one, from flags or `TF_CONFIG`.

Imports nothing slow.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipelines.basics.text import shown
from tfd2l.common.commands import UsageError

__all__ = ["Cluster", "address_of", "addresses_in", "cluster_of"]

MAX_WORKERS = 1000
_EXAMPLE = (
    '{"cluster": {"worker": ["10.0.0.1:2222", "10.0.0.2:2222"]}, '
    '"task": {"type": "worker", "index": 0}}'
)


@dataclass(frozen=True)
class Cluster:
    """The processes that make a run together.

    Attributes:
        jobs: TensorFlow's names of jobs, 'chief' and 'worker', with host:port of each task.
        job: that of this process.
        task: its number in the job, from 0.
    """

    jobs: Mapping[str, list[str]]
    job: str
    task: int

    @property
    def addresses(self) -> list[str]:
        """Host and port of each worker; the chief is the first."""
        return [*self.jobs.get("chief", ()), *self.jobs.get("worker", ())]

    @property
    def index(self) -> int:
        """The number of this worker, from 0."""
        return self.task + (len(self.jobs.get("chief", ())) if self.job == "worker" else 0)

    def name_of(self, index: int) -> str:
        """A worker's number and address, for messages."""
        return f"worker {index} ({self.addresses[index]})"

    def tf_config(self) -> str:
        """The value of `TF_CONFIG` for this process."""
        return json.dumps(
            {"cluster": dict(self.jobs), "task": {"type": self.job, "index": self.task}}
        )


def cluster_of(workers: str | None, index: int | None) -> Cluster | None:
    """The cluster that the flags or the environment describe; None for a single process.

    Args:
        workers: --workers, host:port of each, with commas between them.
        index: --worker-index, the number of this one from 0.

    Raises:
        UsageError: they can't be used.
    """
    text = os.environ.get("TF_CONFIG", "").strip()
    if workers is None:
        cluster = _in_environment(text) if text else None
    elif text:
        raise UsageError("--workers and the environment's TF_CONFIG exclude each other; drop one.")
    else:
        cluster = Cluster({"worker": addresses_in(workers)}, "worker", index or 0)
    if cluster is None or len(cluster.addresses) < 2:
        return None
    return cluster


def addresses_in(text: str) -> list[str]:
    """The addresses in 'host:port,host:port'; ValueError for another text."""
    addresses = [one.strip() for one in text.split(",")]
    if not all(map(_is_address, addresses)) or len({*addresses}) < len(addresses):
        raise ValueError("HOST:PORT,HOST:PORT, each once and with a port from 1 to 65535")
    if len(addresses) > MAX_WORKERS:
        raise ValueError(f"at most {MAX_WORKERS} addresses HOST:PORT")
    return addresses


def address_of(text: str) -> tuple[str, int]:
    """Host and port of an address."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def _is_address(text: Any) -> bool:
    if not isinstance(text, str) or not re.fullmatch(
        r"(\[[0-9a-fA-F:.]+\]|[^\s:/\[\],]+):\d{1,5}", text
    ):
        return False
    return 1 <= address_of(text)[1] <= 65535


def _in_environment(text: str) -> Cluster | None:
    try:
        found = json.loads(text)
        cluster, task = found.get("cluster", {}), found.get("task", {})
        jobs = {job: list(addresses) for job, addresses in cluster.items()}
        job, number = task.get("type", "worker"), int(task.get("index", 0))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"the environment's TF_CONFIG must be JSON such as {_EXAMPLE}; got {shown(text)}."
        ) from error
    if sum(map(len, jobs.values())) < 2:
        return None
    if others := sorted({*jobs, job} - {"chief", "worker", "evaluator"}):
        raise UsageError(
            f"TF_CONFIG must have the jobs chief and worker; got {shown(others[0])}. Each worker "
            "has all parameters, so there are no parameter servers."
        )
    if job == "evaluator":
        raise UsageError("TF_CONFIG has an evaluator; the workers evaluate by themselves, drop it.")
    jobs = {name: jobs[name] for name in ("chief", "worker") if jobs.get(name)}
    every = [address for addresses in jobs.values() for address in addresses]
    if wrong := [one for one in every if not _is_address(one)]:
        raise UsageError(f"TF_CONFIG must have addresses HOST:PORT; got {shown(wrong[0])}.")
    if len({*every}) < len(every) or len(jobs.get("chief", ())) > 1:
        raise UsageError("TF_CONFIG must have each address once, and at most one chief.")
    if not 0 <= number < len(jobs.get(job, ())):
        raise UsageError(
            f"TF_CONFIG must have a task of the cluster; got number {number} of the job {job!r}, "
            f"which has {len(jobs.get(job, ()))}, counted from 0."
        )
    return Cluster(jobs, job, number)
