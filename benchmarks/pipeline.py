"""`python -m benchmarks.pipeline`: W5, the seconds of the pipeline alone for 60,000 images."""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from pathlib import Path

from benchmarks.environments import python_of
from benchmarks.processes import last_json, table, timed
from benchmarks.runs import data_file


def main() -> None:
    """Read the flags, run the pipelines and print the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pipeline", description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--sides", type=int, nargs="+", default=[28, 32, 96, 224])
    options = parser.parse_args()
    torch = python_of("torch")
    with data_file() as path:
        data = str(path)
        for side in map(str, options.sides):
            ours = [sys.executable, "-m", "benchmarks.peers.pipeline_product"]
            commands = {
                "tfd2l in the compiled loop": [*ours, "in-loop", side, data],
                "tfd2l as tf.data": [*ours, "visible", side, data],
            }
            if Path(torch).exists():
                loop = [torch, "-m", "benchmarks.peers.pipeline_torch", side, data]
                commands["PyTorch interpolate"] = loop
            figures = defaultdict(list)
            for _ in range(options.rounds):
                for name, command in commands.items():
                    figures[name].append(float(last_json(timed(command)[1])))
            table(f"W5, {side} x {side}", "seconds", figures)


if __name__ == "__main__":
    main()
