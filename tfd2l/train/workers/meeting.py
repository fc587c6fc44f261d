"""The meeting of all workers, before TensorFlow connects them.

While TensorFlow waits for a worker that was not started, it can't be interrupted and says nothing.
So the workers meet at the chief's address first. Imports nothing slow.
"""

from __future__ import annotations

import contextlib
import errno
import json
import select
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

from pipelines.basics.text import one_line
from tfd2l.common.errors import Tfd2lError
from tfd2l.common.packages import package_versions, project_version
from tfd2l.train.settings.cluster import Cluster, address_of

__all__ = ["MeetingError", "meet"]

# The images of containers may have to be fetched, and hosts to be started.
WAIT_S = 600
# A line says who is missing, when this time has passed.
QUIET_S = 5
# In a cluster, a new container's own name is known a moment after the container starts.
OWN_NAME_S = 30
_RETRY_S = 0.5
_MAX_BYTES = 4096
Say = Callable[[str], object]


class MeetingError(Tfd2lError, RuntimeError):
    """The workers of a run can't meet."""


def meet(cluster: Cluster, say: Say, wait_s: float | None = None) -> None:
    """Wait until all workers are there.

    Args:
        cluster: the workers.
        say: called with a line about those who are missing.
        wait_s: the time after which to give up, in seconds.

    Raises:
        MeetingError: they are not there in time, have other addresses or versions, or an address
            can't be used.
    """
    deadline_s = time.monotonic() + (WAIT_S if wait_s is None else wait_s)
    with _listening(cluster.addresses[cluster.index]) as server:
        if cluster.index == 0:
            _Chief(cluster, server).receive_all(say, deadline_s)
        else:
            _report_to_chief(cluster, say, deadline_s)


class _Chief:
    """The chief at the meeting: it lets all go when all are there, or refuses all."""

    def __init__(self, cluster: Cluster, server: socket.socket) -> None:
        self._cluster, self._server = cluster, server
        self._guests: dict[int, socket.socket] = {}

    def receive_all(self, say: Say, deadline_s: float) -> None:
        patience = _Patience(self._cluster, say, deadline_s)
        mine = _introduction(self._cluster)
        try:
            while missing := sorted(
                {*range(1, len(self._cluster.addresses))} - self._guests.keys()
            ):
                patience.wait_for(missing)
                self._receive(mine)
            self._answer({"go": True})
        finally:
            for guest in self._guests.values():
                guest.close()

    def _receive(self, mine: dict[str, Any]) -> None:
        """Take a new worker in, or note that one has left."""
        ready, _, _ = select.select([self._server, *self._guests.values()], [], [], _RETRY_S)
        for index, guest in list(self._guests.items()):
            if guest in ready:  # they say nothing more, so it has ended
                self._guests.pop(index).close()
        if self._server not in ready:
            return
        guest, _ = self._server.accept()
        found = _read(guest)
        number = found.get("index")
        if type(number) is not int or not 0 <= number < len(self._cluster.addresses):
            guest.close()  # some other program
            return
        problem = _difference(self._cluster, number, found, mine)
        if number == 0 or number in self._guests:
            problem = f"two workers have the number {number}; give each its own --worker-index"
        self._guests[number if problem is None else -1] = guest
        if problem is not None:
            self._answer({"refused": problem})
            raise MeetingError(f"{problem}.")

    def _answer(self, answer: dict[str, Any]) -> None:
        for guest in self._guests.values():
            with contextlib.suppress(OSError):
                guest.sendall(json.dumps(answer).encode() + b"\n")


def _report_to_chief(cluster: Cluster, say: Say, deadline_s: float) -> None:
    patience = _Patience(cluster, say, deadline_s)
    while True:
        patience.wait_for([0])
        try:
            with socket.create_connection(
                address_of(cluster.addresses[0]), timeout=_RETRY_S
            ) as chief:
                chief.sendall(json.dumps(_introduction(cluster)).encode() + b"\n")
                chief.settimeout(None)
                answer = _answer_of(chief, patience)
        except OSError:
            time.sleep(_RETRY_S)
            continue
        if "refused" in answer:
            raise MeetingError(f"{one_line(str(answer['refused']))}.")
        if answer.get("go"):
            return
        time.sleep(_RETRY_S)


