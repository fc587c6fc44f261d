"""`python -m benchmarks.data_service`: a pass whose preparation waits, by a `tf.data` service.

Each batch waits for 100 ms, as it would for a slow disk or a slow decoder on a machine of its own:
workers on one machine would share its processor, and gain nothing. The services run in turn.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.processes import ROOT

WORKERS = (1, 2, 4)
BATCHES, WAIT_S = 64, 0.1


@contextlib.contextmanager
def service(workers: int) -> Iterator[str]:
    """Start a service with so many workers, each in a process; yield its address."""
    processes: list[subprocess.Popen[str]] = []

    def start(*flags: str) -> None:
        command = [sys.executable, "-m", "tfd2l.data_service", *flags]
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        processes.append(
            subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
        )

    def address_of(process: subprocess.Popen[str]) -> str:
        line = process.stdout.readline() if process.stdout else ""
        return line.partition(" at ")[2].partition(";")[0]

    try:
        start("--port", "0")
        address = address_of(processes[0])
        for _ in range(workers - 1):
            start("--dispatcher", address)
        for process in processes[1:]:
            address_of(process)
        yield address
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def waited(X: Any) -> Any:
    """The batch, after `WAIT_S`."""
    import tensorflow as tf
    from tensorflow.python.data.experimental.ops import testing

    # The sleep comes once for the element and once for the end.
    pause = tf.data.Dataset.range(1).apply(testing.sleep(int(WAIT_S / 2 * 1e6)))
    return (X + pause.reduce(tf.constant(0, tf.int64), lambda total, number: total + number),)


def main() -> None:
    """Read the flags, measure in turn and print the medians."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.data_service", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    import tfd2l as d2l
    import tensorflow as tf  # isort: skip

    batches = tf.data.Dataset.range(4 * BATCHES).batch(4).map(lambda X: (X,))
    passes: dict[str, list[float]] = {}

    def timed(name: str, mapped: Any) -> None:
        begun_s = time.perf_counter()
        count = sum(1 for _ in mapped)
        passes.setdefault(name, []).append(time.perf_counter() - begun_s)
        if count != BATCHES:
            raise SystemExit(f"{name}: {count} batches of {BATCHES}")

    for _ in range(options.rounds):
        timed("map", batches.map(waited))
        for workers in WORKERS:
            with service(workers) as address:
                # The first pass finds the workers.
                list(d2l.map_on_service(batches, waited, address))
                timed(f"service, {workers} workers", d2l.map_on_service(batches, waited, address))
    print(f"{'seconds a pass':<24}{'median':>8}{'min':>8}{'max':>8}")
    for name, seconds in passes.items():
        print(
            f"{name:<24}{statistics.median(seconds):>8.2f}{min(seconds):>8.2f}{max(seconds):>8.2f}"
        )


if __name__ == "__main__":
    main()
