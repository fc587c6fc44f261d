"""The meeting of the workers, each in a thread, at addresses of this machine."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from tests.support.teams import free_addresses
from tfd2l.train.settings.cluster import Cluster
from tfd2l.train.workers import meeting
from tfd2l.train.workers.meeting import MeetingError, meet


def errors_of(*clusters: Cluster, wait_s: float = 5) -> list[str]:
    """The errors with which the workers' meetings end; '' for one that succeeds."""
    with ThreadPoolExecutor(len(clusters)) as pool:
        meetings: list[Future[None]] = [
            pool.submit(meet, cluster, lambda line: None, wait_s) for cluster in clusters
        ]
        return [str(one.exception() or "") for one in meetings]


def clusters(count: int) -> list[Cluster]:
    """The clusters of so many workers."""
    addresses = free_addresses(count)
    return [Cluster({"worker": addresses}, "worker", number) for number in range(count)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "_RETRY_S", 0.02)
    monkeypatch.setattr(meeting, "QUIET_S", 0.05)


def test_workers_meet_and_leave_their_ports_free() -> None:
    three = clusters(3)
    assert errors_of(*three) == ["", "", ""]
    for address in three[0].addresses:
        host, _, port = address.partition(":")
        socket.create_server((host, int(port))).close()


def test_a_chief_of_its_own_job_and_a_worker_meet() -> None:
    first, second = free_addresses(2)
    jobs = {"chief": [first], "worker": [second]}
    assert errors_of(Cluster(jobs, "chief", 0), Cluster(jobs, "worker", 0)) == ["", ""]


@pytest.mark.parametrize("number", [0, 1])
def test_one_that_stays_alone_says_for_whom_it_waits_and_gives_up(number: int) -> None:
    cluster = clusters(2)[number]
    said: list[str] = []
    with pytest.raises(MeetingError, match=f"waited in vain for worker {1 - number} "):
        meet(cluster, said.append, 0.3)
    assert len(said) == 1
    assert said[0].startswith(f"worker {number} of 2: waiting for worker {1 - number} (127.0.0.1:")


@pytest.mark.slow
def test_other_addresses_and_versions_are_refused_on_all(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, third = clusters(3)
    longer = Cluster({"worker": [*one.addresses, "127.0.0.1:1"]}, "worker", 1)
    refusals = errors_of(one, longer, third)
    assert all("the list of workers is" in refusal for refusal in refusals[:2])
    introduction = meeting._introduction

    def older(cluster: Cluster) -> object:
        return introduction(cluster) | ({"the version of tfd2l": "0"} if cluster.index == 1 else {})

    monkeypatch.setattr(meeting, "_introduction", older)
    refusals = errors_of(one, other, wait_s=1)
    assert refusals[0] == refusals[1]
    assert refusals[0].startswith("all workers must train alike; the version of tfd2l is '0' on ")


def test_two_workers_of_one_number_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    one, other, _ = clusters(3)
    # On machines of their own, so that the address is free on both.
    monkeypatch.setattr(meeting, "_bound", on_any_port(one.addresses[0]))
    refusals = errors_of(one, other, other)
    assert "two workers have the number 1" in refusals[0]


def on_any_port(chief: str) -> object:
    """As `_bound`, and others than the chief listen at any free port."""
    bound = meeting._bound
    return lambda host, port: bound(host, port if f"{host}:{port}" == chief else 0)


def test_a_port_in_use_and_an_unknown_host_are_named() -> None:
    one, _ = clusters(2)
    host, _, port = one.addresses[0].partition(":")
    with (
        socket.create_server((host, int(port))),
        pytest.raises(MeetingError, match=f"can't listen at {one.addresses[0]}: Address already"),
    ):
        meet(one, print)


def test_a_workers_own_name_may_be_known_late(monkeypatch: pytest.MonkeyPatch) -> None:
    real, asked = socket.getaddrinfo, []

    def late(host: str, *rest: Any, **named: Any) -> Any:
        asked.append(host)
        if len(asked) < 3:
            raise socket.gaierror("not known")
        return real("127.0.0.1" if host == "pod-0.job" else host, *rest, **named)

    monkeypatch.setattr(socket, "getaddrinfo", late)
    monkeypatch.setattr(meeting, "_RETRY_S", 0.01)
    one, other = clusters(2)
    port = one.addresses[0].rpartition(":")[2]
    named = Cluster({"worker": [f"pod-0.job:{port}", other.addresses[1]]}, "worker", 0)
    with pytest.raises(MeetingError, match="has waited in vain"):  # it listens by then
        meet(named, lambda line: None, 0.1)
    assert asked[:3] == ["pod-0.job"] * 3


def test_a_workers_own_name_that_stays_unknown_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meeting, "OWN_NAME_S", 0.02)
    monkeypatch.setattr(meeting, "_RETRY_S", 0.01)
    unknown = Cluster({"worker": ["no-host.invalid:1", "127.0.0.1:2"]}, "worker", 0)
    with pytest.raises(MeetingError, match=r"must be a host that can be found; got 'no-host"):
        meet(unknown, print)


def test_other_programs_at_the_port_are_ignored() -> None:
    one, other = clusters(2)
    with ThreadPoolExecutor(2) as pool:
        chief = pool.submit(meet, one, lambda line: None, 5)
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"[1]\n", b'{"index": 9}\n'):
            greet(one.addresses[0], words)
        pool.submit(meet, other, lambda line: None, 5).result()
        chief.result()


def greet(address: str, words: bytes) -> None:
    """Connect to the chief as some other program would."""
    host, _, port = address.partition(":")
    for _ in range(100):
        with (
            contextlib.suppress(ConnectionRefusedError),
            socket.create_connection((host, int(port))) as connection,
        ):
            connection.sendall(words)
            return