def _answer_of(chief: socket.socket, patience: _Patience) -> dict[str, Any]:
    """Wait for the chief's answer; {} if the chief has ended."""
    while not select.select([chief], [], [], _RETRY_S)[0]:
        patience.wait_for([])
    return _read(chief)


class _Patience:
    """Says once who is missing, and gives up in the end."""

    def __init__(self, cluster: Cluster, say: Say, deadline_s: float) -> None:
        self._cluster, self._say, self._deadline_s = cluster, say, deadline_s
        self._say_s = time.monotonic() + QUIET_S
        self._said: list[int] | None = None

    def wait_for(self, missing: list[int]) -> None:
        """Return if there is time left to wait for these workers."""
        now_s = time.monotonic()
        here = f"worker {self._cluster.index} of {len(self._cluster.addresses)}"
        if now_s > self._deadline_s:
            raise MeetingError(
                f"{here} has waited in vain for {self._named(missing)}; start all workers, with "
                "the same addresses, and check that these can be reached."
            )
        if now_s > self._say_s and missing != self._said:
            self._said = missing
            left_s = max(1, round(self._deadline_s - now_s))
            self._say(f"{here}: waiting for {self._named(missing)}, for {left_s} seconds more")

    def _named(self, missing: list[int]) -> str:
        names = []
        for worker in missing:
            try:
                socket.getaddrinfo(*address_of(self._cluster.addresses[worker]))
                unknown = ""
            except OSError:
                unknown = ", a host that can't be found"
            names.append(f"{self._cluster.name_of(worker)}{unknown}")
        return "; ".join(names) or "other workers"


@contextlib.contextmanager
def _listening(address: str) -> Iterator[socket.socket]:
    """Listen at this worker's own address, and so check that its port is free."""
    host, port = address_of(address)
    with _bound(host, port) as server:
        yield server


def _found(host: str, port: int) -> tuple[int, Any]:
    """The family and the place of a host, whose name may not be known yet."""
    deadline_s = time.monotonic() + OWN_NAME_S
    while True:
        try:
            family, *_, place = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            return family, place
        except socket.gaierror as error:
            if time.monotonic() > deadline_s:
                raise MeetingError(
                    "the address of this worker must be a host that can be found; got "
                    f"'{host}:{port}'."
                ) from error
        time.sleep(_RETRY_S)


def _bound(host: str, port: int) -> socket.socket:
    family, place = _found(host, port)
    for where in (place, ("", port)):
        server = socket.socket(family)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            server.bind(where)
            server.listen()
        except OSError as error:
            server.close()
            # A container may be reached by the address of another machine, which forwards to it.
            if where is place and error.errno == errno.EADDRNOTAVAIL:
                continue
            raise MeetingError(
                f"this worker can't listen at {host}:{port}: {error.strerror}. Choose a free port."
            ) from error
        return server
    raise AssertionError


def _introduction(cluster: Cluster) -> dict[str, Any]:
    return {
        "index": cluster.index,
        "the list of workers": cluster.addresses,
        "the version of tfd2l": project_version(),
        "the version of tensorflow": package_versions()["tensorflow"],
    }


def _difference(
    cluster: Cluster, index: int, found: dict[str, Any], mine: dict[str, Any]
) -> str | None:
    for name, value in mine.items():
        if name != "index" and found.get(name) != value:
            return (
                f"all workers must train alike; {name} is {found.get(name)!r} on "
                f"{cluster.name_of(index)} and {value!r} on {cluster.name_of(0)}"
            )
    return None


def _read(connection: socket.socket) -> dict[str, Any]:
    """A line of JSON; {} for anything else."""
    connection.settimeout(2)
    try:
        with connection.makefile("rb") as file:
            found = json.loads(file.readline(_MAX_BYTES))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
