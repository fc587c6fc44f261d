"""The `tf.data` pipelines of W7, W8 and W8b, as a reader writes them."""

from __future__ import annotations

import keras
import numpy as np
import tensorflow as tf

from benchmarks.peers.common import Array, Data, Workload, scratch_folder


def streams(workload: Workload, data: Data) -> tuple[tf.data.Dataset, tf.data.Dataset]:
    """Return the data sets for training and validation.

    W7 shuffles, batches and scales rows in memory. W8 reads batches of uint8 from files that
    `tf.data.Dataset.save` has written, and shuffles the batches. W8b decodes PNG files.
    """
    if workload.name == "W8b":
        train, val = (
            keras.utils.image_dataset_from_directory(
                data.folder / part, batch_size=workload.batch_size, image_size=(28, 28),
                color_mode="grayscale", shuffle=part == "train", verbose=False,
            )
            for part in ("train", "val")
        )  # fmt: skip
        return _scaled(train), _scaled(val)
    if workload.name == "W7":
        rows = _rows(*data.train).shuffle(len(data.train[0]))
        return _scaled(rows.batch(workload.batch_size)), _val(workload, data)
    path = scratch_folder() / "batches"
    _rows(*data.train).batch(workload.batch_size).save(str(path))
    saved = tf.data.Dataset.load(str(path))
    return _scaled(saved.shuffle(int(saved.cardinality()))), _val(workload, data)


def _rows(X: Array, y: Array) -> tf.data.Dataset:
    return tf.data.Dataset.from_tensor_slices((X, y.astype(np.int32)))


def _scaled(batches: tf.data.Dataset) -> tf.data.Dataset:
    def scale(X: tf.Tensor, y: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return tf.cast(X, tf.float32) / 255, y

    return batches.map(scale, num_parallel_calls=tf.data.AUTOTUNE).prefetch(tf.data.AUTOTUNE)


def _val(workload: Workload, data: Data) -> tf.data.Dataset:
    return _scaled(_rows(*data.val).batch(workload.batch_size))
