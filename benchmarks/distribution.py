"""`python -m benchmarks.distribution`: what several processes cost on this machine.

Processes on loopback share the machine's processor, so the seconds of an epoch show what sharing a
batch costs, not what it gains. The cost of a step's collective operations, by the number of
parameters, gives the model of the speed-up in `benchmarks.speedup`. The groups of processes run in
turn, round after round; figures are medians, with the machine's load beside them.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import json
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.processes import ROOT, last_json
from benchmarks.speedup import Work, draw, fitted

PROCESSES = (1, 2, 4)
PARAMETERS = (6_000, 60_000, 600_000, 3_000_000, 10_000_000)
EPOCHS, BATCHES = 4, (256, 2048)


def together(kind: str, count: int) -> dict[str, Any]:
    """Run a kind of measurement in `count` processes of a cluster; return what the first found."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    workers = [f"127.0.0.1:{port.getsockname()[1]}" for port in ports]
    for port in ports:
        port.close()
    processes = []
    for index in range(count):
        variables = {**os.environ, "PYTHONPATH": str(ROOT)}
        if count > 1:
            task = {"type": "worker", "index": index}
            variables["TF_CONFIG"] = json.dumps({"cluster": {"worker": workers}, "task": task})
        command = [sys.executable, "-m", "benchmarks.distribution", "--measure", kind]
        processes.append(
            subprocess.Popen(command, cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True)
        )
    outputs = [process.communicate()[0] for process in processes]
    if any(process.returncode for process in processes):
        raise SystemExit(f"{kind} failed in {count} processes")
    found: dict[str, Any] = last_json(outputs[0])
    return found


def strategy() -> Any:
    """The strategy of this process; None without a cluster."""
    import tfd2l  # noqa: F401  # TensorFlow then prints nothing when it starts
    import tensorflow as tf  # isort: skip

    if "TF_CONFIG" not in os.environ:
        return None
    return tf.distribute.MultiWorkerMirroredStrategy()


def epochs() -> dict[str, float]:
    """Return the seconds of a pass of the concise MLP over 60,000 images, by the batch size."""
    shared = strategy()
    import tfd2l as d2l

    class Training(d2l.FashionMNIST):
        """Without validation."""

        def get_dataloader(self, train: bool) -> Any:
            return super().get_dataloader(train) if train else None

    found = {}
    for batch in BATCHES:
        trainer = d2l.Trainer(EPOCHS, strategy=shared, jit_compile=False)
        history = trainer.fit(d2l.MLP(10, 256, lr=0.1), Training(batch))
        # The first epoch compiles.
        found[str(batch)] = statistics.median(history["seconds"][1:])
    return found


def collectives() -> dict[str, float]:
    """Return the seconds of the sums in a step, by the number of parameters."""
    shared = strategy()
    import tensorflow as tf

    def summed(size: int) -> Any:
        # As an MLP has them: four gradients in one call, and the loss in another.
        parts = [tf.ones([size // 4]) for _ in range(4)]

        def in_replica() -> tf.Tensor:
            context = tf.distribute.get_replica_context()
            sums = context.all_reduce("SUM", parts)
            [loss] = context.all_reduce("SUM", [tf.constant(1.0)])
            return sums[0][0] + loss

        def loop(steps: tf.Tensor) -> tf.Tensor:
            total = tf.constant(0.0)
            for _ in tf.range(steps):
                total += shared.experimental_local_results(shared.run(in_replica))[0]
            return total

        return tf.function(loop)

    found = {}
    for size in PARAMETERS:
        function = summed(size)
        # The same number in all processes, so the first measurement decides nothing.
        steps = tf.constant(max(5, 50 * 60_000 // max(size, 60_000)))
        times = []
        for _ in range(6):
            begun_s = time.perf_counter()
            function(steps)
            times.append((time.perf_counter() - begun_s) / int(steps))
        # The first call traces.
        found[str(size)] = statistics.median(times[1:])
    return found


def medians(rounds: list[dict[str, float]]) -> dict[str, float]:
    """The median of the rounds, by name."""
    return {name: statistics.median(one[name] for one in rounds) for name in rounds[0]}


def main() -> None:
    """Read the flags, measure in turn, print the tables and draw the model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.distribution", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--picture", type=Path, help="a .png or .svg to draw")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--measure", choices=["epochs", "collectives"], help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps(epochs() if options.measure == "epochs" else collectives()))
        return
    passes: dict[int, list[dict[str, float]]] = {count: [] for count in PROCESSES}
    sums: list[dict[str, float]] = []
    loads = []
    for number in range(options.rounds):
        for count in PROCESSES:
            passes[count].append(together("epochs", count))
        sums.append(together("collectives", 2))
        loads.append(os.getloadavg()[0])
        print(f"round {number + 1} of {options.rounds}, load {loads[-1]:.1f}", flush=True)
    report(passes, sums, loads, options)


def report(
    passes: dict[int, list[dict[str, float]]],
    sums: list[dict[str, float]],
    loads: list[float],
    options: argparse.Namespace,
) -> None:
    """Print the medians, and write and draw what the flags name."""
    print(f"\n{'seconds an epoch of the MLP':<32}{'batch 256':>12}{'batch 2048':>12}")
    by_count = {count: medians(found) for count, found in passes.items()}
    for count, found in by_count.items():
        print(f"{count:<32}{found['256']:>12.2f}{found['2048']:>12.2f}")
    print(f"\n{'parameters':<32}{'ms a step':>12}{'min':>12}{'max':>12}")
    measured = {int(size): seconds for size, seconds in medians(sums).items()}
    for size, seconds in measured.items():
        every = [1e3 * one[str(size)] for one in sums]
        print(f"{size:<32,}{1e3 * seconds:>12.2f}{min(every):>12.2f}{max(every):>12.2f}")
    work, network = work_of(by_count[1]), fitted(measured)
    print(
        f"\nthe MLP on one worker: {1e3 * work.constant_s:.2f} ms, and "
        f"{1e6 * work.example_s:.2f} us for each example"
        f"\ncollectives: {1e3 * network.start_s:.2f} ms, and "
        f"{1e9 * network.byte_s:.2f} s for each GB\nload: {min(loads):.1f} to {max(loads):.1f}"
    )
    if options.json:
        figures = {"epochs": passes, "collectives": sums, "loads": loads}
        options.json.write_text(json.dumps(figures, indent=2) + "\n")
    if options.picture:
        # As many parameters, and a hundred times the work: a convolutional net, for example.
        heavy = Work(work.parameters, work.constant_s, 100 * work.example_s)
        works = {
            "MLP, batch 256": (work, 256),
            "MLP, batch 8192": (work, 8192),
            "100 x the work, batch 256": (heavy, 256),
        }
        draw(measured, works, network, options.picture)


def work_of(seconds: dict[str, float]) -> Work:
    """The work of a step of the MLP, from the seconds of an epoch at two batch sizes."""
    small, large = BATCHES
    small_s, large_s = (seconds[str(b)] / -(-60_000 // b) for b in BATCHES)
    example_s = (large_s - small_s) / (large - small)
    parameters = 784 * 256 + 256 + 256 * 10 + 10
    return Work(parameters, max(small_s - small * example_s, 0.0), example_s)


if __name__ == "__main__":
    main()
