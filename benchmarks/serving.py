"""`python -m benchmarks.serving`: requests a second and latencies, before and during a swap.

Starts the development server on a fresh export of an MLP, sends it requests of 1 and of 64 images
over several connections, publishes the next version meanwhile, and counts the failed requests: if
there are any, the exit status is 1.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import contextlib
import json
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import requests

import tfd2l as d2l
from benchmarks.processes import ROOT
from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tfd2l.export.expected import classifier_checks
from tfd2l.export.publish import publish_version, published_versions
from tfd2l.export.signatures import export_classifier


def publish_first(base: Path) -> None:
    """Publish an untrained MLP, which answers as fast as a trained one."""
    model = d2l.MLP(10, 256, lr=0.1)
    images = np.random.default_rng(0).integers(0, 256, (8, 28, 28), np.uint8)
    published: dict[str, Any] = {
        "labels": fashion_mnist.LABELS,
        "preprocess": lambda images: prepare_images(images, None),
    }
    publish_version(
        lambda directory: export_classifier(model, directory, **published),
        base,
        checks=classifier_checks(model, images, **published),
        card={},
    )


class Load:
    """Threads that send one request repeatedly, each over its own connection."""

    def __init__(self, url: str, images: int, connections: int) -> None:
        """Build the request; `run` sends it."""
        pixels = np.random.default_rng(0).integers(0, 256, (images, 28, 28)).tolist()
        self._body = json.dumps({"inputs": {"image": pixels}}).encode()
        self._url, self._connections = url, connections
        self.latencies: list[float] = []
        self.failures: list[str] = []

    def run(self, seconds: float) -> float:
        """Send for this many seconds; return the requests a second."""
        end_s = time.perf_counter() + seconds
        threads = [
            threading.Thread(target=self._send, args=(end_s,)) for _ in range(self._connections)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return len(self.latencies) / seconds

    def _send(self, end_s: float) -> None:
        with requests.Session() as session:
            while (started_s := time.perf_counter()) < end_s:
                try:
                    answer = session.post(self._url, data=self._body, timeout=30)
                    if answer.status_code != 200:
                        self.failures.append(f"{answer.status_code}: {answer.text[:100]}")
                except requests.RequestException as error:
                    self.failures.append(repr(error)[:150])
                self.latencies.append(time.perf_counter() - started_s)


def report(title: str, load: Load, rate: float) -> None:
    """Print a line of the table."""
    cuts = statistics.quantiles(load.latencies, n=100)
    p50, p95, p99 = (1e3 * cuts[n - 1] for n in (50, 95, 99))
    print(
        f"{title:<30}{rate:>9.0f}{p50:>9.1f}{p95:>9.1f}{p99:>9.1f}{len(load.failures):>9}",
        flush=True,
    )
    for failure in sorted({*load.failures})[:3]:
        print(f"    {failure}")


def main() -> int:
    """Read the flags and measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--connections", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        base = Path(name, "mlp")
        publish_first(base)
        with serving(Path(name)) as url:
            return 1 if measure(f"{url}/v1/models/mlp:predict", base, options) else 0


@contextlib.contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Run the server as a process; yield its URL."""
    command = [sys.executable, "-m", "tfd2l.serve", str(directory), "--port", "0"]
    with subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as server:
        stdout: Any = server.stdout
        found: Any = re.search(r"http://[\d.]+:\d+", stdout.readline())
        try:
            yield found[0]
        finally:
            server.terminate()
        if server.wait(timeout=30) != 0:
            raise SystemExit(f"the server ended with status {server.returncode}")


def measure(url: str, base: Path, options: argparse.Namespace) -> int:
    """Print the table; return the number of failed requests."""
    columns = ("req/s", "p50 ms", "p95 ms", "p99 ms", "failed")
    print(f"{'':<30}" + "".join(f"{column:>9}" for column in columns))
    failed = 0
    for images in (1, 64):
        load = Load(url, images, options.connections)
        report(f"{images} images a request", load, load.run(options.seconds))
        failed += len(load.failures)
        swap = threading.Timer(options.seconds / 3, publish_next, [base])
        swap.start()
        load = Load(url, images, options.connections)
        report(f"{images}, and a new version", load, load.run(options.seconds))
        failed += len(load.failures)
        swap.join()
    return failed


def publish_next(base: Path) -> None:
    """Publish a copy as the next version by one rename.

    `publish` itself would run the load check, which takes CPU time from what is measured.
    """
    number = max(published_versions(base))
    shutil.copytree(base / str(number), base / ".staging")
    (base / ".staging").rename(base / str(number + 1))


if __name__ == "__main__":
    sys.exit(main())
