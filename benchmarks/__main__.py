"""`python -m benchmarks`: the peers in turn, round after round, and medians and ratios at the end.

Each run is a process of its own; the first epochs of a run, which compile, do not count. Only
ratios within one call mean anything: machines differ, and so do the hours of one machine.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from benchmarks.peers import PEERS, SCRATCH

WARM_UP_EPOCHS = 2
# Peers that end further apart than this did not do the same work; the book's models swing by 0.02
# from epoch to epoch, so the best epoch of a run is compared.
SAME_ACCURACY = 0.03


def measure(peer: str, workload: str, epochs: int) -> dict[str, Any]:
    """One run of a peer, in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.peers", peer, workload, str(epochs)]
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    row: dict[str, Any] = json.loads(process.stdout.splitlines()[-1])
    return row


def report(workload: str, runs: dict[str, list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Print and return a workload's table: medians over rounds, ratios to the first peer."""
    rows = []
    best = {peer: max(max(run["accuracy"]) for run in many) for peer, many in runs.items()}
    columns = ("s/epoch", "min", "max", "ours/it", "best acc", "MiB")
    print(f"\n{workload:<14}" + "".join(f"{column:>9}" for column in columns))
    ours = [statistics.median(r["seconds"][WARM_UP_EPOCHS:]) for r in next(iter(runs.values()))]
    for peer, many in runs.items():
        epochs = [statistics.median(run["seconds"][WARM_UP_EPOCHS:]) for run in many]
        # Round by round, since the machine's speed drifts between rounds.
        ratio = statistics.median(a / b for a, b in zip(ours, epochs, strict=True))
        void = "" if best[peer] > max(best.values()) - SAME_ACCURACY else "  void: accuracy"
        peak = statistics.median(run["peak_mib"] for run in many)
        seconds = (statistics.median(epochs), min(epochs), max(epochs))
        print(
            f"{peer:<14}"
            + "".join(f"{value:>9.3f}" for value in seconds)
            + f"{ratio:>9.2f}{best[peer]:>9.4f}{peak:>9.0f}{void}"
        )
        rows.append({"workload": workload, "peer": peer, "seconds": epochs, "ratio": ratio,
                     "accuracy": best[peer], "peak_mib": peak})  # fmt: skip
    return rows


def main() -> None:
    """Read the flags, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=list(SCRATCH), choices=SCRATCH)
    parser.add_argument("--peers", nargs="+", default=list(PEERS), choices=PEERS)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=7)
    parser.add_argument("--json", type=Path, help="also write all figures to this file")
    options = parser.parse_args()
    if options.epochs <= WARM_UP_EPOCHS or options.rounds < 1:
        parser.error(f"--epochs must be above {WARM_UP_EPOCHS}, and --rounds at least 1")
    rows = []
    for workload in options.workloads:
        runs = defaultdict(list)
        for _ in range(options.rounds):
            for peer in options.peers:
                runs[peer].append(measure(peer, workload, options.epochs))
        rows += report(workload, runs)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")


if __name__ == "__main__":
    main()
