"""tfd2l/export/writing.py: models with lookup tables, exported and run by the C API."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.small_models import IMAGES, LABELS, answers, preprocess
from tfd2l.export.signatures import ExportError, export_classifier
from tfd2l.export.writing import tables_of

pytestmark = pytest.mark.usefixtures("warm_load_check")

Q = len(LABELS)


def hash_table() -> Any:
    pixels, levels = tf.range(256, dtype=tf.int64), tf.range(256, dtype=tf.float32) / 64
    return tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer(pixels, levels), -1.0)


class Looking(d2l.Classifier):
    """Looks up each pixel in a table before the layer or matrix that gives the logits."""

    def __init__(self, table: Any, concise: bool) -> None:
        super().__init__()
        self.parts = {"table": [table]}
        self.W = tf.Variable(tf.random.stateless_normal((784, Q), seed=(1, 2)) / 100)
        self.net = keras.layers.Dense(Q) if concise else lambda X: tf.matmul(X, self.W)

    def forward(self, X: tf.Tensor) -> tf.Tensor:
        [table] = self.parts["table"]
        found = table(X) if isinstance(table, keras.layers.Layer) else table.lookup(X)
        return self.net(tf.cast(tf.reshape(found, (-1, 784)), tf.float32))


def whole_pixels(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.int64)[..., None]


@pytest.mark.slow
@pytest.mark.parametrize("concise", [False, True])
@pytest.mark.parametrize(
    "table", [hash_table, lambda: keras.layers.IntegerLookup(vocabulary=[0, 64, 255])]
)
def test_a_model_with_a_table_answers_as_before(table: Any, concise: bool, tmp_path: Path) -> None:
    model = Looking(table(), concise)
    export_classifier(model, tmp_path, labels=LABELS, preprocess=whole_pixels)
    [found] = answers(tmp_path, [("serving_default", {"image": IMAGES[:5]})])
    assert isinstance(found, dict)
    # Float32 sums of 784 terms in another order.
    np.testing.assert_allclose(
        found["logits"], model.logits(whole_pixels(tf.constant(IMAGES[:5]))), atol=1e-4
    )


def test_in_a_notebook_nothing_is_said_of_a_temporary_place(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    model = d2l.SoftmaxRegression(num_outputs=Q, lr=0.1)
    # As TensorFlow sets it where Python is interactive; the fixture restores it.
    caplog.set_level("INFO", "tensorflow")
    export_classifier(model, tmp_path, labels=LABELS, preprocess=preprocess)
    assert caplog.messages == []
    tf.get_logger().info("still there")
    assert caplog.messages == ["still there"]


def test_each_table_is_found_once() -> None:
    table = hash_table()
    model = Looking(table, concise=True)
    model.again = (table, keras.Sequential([keras.layers.StringLookup(vocabulary=["a"])]))
    assert tables_of(model)[0] is table
    assert len(tables_of(model)) == 2
    assert tables_of(5) == []


def test_a_table_that_is_no_attribute_is_refused_in_words(tmp_path: Path) -> None:
    table = hash_table()

    def look_up(images: tf.Tensor) -> tf.Tensor:
        return table.lookup(tf.cast(images, tf.int64))[..., None]

    model = d2l.SoftmaxRegressionScratch(784, Q, lr=0.1)
    with pytest.raises(ExportError, match="lookup tables that are attributes of the model"):
        export_classifier(model, tmp_path, labels=LABELS, preprocess=look_up)
