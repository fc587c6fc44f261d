"""`python -m benchmarks.idioms`: what each of the things that make an epoch fast is worth.

The product with one after the other of them: every row has those of the rows above it.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.__main__ import Peer, measure, report, write_images

GRAPH = {"TFD2L_BENCH_JIT": "0"}
VARIANTS = {
    "eager": {"TFD2L_BENCH_EAGER": "1"},
    "a compiled call a batch": {**GRAPH, "TFD2L_BENCH_ROWS": "1"},
    "gathered in the call": {**GRAPH, "TFD2L_BENCH_STEPS": "1"},
    "5 steps a call": {**GRAPH, "TFD2L_BENCH_STEPS": "5"},
    "20 steps a call": {**GRAPH, "TFD2L_BENCH_STEPS": "20"},
    "1/4 s a call": GRAPH,
    "XLA from epoch 2": {},
}


def main() -> None:
    """Read the flags, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idioms", description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["W2", "W3"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder, "data.npz")
        write_images(data)
        for workload in options.workloads:
            runs = defaultdict(list)
            for _ in range(options.rounds):
                for name, variables in VARIANTS.items():
                    peer = Peer("product", variables=variables)
                    runs[name].append(measure(peer, workload, options.epochs, data))
            report(workload, runs)


if __name__ == "__main__":
    main()
