"""Small exported models to publish or to refuse, and the entries of a directory."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from tests.support.small_models import LABELS, Linear, preprocess
from tfd2l.export.expected import regressor_checks
from tfd2l.export.signatures import export_regressor
from tfd2l.export.verify import Check


def export_with_checks(directory: Path) -> tuple[Path, list[Check]]:
    """Export a linear regression; return its directory and its checks."""
    export_regressor(Linear(), directory, num_inputs=2)
    return directory, regressor_checks(Linear(), np.ones((8, 2), np.float32))


def copying(source: Path) -> Callable[[Path], None]:
    """Make a function that writes a copy of `source`, for `publish`."""

    def write(directory: Path) -> None:
        shutil.copytree(source, directory, dirs_exist_ok=True)

    return write


def names(directory: Path) -> list[str]:
    """List the entries of a directory."""
    return sorted(path.name for path in directory.iterdir())


def guarded(image: tf.Tensor) -> tf.Tensor:
    """Prepare raw images, (n, 28, 28), and refuse other shapes."""
    return preprocess(tf.ensure_shape(image, [None, 28, 28]))


def save_classifier(
    model: Any, logits_of: Callable[[tf.Tensor], tf.Tensor], directory: Path, tracked: Any = None
) -> None:
    """Save a model with one signature, `serving_default`, that returns `logits_of` its images.

    Args:
        model: its variables are saved.
        logits_of: (n, 28, 28) uint8 -> (n, q) float32.
        directory: of the SavedModel.
        tracked: the object to save in place of the model.
    """

    def predict(image: tf.Tensor) -> dict[str, tf.Tensor]:
        logits = tf.ensure_shape(logits_of(image), [None, len(LABELS)])
        class_id = tf.argmax(logits, -1)
        return {
            "logits": logits,
            "probabilities": tf.nn.softmax(logits),
            "class_id": class_id,
            "label": tf.gather(LABELS, class_id),
        }

    image = tf.TensorSpec((None, 28, 28), tf.uint8, name="image")
    function = tf.function(predict, input_signature=[image])
    tf.saved_model.save(tracked or model, str(directory), signatures={"serving_default": function})
