"""`python -m benchmarks`: the peers in turn, round after round, and medians and ratios at the end.

Each run is a process of its own; the first epochs of a run, which compile, do not count. Only
ratios within one call mean anything: machines differ, and so do the hours of one machine.
`python -m benchmarks.environments` installs the peers that need an environment of their own.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.environments import python_of
from benchmarks.peers.common import WORKLOADS, Data, write_data
from benchmarks.picture import draw
from benchmarks.processes import ROOT, last_json, timed

WARM_UP_EPOCHS = 3
# Peers that end further apart than this did not do the same work; the book's models swing by 0.02
# from epoch to epoch, so the best epoch of a run is compared.
SAME_SCORE = 0.03


@dataclass(frozen=True)
class Peer:
    """What is measured.

    Attributes:
        module: of `benchmarks.peers`.
        environment: of `benchmarks.environments`; None is this project's own.
        variables: environment variables of the process.
        workloads: those that it does.
    """

    module: str
    environment: str | None = None
    variables: dict[str, str] = field(default_factory=dict)
    workloads: tuple[str, ...] = tuple(WORKLOADS)


PEERS = {
    "tfd2l": Peer("product"),
    "tfd2l, graph": Peer("product", variables={"TFD2L_BENCH_JIT": "0"}),
    "tfd2l, XLA": Peer("product", variables={"TFD2L_BENCH_JIT": "1"}),
    "floor (products)": Peer("floor", workloads=("W2", "W3", "W4")),
    "JAX scan": Peer("jax_scan", "jax"),
    "PyTorch loop": Peer("torch_loop", "torch"),
    "Keras fit, NumPy": Peer("keras_fit"),
    "Keras fit, tf.data": Peer("keras_fit", variables={"TFD2L_BENCH_ROWS": "1"}),
    "d2l, TensorFlow 2.13": Peer("d2l_tensorflow", "d2l-tensorflow"),
    "d2l, PyTorch": Peer("d2l_torch", "torch"),
}


def measure(peer: Peer, workload: str, epochs: int, data: Path) -> dict[str, Any]:
    """One run of a peer, in a fresh process; `job_s` is the whole of it."""
    python = python_of(peer.environment)
    command = [python, "-m", f"benchmarks.peers.{peer.module}", workload, str(epochs), str(data)]
    seconds, printed = timed(command, ROOT, **peer.variables)
    return {**last_json(printed), "job_s": seconds}


def report(workload: str, runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Print and return a workload's table: medians over rounds, ratios of the first peer."""
    rows = []
    scores = {peer: max(max(run["scores"]) for run in many) for peer, many in runs.items()}
    best = max(score for score in scores.values() if not math.isnan(score))
    columns = ("ms/epoch", "min", "max", "ours/it", "score", "MiB", "job s")
    print(f"\n{workload:<22}" + "".join(f"{column:>10}" for column in columns), flush=True)
    ours = [statistics.median(run["seconds"][WARM_UP_EPOCHS:]) for run in next(iter(runs.values()))]
    for peer, many in runs.items():
        epochs = [statistics.median(run["seconds"][WARM_UP_EPOCHS:]) for run in many]
        # Round by round, since the machine's speed drifts between rounds.
        ratio = statistics.median(a / b for a, b in zip(ours, epochs, strict=True))
        void = "  void: score" if scores[peer] < best - SAME_SCORE else ""
        peak = statistics.median(run["peak_mib"] for run in many)
        job_s = statistics.median(run["job_s"] for run in many)
        figures = [1e3 * s for s in (statistics.median(epochs), min(epochs), max(epochs))]
        print(
            f"{peer:<22}"
            + "".join(f"{figure:>10.2f}" for figure in figures)
            + f"{ratio:>10.3f}{scores[peer]:>10.4f}{peak:>10.0f}{job_s:>10.1f}{void}",
            flush=True,
        )
        rows.append({"workload": workload, "peer": peer, "seconds": epochs, "ratio": ratio,
                     "score": scores[peer], "void": bool(void), "peak_mib": peak,
                     "job_s": job_s})  # fmt: skip
    return rows


def main() -> None:
    """Read the flags, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=list(WORKLOADS), choices=WORKLOADS)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, help="of a run; 100 for W1 and 10 for the others")
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    parser.add_argument("--picture", type=Path, help="also draw the ratios, to a .png or .svg")
    options = parser.parse_args()
    if (options.epochs or math.inf) <= WARM_UP_EPOCHS or options.rounds < 1:
        parser.error(f"--epochs must be above {WARM_UP_EPOCHS}, and --rounds at least 1")
    present = {name: PEERS[name] for name in options.peers}
    for name, peer in list(present.items()):
        if not Path(python_of(peer.environment)).exists():
            print(f"missing: {name}; python -m benchmarks.environments {peer.environment}")
            del present[name]
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        write_images(data)
        for workload in options.workloads:
            runs = defaultdict(list)
            epochs = options.epochs or WORKLOADS[workload].epochs
            for _ in range(options.rounds):
                for name, peer in present.items():
                    if workload in peer.workloads:
                        runs[name].append(measure(peer, workload, epochs, data))
            rows += report(workload, runs)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.picture:
        draw(rows, options.picture)


def write_images(path: Path) -> None:
    """The data of all peers, in one file."""
    from pipelines import fashion_mnist

    arrays = fashion_mnist.load()
    train, val = (arrays.train_images, arrays.train_labels), (arrays.val_images, arrays.val_labels)
    write_data(path, Data(train, val))


if __name__ == "__main__":
    main()
