"""This project: its models, data modules and `Trainer`, with the board.

`TFD2L_BENCH_JIT` is 0 for a TensorFlow graph throughout and 1 for XLA throughout; without it the
trainer decides, as it does for a user. Three variables leave out what makes it fast:
`TFD2L_BENCH_EAGER=1` compiles nothing, `TFD2L_BENCH_ROWS=1` takes batches from `tf.data`, and
`TFD2L_BENCH_STEPS` is the maximum number of steps in a call. `TFD2L_BENCH_MEMORY=1` takes the data
of W7, W8 and W8b from memory, `TFD2L_BENCH_MAPPED=1` that of W8b from a memory-mapped file.
`TFD2L_BENCH_STREAM` gives W7's batches another form: "unknown" is a data set that does not know its
length, "dict" one of dicts, and "generator" a generator of NumPy arrays.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfd2l as d2l
from benchmarks.peers.common import NUM_HIDDENS, STREAMED, Array, Data, Epochs, Workload, main
from benchmarks.peers.keras_fit import normalized_layers
from benchmarks.peers.streams import streams
from pipelines.fashion_mnist import Arrays

JIT = {None: None, "0": False, "1": True}


class Given(d2l.DataModule):
    """Features and targets, of W1 and W9c."""

    def __init__(self, data: Data, batch_size: int) -> None:
        super().__init__()
        self.save_hyperparameters(ignore=["data"])
        self.data = data

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        """Return batches of features and targets."""
        return self.get_tensorloader(self.data.train if train else self.data.val, train)


class Rows(d2l.DataModule):
    """The batches of another data module, one by one from a plain `tf.data` data set."""

    def __init__(self, module: d2l.DataModule) -> None:
        super().__init__()
        self.module = module

    def get_dataloader(self, train: bool) -> tf.data.Dataset:
        """Return the batches without the arrays from which a compiled loop would gather them."""
        module = self.module
        return (module.train_dataloader() if train else module.val_dataloader()).take(-1)


class Streams(d2l.DataModule):
    """W7's and W8's data sets."""

    def __init__(self, workload: Workload, data: Data, form: str) -> None:
        super().__init__()
        self.workload, self.data, self.form = workload, data, form
        self.train, self.val = (self.formed(batches) for batches in streams(workload, data))

    def formed(self, batches: tf.data.Dataset) -> tf.data.Dataset:
        """Return the data set in the form that was asked for."""
        if self.form == "unknown":
            return batches.filter(lambda X, y: True)
        return batches.map(lambda X, y: ({"image": X}, y)) if self.form == "dict" else batches

    def get_dataloader(self, train: bool) -> Any:
        """Return the data set, or the generator of a pass."""
        if self.form == "generator":
            return self.arrays(train)
        return self.train if train else self.val

    def arrays(self, train: bool) -> Iterator[tuple[Array, Array]]:
        """Yield the batches of a pass, shuffled in training."""
        (X, y), size = self.data.train if train else self.data.val, self.workload.batch_size
        order = np.random.permutation(len(X)) if train else np.arange(len(X))
        for start in range(0, len(X), size):
            rows = order[start : start + size]
            yield X[rows] / np.float32(255), y[rows].astype(np.int32)


class Named(d2l.MLP):
    """W4's model, on dicts."""

    def forward(self, inputs: dict[str, tf.Tensor]) -> tf.Tensor:
        """Return the logits."""
        return super().forward(inputs["image"])


class Normalized(d2l.Classifier):
    """W9b's net, as a reader writes it."""

    def __init__(self, lr: float) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.net = keras.Sequential(normalized_layers())


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Fit the library's own model."""
    keras.utils.set_random_seed(0)
    models: dict[str, Callable[[], d2l.Module]] = {
        "W1": lambda: d2l.LinearRegressionScratch(2, workload.lr),
        "W2": lambda: d2l.SoftmaxRegressionScratch(784, 10, workload.lr),
        "W3": lambda: d2l.MLPScratch(784, 10, NUM_HIDDENS, workload.lr),
        "W4": lambda: d2l.MLP(10, NUM_HIDDENS, workload.lr),
        "dict": lambda: Named(10, NUM_HIDDENS, workload.lr),
        "W9": lambda: d2l.LeNet(workload.lr),
        "W9b": lambda: Normalized(workload.lr),
        "W9c": lambda: Normalized(workload.lr),
    }
    streamed, form = workload.name in STREAMED, os.environ.get("TFD2L_BENCH_STREAM", "")
    module: d2l.DataModule
    if workload.is_linear:
        module = Given(data, workload.batch_size)
    elif workload.name == "W9c":
        train, val = ((X / np.float32(255), y.astype(np.int32)) for X, y in (data.train, data.val))
        module = Given(Data(train, val), workload.batch_size)
    elif workload.name == "W8b" and "TFD2L_BENCH_MEMORY" not in os.environ:
        limit = 0 if "TFD2L_BENCH_MAPPED" in os.environ else None
        module = d2l.ImageFolder(
            data.folder, workload.batch_size, (28, 28), channels=1, memory_limit=limit
        )
    elif streamed and "TFD2L_BENCH_MEMORY" not in os.environ:
        module = Streams(workload, data, form)
    else:
        arrays = Arrays(*data.train, *data.val, source="the benchmark's file", sha256={})
        module = d2l.FashionMNIST(workload.batch_size, arrays=arrays)
    measured = "val_loss" if workload.is_linear else "val_acc"

    class Watch(d2l.Callback):
        def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
            epochs.start()

        def on_epoch_end(self, trainer: d2l.Trainer, row: dict[str, float]) -> None:
            epochs.end(row[measured])

    steps = os.environ.get("TFD2L_BENCH_STEPS")
    trainer = d2l.Trainer(
        num_epochs,
        run_eagerly="TFD2L_BENCH_EAGER" in os.environ or None,
        jit_compile=JIT[os.environ.get("TFD2L_BENCH_JIT")],
        steps_per_execution=int(steps) if steps else None,
        callbacks=[Watch()],
        enable_progress_bar=False,
    )
    if "TFD2L_BENCH_ROWS" in os.environ:
        module = Rows(module)
    name = workload.name
    if streamed:
        name = "dict" if form == "dict" else "W4"
    trainer.fit(models[name](), module)


if __name__ == "__main__":
    main(run)
