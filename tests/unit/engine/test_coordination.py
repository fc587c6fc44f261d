"""The words between workers, through a service in this process that stands for TensorFlow's."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest
import tensorflow as tf
from tensorflow.python.eager import context

from tfd2l.engine.distribution import coordination
from tfd2l.engine.distribution.coordination import Coordination
from tfd2l.engine.errors import DisagreementError, WorkerError
from tfd2l.engine.tracing.workers import is_of_cluster

UNHEALTHY = (
    "Collective ops is aborted by: Error reported from /job:worker/task:1: The following tasks are "
    "unhealthy (stopped sending heartbeats): /job:worker/replica:0/task:1"
)
SILENT_CHIEF = (
    "Collective ops is aborted by: Deadline Exceeded "
    " RPC: /tensorflow.CoordinationService/Heartbeat"
)

CHIEF = "/job:chief/replica:0/task:0"


class Service:
    """Keys and values, barriers, and reported errors, as TensorFlow's context has them."""

    def __init__(self, count: int) -> None:
        self.values: dict[str, str] = {}
        self.reported: list[str] = []
        self.lost: set[str] = set()
        self._barriers: dict[str, threading.Barrier] = {}
        self._count, self._lock = count, threading.Lock()

    def set_config_key_value(self, key: str, value: str) -> None:
        assert CHIEF not in self.lost, "TensorFlow's waits without end for a chief that is stopped"
        with self._lock:
            if key in self.values:
                raise tf.errors.AlreadyExistsError(None, None, key)
            self.values[key] = value

    def get_config_key_value(self, key: str, timeout_in_ms: int) -> str:
        deadline_s = time.monotonic() + timeout_in_ms / 1000
        while key not in self.values:
            if time.monotonic() > deadline_s:
                raise tf.errors.DeadlineExceededError(None, None, key)
            time.sleep(0.001)
        return self.values[key]

    def wait_at_barrier(self, name: str, timeout_in_ms: int) -> None:
        with self._lock:
            barrier = self._barriers.setdefault(name, threading.Barrier(self._count))
        try:
            barrier.wait(timeout_in_ms / 1000)
        except threading.BrokenBarrierError as error:
            raise tf.errors.DeadlineExceededError(None, None, name) from error

    def report_error_to_cluster(self, code: int, message: str) -> None:
        self.reported.append(message)

    def check_collective_ops_peer_health(self, name: str, timeout_in_ms: int) -> None:
        if name in self.lost:
            raise tf.errors.UnavailableError(None, None, name)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> list[Coordination]:
    """Three workers; the first is the chief, a job of its own."""
    monkeypatch.setattr(coordination, "LEAVING_MS", 50)
    monkeypatch.setattr(coordination, "POLL_MS", 10)
    monkeypatch.setattr(coordination, "PASSING_S", 0)
    service = Service(3)
    monkeypatch.setattr(context, "context", lambda: service)
    spec = tf.train.ClusterSpec({"chief": ["a:1"], "worker": ["b:2", "c:3"]})
    resolver = SimpleNamespace(cluster_spec=lambda: spec)
    return [
        Coordination(
            SimpleNamespace(  # the parts of a strategy that it uses
                cluster_resolver=resolver, extended=SimpleNamespace(_id_in_cluster=number)
            )
        )
        for number in range(3)
    ]


def outcomes(*calls: Callable[[], Any]) -> list[Any]:
    """The results or errors of calls that run at the same time."""
    with ThreadPoolExecutor(len(calls)) as pool:
        found = [pool.submit(call) for call in calls]
        return [one.exception() or one.result() for one in found]


def test_all_hear_what_one_tells(workers: list[Coordination]) -> None:
    hear, tell = workers[2].hear, workers[0].tell
    assert outcomes(lambda: hear("plan"), lambda: tell("plan", {"run": "a"}))[0] == {"run": "a"}
    assert workers[1].name_of(2) == "worker 2 (c:3)"


def test_the_same_facts_pass_and_others_are_refused_on_all(workers: list[Coordination]) -> None:
    same = [lambda one=one: one.agree({"size": (2, 3), "seed": None}) for one in workers]
    assert outcomes(*same) == [None] * 3
    sizes = [4, 4, 8]
    other = [
        lambda one=one, size=size: one.agree({"a": 1, "size": size})
        for one, size in zip(workers, sizes, strict=True)
    ]
    errors = outcomes(*other)
    assert [type(error) for error in errors] == [DisagreementError] * 3
    assert {str(error) for error in errors} == {
        "all workers must train alike; size is 8 on worker 2 (c:3) and 4 on worker 0 (a:1). Start "
        "all with the same."
    }
    missing = [lambda one=one: one.agree({} if one.index else {"a": 1}) for one in workers]
    assert "a is not set on worker 1 (b:2) and 1 on worker 0" in str(outcomes(*missing)[1])


