"""The image pipeline alone: for `MODE SIDE DATA`, the seconds of a pass over 60,000 images.

`visible` iterates over the data set in Python; `in-loop` gathers and resizes within a compiled
loop, as training does.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import json
import sys
import time

import tensorflow as tf

from benchmarks.peers.common import WORKLOADS, read_data
from pipelines import fashion_mnist

PASSES = 4


def main(mode: str, side: int, path: str) -> None:
    """Measure some passes; print the seconds of the fastest, without the first."""
    images, labels = read_data(path, WORKLOADS["W2"]).train
    data = fashion_mnist.dataset(images, labels, 256, resize=(side, side), shuffle=True, seed=0)
    batches = data.indexed_batches

    @tf.function  # type: ignore[untyped-decorator]  # TensorFlow has no types
    def loop(order: tf.Tensor) -> tf.Tensor:
        total = tf.constant(0.0)
        for i in tf.range(batches.num_full):
            X, _ = batches.fetch(tf.slice(order, [i * 256], [256]))
            # Uses each pixel and costs little.
            total += tf.reduce_sum(X)
        X, _ = batches.fetch(order[batches.num_full * 256 :])
        return total + tf.reduce_sum(X)

    seconds = []
    for epoch in range(PASSES):
        started_s = time.perf_counter()
        if mode == "visible":
            for _ in data:
                pass
        else:
            float(loop(batches.order(epoch)))
        seconds.append(time.perf_counter() - started_s)
    print(json.dumps(min(seconds[1:])))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
