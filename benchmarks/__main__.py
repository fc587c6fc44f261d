"""`python -m benchmarks`: the time of an epoch against the peers', as medians and ratios.

The peers run in turn, round after round. Each run is a process of its own; the first epochs of a
run, which compile, do not count. Only ratios within one call mean anything: machines differ, and
so do the hours of one machine. `python -m benchmarks.environments` installs the peers that need an
environment of their own.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

from benchmarks.environments import python_of
from benchmarks.peers.common import IN_MEMORY, STREAMED, WORKLOADS
from benchmarks.picture import draw
from benchmarks.runs import WARM_UP_EPOCHS, Peer, compare, data_file

NETS, STREAMS = ("W9", "W9b", "W9c"), ("W7", "W8")
PEERS = {
    "tfd2l": Peer("product", workloads=tuple(WORKLOADS)),
    "tfd2l, graph": Peer("product", variables={"TFD2L_BENCH_JIT": "0"}),
    "tfd2l, XLA": Peer("product", variables={"TFD2L_BENCH_JIT": "1"}),
    "floor (products)": Peer("floor", workloads=("W2", "W3", "W4")),
    "JAX scan": Peer("jax_scan", "jax"),
    "tfd2l, from memory": Peer(
        "product", variables={"TFD2L_BENCH_MEMORY": "1"}, workloads=STREAMED
    ),
    "tfd2l, from a mapping": Peer(
        "product", variables={"TFD2L_BENCH_MAPPED": "1"}, workloads=("W8b",)
    ),
    **{
        f"tfd2l, {name}": Peer("product", variables={"TFD2L_BENCH_STREAM": form}, workloads=("W7",))
        for name, form in (
            ("unknown length", "unknown"),
            ("dicts", "dict"),
            ("generator", "generator"),
        )
    },
    "tf.data alone": Peer("stream_alone", workloads=STREAMS),
    "PyTorch loop": Peer("torch_loop", "torch", workloads=IN_MEMORY + NETS),
    "PyTorch DataLoader": Peer("torch_loader", "torch", workloads=STREAMED),
    "Keras fit, NumPy": Peer("keras_fit", workloads=IN_MEMORY + NETS),
    "Keras fit, tf.data": Peer(
        "keras_fit", variables={"TFD2L_BENCH_ROWS": "1"}, workloads=IN_MEMORY + STREAMED
    ),
    "d2l, TensorFlow 2.13": Peer("d2l_tensorflow", "d2l-tensorflow"),
    "d2l, PyTorch": Peer("d2l_torch", "torch"),
}


def main() -> None:
    """Read the flags, run the peers and write the results."""
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
    rows = []
    peers = installed(options.peers)
    with data_file(images="W8b" in options.workloads) as data:
        for workload in options.workloads:
            epochs = options.epochs or WORKLOADS[workload].epochs
            rows += compare(peers, workload, options.rounds, epochs, data)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2) + "\n")
    if options.picture:
        draw(rows, options.picture)


def installed(names: list[str]) -> dict[str, Peer]:
    """Return the peers whose environment is there; print a line for each other one."""
    found = {}
    for name in names:
        environment = PEERS[name].environment
        if Path(python_of(environment)).exists():
            found[name] = PEERS[name]
        else:
            print(f"missing: {name}; python -m benchmarks.environments {environment}")
    return found


if __name__ == "__main__":
    main()
