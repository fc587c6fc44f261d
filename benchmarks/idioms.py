"""`python -m benchmarks.idioms`: how much each idiom that makes an epoch fast contributes.

The rows add them one by one to the product: a row has those of all rows above it.
"""

from __future__ import annotations

import argparse

from benchmarks.runs import Peer, compare, data_file

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
    """Read the flags, run the variants and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.idioms", description=__doc__)
    parser.add_argument("--workloads", nargs="+", default=["W2", "W3"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=8)
    options = parser.parse_args()
    peers = {name: Peer("product", variables=variables) for name, variables in VARIANTS.items()}
    with data_file() as data:
        for workload in options.workloads:
            compare(peers, workload, options.rounds, options.epochs, data)


if __name__ == "__main__":
    main()
