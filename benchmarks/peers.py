"""One peer on one workload in a process of its own: `python -m benchmarks.peers PEER WORKLOAD`.

Prints a line of JSON: the seconds of each epoch (training and full validation), the accuracy after
each, and the process's peak memory. The work is the same for all: Fashion-MNIST in memory as the
library gives it, batch 256, plain SGD at 0.1, examples shuffled afresh each epoch.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np

import tfd2l as d2l
from pipelines import fashion_mnist

BATCH_SIZE, LR, NUM_HIDDENS = 256, 0.1, 256
# Workloads by their number in the book's order; see benchmarks/README.md.
SCRATCH: dict[str, Callable[[], d2l.Module]] = {
    "W2": lambda: d2l.SoftmaxRegressionScratch(784, 10, LR),
    "W3": lambda: d2l.MLPScratch(784, 10, NUM_HIDDENS, LR),
    "W4": lambda: d2l.MLP(10, NUM_HIDDENS, LR),
}
Epochs = list[tuple[float, float]]


def product(workload: str, epochs: int, arrays: fashion_mnist.Arrays, **mode: Any) -> Epochs:
    """The library: its model, its data module, its trainer, board and all."""
    data = d2l.FashionMNIST(BATCH_SIZE, arrays=arrays)
    history = d2l.Trainer(epochs, **mode).fit(SCRATCH[workload](), data)
    return list(zip(history["seconds"], history["val_acc"], strict=True))


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """Notes seconds and validation accuracy of each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.epochs: Epochs = []

    def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
        self.started_s = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        accuracy = (logs or {})["val_accuracy"]
        self.epochs.append((time.perf_counter() - self.started_s, accuracy))


def keras_fit(workload: str, epochs: int, arrays: fashion_mnist.Arrays, *, rows: bool) -> Epochs:
    """Keras' own `fit`: on NumPy arrays in float32, or on `tf.data` made of their rows."""
    import tensorflow as tf

    layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
    if workload != "W2":
        layers.append(keras.layers.Dense(NUM_HIDDENS, activation="relu"))
    model = keras.Sequential([*layers, keras.layers.Dense(10)])
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(LR), loss, metrics=["accuracy"])
    train = (arrays.train_images[..., None] / np.float32(255), arrays.train_labels)
    val = (arrays.val_images[..., None] / np.float32(255), arrays.val_labels)
    watch = Stopwatch()
    options = {"epochs": epochs, "verbose": 0, "callbacks": [watch]}
    if not rows:
        model.fit(*train, batch_size=BATCH_SIZE, validation_data=val,
                  validation_batch_size=BATCH_SIZE, **options)  # fmt: skip
        return watch.epochs
    shuffled = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[0]))
    batched = shuffled.batch(BATCH_SIZE).prefetch(tf.data.AUTOTUNE)
    val_batched = tf.data.Dataset.from_tensor_slices(val).batch(BATCH_SIZE)
    model.fit(batched, validation_data=val_batched.prefetch(tf.data.AUTOTUNE), **options)
    return watch.epochs


PEERS: dict[str, Callable[[str, int, fashion_mnist.Arrays], Epochs]] = {
    "tfd2l": product,
    "tfd2l-xla": lambda w, n, a: product(w, n, a, jit_compile=True),
    "keras-numpy": lambda w, n, a: keras_fit(w, n, a, rows=False),
    "keras-tfdata": lambda w, n, a: keras_fit(w, n, a, rows=True),
}


def main(peer: str, workload: str, epochs: int) -> None:
    """Run the peer and print its line."""
    keras.utils.set_random_seed(0)
    seconds, accuracy = zip(*PEERS[peer](workload, epochs, fashion_mnist.load()), strict=True)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"peer": peer, "workload": workload, "seconds": seconds, "accuracy": accuracy}
    print(json.dumps(row | {"peak_mib": peak_kib / 1024}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
