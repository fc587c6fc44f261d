"""W7's and W8's data sets alone, iterated inside a compiled function."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import math

import tensorflow as tf

from benchmarks.peers.common import Data, Epochs, Workload, main
from benchmarks.peers.streams import streams


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Iterate over both data sets in each epoch."""
    train, val = streams(workload, data)

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def iterate() -> tf.Tensor:
        total = tf.constant(0)
        for _, y in train:
            total += y[0]
        for _, y in val:
            total += y[0]
        return total

    for _ in range(num_epochs):
        epochs.start()
        iterate().numpy()
        epochs.end(math.nan)


if __name__ == "__main__":
    main(run)
