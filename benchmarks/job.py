"""`python -m benchmarks.job`: the whole command, as a user waits for it, against PyTorch's loop.

Ours is `python -m tfd2l.train`: import, data found and verified, compiling, 10 epochs, checkpoints,
pictures, export and load check. The loop has neither pictures nor an export.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

from benchmarks.__main__ import write_images
from benchmarks.environments import python_of
from benchmarks.processes import table, timed

MODELS = {"W3": "mlp-scratch", "W4": "mlp"}


def main() -> None:
    """Read the flags, run, report."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.job", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=10)
    options = parser.parse_args()
    torch = python_of("torch")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "data.npz"
        write_images(data)
        for workload, model in MODELS.items():
            figures = defaultdict(list)
            epochs = str(options.epochs)
            for _ in range(options.rounds):
                ours = [sys.executable, "-m", "tfd2l.train", "--model", model, "--epochs", epochs]
                figures["python -m tfd2l.train"].append(timed(ours, cwd=folder)[0])
                shutil.rmtree(folder / "runs")
                if Path(torch).exists():
                    loop = [torch, "-m", "benchmarks.peers.torch_loop", workload, epochs, str(data)]
                    figures["PyTorch loop"].append(timed(loop)[0])
            table(f"{workload}, whole job", "seconds", figures)


if __name__ == "__main__":
    main()