def test_an_error_of_one_worker_ends_the_others_with_its_words(
    workers: list[Coordination],
) -> None:
    def fail() -> None:
        with workers[1].together():
            raise LookupError("no such\ncolumn")

    def hear() -> None:
        with workers[0].together():
            workers[0].hear("plan", 2)

    failed, heard = outcomes(fail, hear)
    assert isinstance(failed, LookupError)
    assert isinstance(heard, WorkerError)
    words = "worker 1 (b:2) has ended by LookupError: no such column"
    assert heard.loss == words
    # TensorFlow hands the report on to those who are in a step.
    [report] = workers[0]._service.reported
    with pytest.raises(WorkerError) as caught, workers[2].together():
        raise tf.errors.InternalError(None, None, f"Collective ops is aborted by: {report} The")
    assert caught.value.loss == words


def test_an_error_that_all_have_is_each_ones_own(workers: list[Coordination]) -> None:
    def fail(worker: Coordination) -> None:
        with worker.together():
            raise ArithmeticError("the loss is nan")

    errors = outcomes(*(lambda one=one: fail(one) for one in workers))
    assert [type(error) for error in errors] == [ArithmeticError] * 3
    assert workers[0]._service.reported == []


@pytest.mark.parametrize(
    ("text", "lost"),
    [
        (UNHEALTHY, "worker 2 (c:3)"),
        (SILENT_CHIEF, "worker 0 (a:1)"),
        ("Connection reset by peer /job:chief/replica:0/task:0 RecvBuf", "worker 0 (a:1)"),
    ],
)
def test_a_lost_worker_is_named(text: str, lost: str, workers: list[Coordination]) -> None:
    error = tf.errors.UnavailableError(None, None, text)
    assert is_of_cluster(error)
    with pytest.raises(WorkerError) as caught, workers[1].together():
        raise error
    assert caught.value.loss == f"{lost} has ended or can't be reached"


def test_a_stopped_worker_is_noticed_by_those_who_wait_for_its_words(
    workers: list[Coordination],
) -> None:
    workers[0]._service.lost = {"/job:worker/replica:0/task:0"}
    with pytest.raises(WorkerError, match=r"^worker 1 \(b:2\) has ended or can't be reached"):
        workers[0].hear("facts", 1)


def test_a_stopped_chief_is_named_where_another_worker_has_ended_because_of_it(
    workers: list[Coordination],
) -> None:
    workers[0]._service.lost = {CHIEF}
    error = tf.errors.UnavailableError(None, None, UNHEALTHY)
    with (
        pytest.raises(WorkerError, match=r"^worker 0 \(a:1\) has ended or can't"),
        workers[1].together(),
    ):
        raise error
    with pytest.raises(WorkerError, match=r"^worker 0 \(a:1\) has ended or can't"):
        workers[1].tell("facts", {})


def test_the_chief_stays_until_the_others_can_have_heard(
    workers: list[Coordination], monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(coordination, "PASSING_S", 7)
    monkeypatch.setattr(time, "sleep", slept.append)
    report = "Collective ops is aborted by: worker-left 1: KeyError :worker-left"
    for worker, expected in ((workers[2], []), (workers[0], [7])):
        with pytest.raises(WorkerError, match=r"^worker 1 \(b:2\)"), worker.together():
            raise tf.errors.InternalError(None, None, report)
        assert slept == expected


def test_an_error_is_a_workers_own_also_if_the_chief_is_stopped(
    workers: list[Coordination],
) -> None:
    workers[0]._service.lost = {CHIEF}
    with pytest.raises(LookupError, match="no such column"), workers[1].together():
        raise LookupError("no such column")


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Collective ops is aborted by: /job:worker/task:1"),
        tf.errors.InvalidArgumentError(None, None, "indices[0] = 9 is not in [0, 3)"),
        tf.errors.InternalError(None, None, "Collective ops is aborted: mismatch /job:chief"),
    ],
)  # fmt: skip
def test_an_error_of_a_step_is_none_of_the_cluster(error: Exception) -> None:
    assert not is_of_cluster(error)
