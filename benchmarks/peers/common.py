"""Shared by all peers: the workloads, the data, and the line of JSON at the end.

Imports NumPy and the standard library alone, since some peers run in environments without the
packages of this project.
"""

from __future__ import annotations

import atexit
import json
import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
NUM_HIDDENS = 256
# W1's data, as in the book's section 3.4.
TRUE_W, TRUE_B, NOISE = (2.0, -3.4), 4.2, 0.01


@dataclass(frozen=True)
class Workload:
    """A piece of work that every peer does.

    Attributes:
        name: W1 linear regression, W2 softmax regression and W3 the MLP from scratch, W4 the MLP
            on the framework's layers; W7, W8 and W8b are W4 with the data from a pipeline of rows
            in memory, from a file of batches, and from a folder of PNG files. W9 is LeNet, and W9b
            a net with batch normalization and max pooling; W9c is that net on 6,000 images of 64 x
            64 pixels in colour.
        batch_size: examples in a step.
        lr: rate of plain SGD.
        epochs: passes over the data in a run. W1's take milliseconds, so a run has more of them:
            a compiler that starts late must have started.
    """

    name: str
    batch_size: int
    lr: float
    epochs: int = 10

    @property
    def is_linear(self) -> bool:
        """True for the regression."""
        return self.name == "W1"

    @property
    def hidden(self) -> bool:
        """True for the models with a hidden layer."""
        return self.name in ("W3", "W4", *STREAMED)

    @property
    def convolutional(self) -> bool:
        """True for the convolutional nets."""
        return self.name.startswith("W9")


# Those whose data does not lie in arrays.
STREAMED = ("W7", "W8", "W8b")
WORKLOADS = {
    "W1": Workload("W1", 32, 0.03, epochs=100),
    "W2": Workload("W2", 256, 0.1),
    "W3": Workload("W3", 256, 0.1),
    "W4": Workload("W4", 256, 0.1),
    "W7": Workload("W7", 256, 0.1),
    "W8": Workload("W8", 256, 0.1),
    "W8b": Workload("W8b", 256, 0.1, epochs=5),
    # A rate at which LeNet's sigmoids leave their plateau in the first epochs.
    "W9": Workload("W9", 128, 0.5, epochs=6),
    "W9b": Workload("W9b", 128, 0.1, epochs=5),
    "W9c": Workload("W9c", 128, 0.01, epochs=8),
}
IN_MEMORY = ("W1", "W2", "W3", "W4")


@dataclass(frozen=True)
class Data:
    """Training and validation examples: images and class ids, uint8; for W1 X and y, float32.

    Attributes:
        train: the training examples.
        val: those for validation.
        folder: the same images as files, `train/<class id>/<number>.png` and `val/...`, for W8b.
    """

    train: tuple[Array, Array]
    val: tuple[Array, Array]
    folder: Path = Path()


def write_data(path: Path, images: Data) -> None:
    """Write the data of all workloads to one file, which every peer reads."""
    generator = np.random.default_rng(0)
    X = generator.normal(size=(2000, 2)).astype(np.float32)
    y = (X @ np.array(TRUE_W) + TRUE_B + NOISE * generator.normal(size=2000)).astype(np.float32)
    np.savez(
        path,
        train_images=images.train[0],
        train_labels=images.train[1],
        val_images=images.val[0],
        val_labels=images.val[1],
        X=X,
        y=y[:, None],
    )


def read_data(path: str, workload: Workload) -> Data:
    """Return a workload's examples."""
    with np.load(path) as file:
        if workload.is_linear:
            X, y = file["X"], file["y"]
            return Data((X[:1000], y[:1000]), (X[1000:], y[1000:]))
        if workload.name == "W9c":
            return Data(
                (coloured(file["train_images"][:6000]), file["train_labels"][:6000]),
                (coloured(file["val_images"][:1000]), file["val_labels"][:1000]),
            )
        return Data(
            (file["train_images"], file["train_labels"]),
            (file["val_images"], file["val_labels"]),
            folder=Path(path).parent / "images",
        )


def coloured(images: Array) -> Array:
    """Make (n, 64, 64, 3) of (n, 28, 28): twice as large, with a border, each image tinted."""
    tints = np.random.default_rng(0).uniform(0.3, 1, size=(len(images), 1, 1, 3))
    large = images.repeat(2, axis=1).repeat(2, axis=2)
    padded = np.pad(large, ((0, 0), (4, 4), (4, 4)))
    return (padded[..., None] * tints).astype(np.uint8)


def scratch_folder() -> Path:
    """Make a folder that is deleted when the process ends."""
    folder = tempfile.mkdtemp()
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


class Epochs:
    """Records the seconds and the score of each epoch.

    The score is the validation accuracy; for W1, the share of the targets' variance explained.
    """

    def __init__(self, workload: Workload, data: Data) -> None:
        """Start without epochs."""
        self._workload = workload
        self._variance = float(np.var(data.val[1])) if workload.is_linear else 1.0
        self.seconds: list[float] = []
        self.scores: list[float] = []

    def start(self) -> None:
        """Note the time at which an epoch begins."""
        self._started_s = time.perf_counter()

    def end(self, measured: float) -> None:
        """Record the epoch; `measured` is the accuracy, or half the mean squared error for W1."""
        self.seconds.append(time.perf_counter() - self._started_s)
        self.scores.append(
            1 - 2 * measured / self._variance if self._workload.is_linear else measured
        )


def main(run: Callable[[Workload, int, Data, Epochs], None]) -> None:
    """Run a peer on the command line's `WORKLOAD EPOCHS DATA`; print the results as JSON."""
    workload = WORKLOADS[sys.argv[1]]
    data = read_data(sys.argv[3], workload)
    epochs = Epochs(workload, data)
    run(workload, int(sys.argv[2]), data, epochs)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    row = {"seconds": epochs.seconds, "scores": epochs.scores, "peak_mib": peak_kib / 1024}
    print(json.dumps(row))
