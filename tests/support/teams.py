"""Starts the command on several workers of this machine, disturbs one, and watches the others."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import socket
import time
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.warm import WarmProcess
from tfd2l.engine.checkpoint import checkpoints

__all__ = ["LIMIT_S", "Crew", "free_addresses", "random_fault"]

# The promise to users: after a fault the others end within this time.
LIMIT_S = 60


def free_addresses(count: int) -> list[str]:
    """Addresses of this machine whose ports are free."""
    with contextlib.ExitStack() as stack:
        bound = [stack.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)]
        return [f"127.0.0.1:{one.getsockname()[1]}" for one in bound]


@dataclass
class Crew:
    """Workers of one command, in a directory of their own.

    Attributes:
        folder: the working directory of all; has the output of worker i in `<i>.txt`.
        count: the number of workers.
        processes: those of the last start.
    """

    folder: Path
    count: int
    processes: list[WarmProcess] = field(default_factory=list)

    def start(self, flags: str, each: tuple[str, ...] = (), chief: bool = False) -> None:
        """Start all workers.

        Args:
            flags: of all.
            each: further flags of each.
            chief: give the cluster as Kubeflow's operator does, with a job for the first worker.
        """
        self.kill()
        addresses = free_addresses(self.count)
        self.processes = []
        for number in range(self.count):
            self.output(number).unlink(missing_ok=True)
            cluster: dict[str, list[str]] = {"worker": addresses}
            task: dict[str, object] = {"type": "worker", "index": number}
            if chief:
                cluster = {"chief": addresses[:1], "worker": addresses[1:]}
                task = {"type": "worker", "index": number - 1}
                if number == 0:
                    task = {"type": "chief", "index": 0}
            more = each[number].split() if each else []
            self.processes.append(
                WarmProcess(
                    ["-m", "tfd2l.train", *flags.split(), *more],
                    cwd=self.folder,
                    environment={
                        **os.environ,
                        "TF_CONFIG": json.dumps({"cluster": cluster, "task": task}),
                    },
                    outputs=(self.output(number), self.output(number)),
                )
            )

    def output(self, number: int) -> Path:
        """The file with the output of a worker."""
        return self.folder / f"{number}.txt"

    def text(self, number: int) -> str:
        """The output of a worker."""
        return self.output(number).read_text() if self.output(number).exists() else ""

    def lines(self, number: int) -> list[str]:
        """The lines of a worker's output."""
        return self.text(number).splitlines()

    def wait_until_connected(self) -> None:
        """Wait until TensorFlow has connected the workers."""
        started_s = time.monotonic()
        while not all(self.text(number) for number in range(self.count)):
            assert time.monotonic() - started_s < LIMIT_S, self.outputs()
            assert all(one.poll() is None for one in self.processes), self.outputs()
            time.sleep(0.05)

    def wait_for_checkpoint(self, run: str = "run") -> None:
        """Wait until the run has its first checkpoint."""
        started_s = time.monotonic()
        while not checkpoints(self.folder / run / "checkpoints"):
            assert time.monotonic() - started_s < LIMIT_S, self.outputs()
            time.sleep(0.1)

    def wait(self, numbers: list[int] | None = None) -> list[int]:
        """Wait for the end of workers, within the time that is promised; return their statuses."""
        deadline_s = time.monotonic() + LIMIT_S
        try:
            return [
                self.processes[number].wait(max(0.1, deadline_s - time.monotonic()))
                for number in (range(self.count) if numbers is None else numbers)
            ]
        finally:
            self.kill()

    def disturb(self, signal_number: int, victim: int) -> list[int]:
        """Send a signal to a worker; return the statuses of all that it lets end by themselves."""
        self.processes[victim].send_signal(signal_number)
        lost = signal_number in (signal.SIGKILL, signal.SIGSTOP)
        return self.wait([n for n in range(self.count) if n != victim or not lost])

    def kill(self) -> None:
        """Kill all workers that run or are stopped."""
        for process in self.processes:
            if process.poll() is None:
                process.kill_group()
                process.wait()

    def outputs(self) -> str:
        """The outputs of all workers, for messages."""
        return "\n".join(f"--- {n}\n{self.text(n)}" for n in range(self.count))


def random_fault(count: int, chance: random.Random) -> tuple[signal.Signals, int]:
    """A signal, and the number of the worker that it is for."""
    kinds = [signal.SIGKILL, signal.SIGSTOP, signal.SIGTERM, signal.SIGINT]
    return chance.choice(kinds), chance.randrange(count)
