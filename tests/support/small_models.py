"""Small models like the project's own, and a way to run their exports by the C API."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfd2l.export.c_api.process import c_api_process
from tfd2l.export.saved_model import read_signatures

Array = np.ndarray[Any, Any]

# One that UTF-8 writes in more bytes than characters, and one too long to be stored inline.
LABELS = ["t-shirt", "trouser", "púllover", "dress", "coat", "a sandal with a very long name"]
Q = len(LABELS)
IMAGES = np.random.default_rng(0).integers(0, 256, (260, 28, 28)).astype(np.uint8)


def preprocess(images: tf.Tensor) -> tf.Tensor:
    """(n, h, w) uint8 -> (n, h, w, 1) float32 in [0, 1]."""
    return tf.cast(images, tf.float32)[..., None] * np.float32(1 / 255)


class Scratch(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Softmax regression on tf.Variables."""

    def __init__(self) -> None:
        self.W = tf.Variable(tf.random.normal((784, Q), stddev=0.1), name="W")
        self.b = tf.Variable(tf.random.normal((Q,)), name="b")

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return tf.reshape(X, (-1, 784)) @ self.W + self.b


class Concise(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """A multilayer perceptron of Keras layers."""

    def __init__(self, dtype: str = "float32") -> None:
        self.net = keras.Sequential(
            [
                keras.layers.Flatten(),
                keras.layers.Dense(256, activation="relu", dtype=dtype),
                keras.layers.Dense(Q),
            ]
        )

    @property
    def variables(self) -> list[Any]:
        return [*self.net.variables]

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return self.net(X, training=False)


class Mixed(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """tf.Variables beside a list of Keras layers."""

    def __init__(self) -> None:
        self.layers = [keras.layers.Flatten(), keras.layers.Dense(Q)]
        self.scale = tf.Variable(tf.random.normal((Q,)), name="scale")

    @property
    def variables(self) -> list[Any]:
        return [self.scale, *self.layers[1].variables]

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return self.layers[1](self.layers[0](X)) * self.scale


class Regularised(Concise):
    """Layers that differ between training and inference, with statistics that show it."""

    def __init__(self) -> None:
        self.norm = keras.layers.BatchNormalization()
        self.net = keras.Sequential(
            [keras.layers.Flatten(), self.norm, keras.layers.Dropout(0.5), keras.layers.Dense(Q)]
        )
        self.net.build((None, 28, 28, 1))
        self.norm.moving_mean.assign(tf.random.uniform((784,)))
        self.norm.moving_variance.assign(tf.random.uniform((784,), 0.5, 2))


class Linear(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Linear regression on tf.Variables; gives (n, 1)."""

    def __init__(self) -> None:
        self.w = tf.Variable([[2.0], [-3.4]], name="w")
        self.b = tf.Variable([4.2], name="b")

    def __call__(self, X: tf.Tensor) -> tf.Tensor:
        return X @ self.w + self.b


class ConciseLinear(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Linear regression as a Keras layer that no input has reached yet."""

    def __init__(self, num_outputs: int = 1) -> None:
        self.net = keras.layers.Dense(num_outputs)

    @property
    def variables(self) -> list[Any]:
        return [*self.net.variables]

    def __call__(self, X: tf.Tensor) -> tf.Tensor:
        return self.net(X)


CLASSIFIERS: dict[str, Callable[[], Any]] = {
    "scratch": Scratch,
    "concise": Concise,
    "mixed": Mixed,
    "regularised": Regularised,
    "half precision": lambda: Concise("mixed_bfloat16"),
}


def answers(
    directory: Path, calls: Sequence[tuple[str, Mapping[str, Array]]]
) -> list[dict[str, Array] | str]:
    """Make calls, (signature, inputs), in a fresh process; return outputs, or an error's text."""
    signatures = read_signatures(directory)
    encoded = []
    for name, inputs in calls:
        signature = signatures[name]
        feeds = {signature.inputs[key].tensor: array for key, array in inputs.items()}
        encoded.append((feeds, {key: spec.tensor for key, spec in signature.outputs.items()}))
    with c_api_process() as ask:
        found = ask({"directory": str(directory), "calls": encoded})
    assert isinstance(found, list), found
    return found


def objects(*texts: bytes) -> Array:
    """Make a vector of strings as the load check takes them."""
    return np.array(texts, np.object_)


# Strings around the 22 bytes that a TF_TString stores inline; NUL bytes, and no UTF-8.
STRINGS = objects(b"", b"\0", b"a\0", b"x" * 22, b"y" * 23, b"\xff\xfe", b"z" * 100_000)
