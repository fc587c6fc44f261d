"""`python -m benchmarks.job`: the time of the whole command against bare loops of PyTorch and JAX.

The command is `python -m tfd2l.train`: it imports, finds and verifies the data, compiles, trains 10
epochs, and writes checkpoints, pictures and an export, which it checks. The loops have neither
pictures nor an export.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.environments import python_of
from benchmarks.processes import table, timed
from benchmarks.runs import data_file

MODELS = {"W3": "mlp-scratch", "W4": "mlp"}
LOOPS = {"JAX scan": ("jax", "jax_scan"), "PyTorch loop": ("torch", "torch_loop")}


def main() -> None:
    """Read the flags, run both and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.job", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    with data_file() as data:
        folder = data.parent
        for workload, model in MODELS.items():
            figures = defaultdict(list)
            epochs = str(options.epochs)
            for _ in range(options.rounds):
                ours = [sys.executable, "-m", "tfd2l.train", "--model", model, "--epochs", epochs]
                figures["python -m tfd2l.train"].append(timed(ours, cwd=folder)[0])
                shutil.rmtree(folder / "runs")
                for name, (environment, module) in LOOPS.items():
                    python = python_of(environment)
                    if Path(python).exists():
                        loop = [python, "-m", f"benchmarks.peers.{module}", workload, epochs]
                        figures[name].append(timed([*loop, str(data)])[0])
            table(f"{workload}, whole job", "seconds", figures)


if __name__ == "__main__":
    main()
