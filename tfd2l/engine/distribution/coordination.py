"""Processes that train together: they agree before they begin, and end with each other.

The words go through TensorFlow's coordination service, which the first process runs, and the end of
a process reaches the others as an error of their next collective operation.
"""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import tensorflow as tf
from tensorflow.python.eager import context

from pipelines.basics.text import one_line, shown
from tfd2l.engine.errors import DisagreementError, WorkerError
from tfd2l.engine.tracing.workers import is_of_cluster

__all__ = ["Coordination", "coordination_of"]

# The service's calls hold Python back from handling signals, so none is longer.
POLL_MS = 500
# A worker that does not answer for so long counts as lost, as with TensorFlow's heartbeats.
HEALTH_MS = 10_000
# An error that is one of all workers reaches them within this time.
LEAVING_MS = 3_000
# The service, which may end with this process, passes a report on within this time.
PASSING_S = 1
_LEFT = "left"
_NOTE = re.compile(r"worker-left (\d+): (.*?) :worker-left", re.DOTALL)


class Coordination:
    """The words between the processes of a `MultiWorkerMirroredStrategy`, called workers here.

    Attributes:
        index: the number of this worker, from 0; the chief is 0.
        addresses: host:port of each worker.
    """

    def __init__(self, strategy: tf.distribute.Strategy) -> None:
        """Use the cluster of a strategy, whose workers have connected to each other."""
        spec = strategy.cluster_resolver.cluster_spec()
        self._names = [
            f"/job:{job}/replica:0/task:{task}"
            for job in ("chief", "worker")
            if job in spec.jobs
            for task in spec.task_indices(job)
        ]
        self.addresses = [
            address
            for job in ("chief", "worker")
            if job in spec.jobs
            for address in spec.job_tasks(job)
        ]
        self.index = int(strategy.extended._id_in_cluster)
        self._service = context.context()
        self._exchanges = self._blocks = 0
        self._gone = False

    def tell(self, key: str, value: Any) -> None:
        """Let all workers hear a JSON value under a new key.

        Raises:
            WorkerError: the chief is lost.
        """
        # A chief that is stopped would be waited for without end.
        self._check(0)
        try:
            self._service.set_config_key_value(key, json.dumps(value, default=str))
        except tf.errors.OpError as error:
            raise self._lost(error) from error

    def hear(self, key: str, worker: int = 0) -> Any:
        """Wait for the JSON value that a worker tells under a key.

        Raises:
            WorkerError: that worker, or the chief, is lost or has left.
        """
        while True:
            with contextlib.suppress(tf.errors.DeadlineExceededError):
                try:
                    return json.loads(self._service.get_config_key_value(key, POLL_MS))
                except tf.errors.DeadlineExceededError:
                    raise
                except tf.errors.OpError as error:
                    raise self._lost(error) from error
            self._check(0)
            if (note := self._note()) is not None:
                raise self._error(*note)
            self._check(worker)

    def agree(self, facts: Mapping[str, Any]) -> None:
        """Check that all workers have the same facts; each call meets that of the others.

        Args:
            facts: JSON values by the names that an error gives.

        Raises:
            DisagreementError: a worker differs from the chief; the error is the same on all.
            WorkerError: a worker is lost or has left.
        """
        self._exchanges += 1
        keys = [f"facts {self._exchanges} of {worker}" for worker in range(len(self.addresses))]
        self.tell(keys[self.index], facts)
        first, *others = [self.hear(key, worker) for worker, key in enumerate(keys)]
        for worker, other in enumerate(others, 1):
            for name in first | other:
                if first.get(name) != other.get(name):
                    raise DisagreementError(
                        f"all workers must train alike; {name} is {_shown(other.get(name))} on "
                        f"{self.name_of(worker)} and {_shown(first.get(name))} on "
                        f"{self.name_of(0)}. Start all with the same."
                    )

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """Inside, what ends this worker ends the others too, with a line that names it.

        Raises:
            WorkerError: another worker is lost, or has ended by an error.
        """
        self._blocks += 1
        block = self._blocks
        try:
            yield
        except tf.errors.OpError as error:
            if not is_of_cluster(error):
                self._leave(block, error)
                raise
            raise self._lost(error) from error
        except BaseException as error:
            self._leave(block, error)
            raise

    def name_of(self, worker: int) -> str:
        """A worker's number and address, for messages."""
        return f"worker {worker} ({self.addresses[worker]})"

    def _leave(self, block: int, error: BaseException) -> None:
        """Tell the others that an error ends this worker, unless the same one ends all."""
        if self._gone:
            return
        with contextlib.suppress(tf.errors.OpError):
            # All workers come here if, say, the loss is not finite.
            self._service.wait_at_barrier(f"end of block {block}", LEAVING_MS)
            return
        with contextlib.suppress(WorkerError):
            self._announce(self.index, one_line(f"{type(error).__name__}: {error}", 300))

    def _announce(self, worker: int, reason: str) -> None:
        """End the collective operations of all workers, with the number of the one to blame.

        Raises:
            WorkerError: the chief, which runs the service, does not answer.
        """
        self._check(0)
        self._gone = True
        with contextlib.suppress(tf.errors.OpError):
            note = f"worker-left {worker}: {reason} :worker-left"
            self._service.set_config_key_value(_LEFT, note)
            self._service.report_error_to_cluster(tf.errors.INTERNAL, note)
            time.sleep(PASSING_S)

    def _lost(self, error: tf.errors.OpError) -> WorkerError:
        """The error that names the worker whose end has caused one of TensorFlow's.

        Raises:
            WorkerError: the others ended because the chief does not answer.
        """
        text = str(error)
        if found := _NOTE.search(text):
            return self._error(int(found[1]), found[2])
        named = [worker for worker in self._named(text) if worker != self.index]
        # What names no other is the silence of the service, which the chief runs.
        worker = named[0] if named else 0
        if worker != 0:
            if (note := self._note()) is not None:
                return self._error(*note)
            self._announce(worker, "")
        return self._error(worker, "")

    def _named(self, text: str) -> list[int]:
        """The workers that an error of TensorFlow names, in its order."""
        short = [name.replace("/replica:0", "") for name in self._names]
        found = re.findall(r"/job:\w+(?:/replica:0)?/task:\d+", text)
        return [
            short.index(name) for one in found if (name := one.replace("/replica:0", "")) in short
        ]

    def _error(self, worker: int, reason: str) -> WorkerError:
        if self.index == 0 and not self._gone:
            # The others have to hear of it from the service, and not that the chief is gone.
            time.sleep(PASSING_S)
        self._gone = True
        how = f"has ended by {reason}" if reason else "has ended or can't be reached"
        return WorkerError(f"{self.name_of(worker)} {how}".rstrip("."))

    def _note(self) -> tuple[int, str] | None:
        """The number of a worker that has left, and the reason."""
        with contextlib.suppress(tf.errors.OpError):
            found = _NOTE.search(self._service.get_config_key_value(_LEFT, 1))
            return None if found is None else (int(found[1]), found[2])
        return None

    def _check(self, worker: int) -> None:
        """Raise WorkerError if a worker does not answer."""
        if worker != self.index:
            try:
                self._service.check_collective_ops_peer_health(
                    self._names[worker], timeout_in_ms=HEALTH_MS
                )
            except tf.errors.OpError as error:
                raise self._error(worker, "") from error


@cache
def coordination_of(strategy: tf.distribute.Strategy) -> Coordination:
    """The words of a strategy's workers, whose order all its trainers share."""
    return Coordination(strategy)


def _shown(value: Any) -> str:
    return "not set" if value is None else shown(value)
