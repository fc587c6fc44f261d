"""The image pipeline alone in PyTorch: for `SIDE DATA`, the seconds of a pass over 60,000 images.

A batch is gathered from memory, scaled, and resized by `interpolate`.
"""

from __future__ import annotations

import json
import sys
import time

import torch
from torch.nn import functional as F

from benchmarks.peers.common import WORKLOADS, read_data

PASSES = 4


def main(side: int, path: str) -> None:
    """Measure some passes; print the seconds of the fastest, without the first."""
    images, labels = read_data(path, WORKLOADS["W2"]).train
    X, y = torch.as_tensor(images)[:, None], torch.as_tensor(labels).long()
    seconds = []
    for _ in range(PASSES):
        started_s = time.perf_counter()
        for indices in torch.randperm(len(X)).split(256):
            batch, _ = X[indices].float() / 255, y[indices]
            if side != 28:
                batch = F.interpolate(batch, (side, side), mode="bilinear")
        seconds.append(time.perf_counter() - started_s)
    print(json.dumps(min(seconds[1:])))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
