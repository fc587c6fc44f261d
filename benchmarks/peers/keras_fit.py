"""Keras' own `fit` on its own layers: on NumPy arrays, or with `TFD2L_BENCH_ROWS` on `tf.data`."""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.common import NUM_HIDDENS, STREAMED, Array, Data, Epochs, Workload, main
from benchmarks.peers.streams import streams


def normalized_layers() -> list[keras.layers.Layer]:
    """W9b's net: two convolutions with batch normalization and max pooling.

    The averages move as fast as PyTorch's do by default.
    """
    made = []
    for channels in (16, 32):
        made += [
            keras.layers.Conv2D(channels, 3, padding="same"),
            keras.layers.BatchNormalization(momentum=0.9),
            keras.layers.ReLU(),
            keras.layers.MaxPooling2D(2),
        ]
    return [*made, keras.layers.Flatten(), keras.layers.Dense(10)]


def lenet_layers() -> list[keras.layers.Layer]:
    """W9's LeNet."""
    return [
        keras.layers.Conv2D(6, 5, activation="sigmoid", padding="same"),
        keras.layers.AveragePooling2D(2),
        keras.layers.Conv2D(16, 5, activation="sigmoid"),
        keras.layers.AveragePooling2D(2),
        keras.layers.Flatten(),
        keras.layers.Dense(120, activation="sigmoid"),
        keras.layers.Dense(84, activation="sigmoid"),
        keras.layers.Dense(10),
    ]


def layers_of(workload: Workload) -> list[keras.layers.Layer]:
    """The layers of a workload's model."""
    if workload.convolutional:
        return lenet_layers() if workload.name == "W9" else normalized_layers()
    layers: list[keras.layers.Layer] = [keras.layers.Flatten()]
    if workload.hidden:
        layers.append(keras.layers.Dense(NUM_HIDDENS, activation="relu"))
    return [*layers, keras.layers.Dense(1 if workload.is_linear else 10)]


def _with_channels(X: Array) -> Array:
    return X if X.ndim == 4 else X[..., None]


def run(workload: Workload, num_epochs: int, data: Data, epochs: Epochs) -> None:
    """Compile and fit."""
    keras.utils.set_random_seed(0)
    model = keras.Sequential(layers_of(workload))
    if workload.is_linear:
        # Half the rate: Keras' squared error lacks the book's factor 1/2.
        model.compile(keras.optimizers.SGD(workload.lr / 2), "mse")
        train, val = data.train, data.val
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.SGD(workload.lr), loss, metrics=["accuracy"])
        train, val = ((_with_channels(X) / np.float32(255), y) for X, y in (data.train, data.val))

    class Watch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
        def on_epoch_begin(self, epoch: int, logs: object = None) -> None:
            epochs.start()

        def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
            found = logs or {}
            epochs.end(found["val_loss"] / 2 if workload.is_linear else found["val_accuracy"])

    options = {"epochs": num_epochs, "verbose": 0, "callbacks": [Watch()]}
    size = workload.batch_size
    if workload.name in STREAMED:
        batches, val_batches = streams(workload, data)
        model.fit(batches, validation_data=val_batches, **options)
        return
    if "TFD2L_BENCH_ROWS" not in os.environ:
        model.fit(*train, batch_size=size, validation_data=val, validation_batch_size=size,
                  **options)  # fmt: skip
        return
    shuffled = tf.data.Dataset.from_tensor_slices(train).shuffle(len(train[0]))
    batched = shuffled.batch(size).prefetch(tf.data.AUTOTUNE)
    val_batched = tf.data.Dataset.from_tensor_slices(val).batch(size).prefetch(tf.data.AUTOTUNE)
    model.fit(batched, validation_data=val_batched, **options)


if __name__ == "__main__":
    main(run)
