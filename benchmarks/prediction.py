"""`python -m benchmarks.prediction`: W6, the milliseconds of a prediction by an exported model.

Compares, in one process: the C API on which the development server stands, the exported signature
called from Python, and Keras' own `predict` on the model in memory.
"""

from __future__ import annotations

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import argparse
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

import tfd2l as d2l
from benchmarks.processes import table
from pipelines import fashion_mnist
from pipelines.images import prepare_images
from tfd2l.export.c_api.session import Session, load_library
from tfd2l.export.saved_model import read_signatures
from tfd2l.export.signatures import export_classifier


def median_ms(call: Callable[[], Any], calls: int) -> float:
    """Return the median time of a call, in milliseconds."""
    seconds = []
    for _ in range(calls):
        started_s = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - started_s)
    return 1e3 * statistics.median(seconds)


def main() -> None:
    """Export an untrained MLP and time its predictions."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prediction", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=200)
    options = parser.parse_args()
    model = d2l.MLP(10, 256, lr=0.1)
    with tempfile.TemporaryDirectory() as folder:
        export_classifier(
            model, folder, labels=fashion_mnist.LABELS, preprocess=lambda X: prepare_images(X, None)
        )
        signature = tf.saved_model.load(folder).signatures["serving_default"]
        spec = read_signatures(Path(folder))["serving_default"]
        session = Session(load_library(), folder)
    feed = spec.inputs["image"].tensor
    fetches = {name: output.tensor for name, output in spec.outputs.items()}
    for n in (1, 256):
        images = np.random.default_rng(0).integers(0, 256, (n, 28, 28), dtype=np.uint8)
        floats = images[..., None] / np.float32(255)
        ways: dict[str, Callable[[], Any]] = {
            "C API": lambda images=images: session.run({feed: images}, fetches),  # type: ignore[misc]  # mypy infers no default of a lambda
            "signature from Python": lambda images=images: {  # type: ignore[misc]  # mypy infers no default of a lambda
                name: value.numpy() for name, value in signature(image=tf.constant(images)).items()
            },
            "Keras predict": lambda X=floats: model.net.predict(X, verbose=0),  # type: ignore[misc]  # mypy infers no default of a lambda
        }
        figures = defaultdict(list)
        for way in ways.values():
            way()
        for _ in range(options.rounds):
            for name, way in ways.items():
                calls = options.calls if name != "Keras predict" else 20
                figures[name].append(median_ms(way, calls))
        table(f"W6, {n} images" if n > 1 else "W6, one image", "ms", figures)


if __name__ == "__main__":
    main()
