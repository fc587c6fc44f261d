"""Fits on one, two and three logical devices of the CPU, in one process: prints them as JSON.

    python -m tests.support.replicas features|zoo|worker|endless

The devices have to be made before TensorFlow starts, so this is a program of its own. A worker is
one of several processes, by TF_CONFIG, or trains alone without it.
"""

from __future__ import annotations

import functools
import json
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import tfd2l as d2l
from tests.support.zoo import ZOO
from tfd2l.engine.checkpoint import save_checkpoint

layers = keras.layers


class Images(d2l.DataModule):
    """Random images of random classes, validated on as well."""

    stream: bool
    y: Any

    def __init__(self, n: int, batch_size: int, sizes: tuple[int, ...], stream: bool) -> None:
        super().__init__()
        self.save_hyperparameters()
        rng = np.random.default_rng(0)
        self.X = rng.normal(size=(n, *sizes)).astype(np.float32)
        self.y = rng.integers(0, 3, n).astype(np.int32)

    def get_dataloader(self, train: bool) -> Any:
        batches = self.get_tensorloader((self.X, self.y), train, slice(0, None))
        return batches.map(lambda *batch: batch) if self.stream else batches


class Points(Images):
    """A regression on two features."""

    def __init__(self, n: int, batch_size: int, stream: bool = False) -> None:
        super().__init__(n, batch_size, (2,), stream)
        self.y = (self.X @ np.array([[2], [-3.4]], np.float32)) + np.float32(4.2)


class Net(d2l.Classifier):
    """A classifier of Keras layers between two that are always there."""

    def __init__(self, *between: Any, optimizer: Any = None) -> None:
        super().__init__()
        self.optimizer = optimizer
        self.net = keras.Sequential([layers.Flatten(), layers.Dense(8), *between, layers.Dense(3)])

    def configure_optimizers(self) -> Any:
        return self.optimizer or keras.optimizers.SGD(0.1)


class Penalised(Net):
    """Adds its layers' penalties by hand, plots, and has a metric of Keras."""

    def __init__(self, *between: Any, optimizer: Any = None) -> None:
        super().__init__(*between, optimizer=optimizer)
        self.hits = keras.metrics.SparseCategoricalAccuracy()

    def training_step(self, batch: Any) -> Any:
        loss = self.loss(self(batch[0]), batch[1]) + tf.add_n(self.losses)
        self.plot("penalised", loss, train=True)
        return loss

    def validation_step(self, batch: Any) -> None:
        super().validation_step(batch)
        self.hits.update_state(batch[1], self(batch[0]))


class Embedded(Net):
    """Looks rows of a table up, so that a gradient is sparse."""

    def __init__(self, *between: Any, optimizer: Any = None) -> None:
        super().__init__(*between, optimizer=optimizer)
        self.table = layers.Embedding(5, 8)

    def forward(self, X: Any) -> Any:
        ids = tf.cast(tf.abs(X[..., 0]) * 2, tf.int32) % 5
        return self.net(tf.reduce_mean(self.table(ids), axis=1))


class Noisy(Net):
    """Plots a number that its step draws."""

    def __init__(self) -> None:
        super().__init__()
        self.seed = keras.random.SeedGenerator(5)

    def training_step(self, batch: Any) -> Any:
        self.plot("drawn", keras.random.uniform((), seed=self.seed), train=True)
        return super().training_step(batch)


class Normalised(Net):
    """Normalizes its inputs; the moving averages are those of the last step alone."""

    def __init__(self) -> None:
        super().__init__()
        self.net = keras.Sequential([layers.BatchNormalization(momentum=0.0), layers.Dense(3)])


class Counting(Net):
    """Changes Python state in its step, which then runs eagerly."""

    count = 0

    def training_step(self, batch: Any) -> Any:
        self.count += 1
        return super().training_step(batch)


class OwnEpoch(d2l.Trainer):
    """Makes its steps outside of replicas."""

    def fit_epoch(self) -> None:
        for batch in self.train_dataloader:
            with tf.GradientTape() as tape:
                loss = self.model.training_step(batch)
            tape.gradient(loss, self.model.trainable_variables)


class KeepAt(d2l.Callback):
    """Writes a checkpoint after some steps."""

    def __init__(self, folder: str, step: int) -> None:
        self.folder, self.step = Path(folder), step

    def on_train_batches_end(self, trainer: d2l.Trainer, results: Any) -> None:
        if trainer.state.train_batch_idx == self.step:
            save_checkpoint(self.folder, trainer.model, trainer.optim, trainer.state_dict())


def strategy_of(count: int) -> Any:
    """The strategy of so many devices; None for one device without a strategy.

    TensorFlow's default, collective operations, serves one strategy of a process alone.
    """
    if count not in strategies:
        reduction = tf.distribute.ReductionToOneDevice()
        devices = [f"CPU:{number}" for number in range(count)]
        strategies[count] = tf.distribute.MirroredStrategy(
            devices, cross_device_ops=None if count == 2 else reduction
        )
    return strategies[count]


strategies: dict[int, Any] = {0: None}


def fit(
    make: Callable[[], Any],
    count: int,
    data: Callable[[], Any] = lambda: Images(20, 8, (4, 4, 1), stream=False),
    trainer: type[d2l.Trainer] = d2l.Trainer,
    checkpoint: Any = None,
    **settings: Any,
) -> dict[str, Any]:
    """Fit a model for 21 steps, the last of each epoch on a smaller batch; history and weights."""
    keras.utils.set_random_seed(7)
    model = make()
    settings = {"max_epochs": 7, "enable_progress_bar": False, **settings}
    history = trainer(strategy=strategy_of(count), **settings).fit(model, data(), checkpoint)
    history.pop("seconds")
    plain = {type(getattr(v, "value", v)).__name__ for v in model.variables} & {"MirroredVariable"}
    state = [v.numpy().ravel().tolist() for v in model.variables]
    return {"history": history, "variables": state, "mirrored": sorted(plain)}


def error_of(make: Callable[[], Any], **settings: Any) -> str:
    try:
        fit(make, 2, max_epochs=1, **settings)
    except (ValueError, RuntimeError) as error:
        return f"{type(error).__name__}: {error}"
    return "none"


def features() -> dict[str, Any]:
    """Fits of models with what replicas have to get right, by name and number of devices."""
    normalization = keras.layers.BatchNormalization
    cases: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
        "scratch, clipped": (
            lambda: d2l.MLPScratch(16, 3, 8, lr=0.5), {"gradient_clip_val": 0.1},
        ),
        "optimizer's clipping, synchronized": (
            lambda: Penalised(
                normalization(synchronized=True), layers.Dense(4, kernel_regularizer="l2"),
                optimizer=keras.optimizers.SGD(0.1, 0.9, weight_decay=0.1, global_clipnorm=0.1),
            ), {},
        ),
        "sparse, averaged weights": (
            lambda: Embedded(
                layers.Dense(4, activity_regularizer="l2"),
                optimizer=keras.optimizers.SGD(
                    0.1, momentum=0.9, use_ema=True, gradient_accumulation_steps=2
                ),
            ), {"gradient_clip_val": 0.5},
        ),
        "streamed": (
            lambda: Net(),
            {"data": lambda: Images(17, 8, (4, 4, 1), stream=True), "steps_per_execution": 2},
        ),
    }  # fmt: skip
    counts = dict.fromkeys(cases, (0, 2)) | dict.fromkeys([*cases][:2], (0, 3))
    found: dict[str, Any] = {
        name: {count: fit(make, count, **settings) for count in counts[name]}
        for name, (make, settings) in cases.items()
    }
    first, settings = cases["scratch, clipped"]
    found["scratch, clipped"] |= {count: fit(first, count, **settings) for count in (1, 2)}
    one_step: dict[str, Any] = {
        "data": lambda: Images(8, 8, (4, 4, 1), stream=False),
        "max_epochs": 1,
    }
    found["drawn"] = {count: fit(Noisy, count, **one_step) for count in (0, 2)}
    pair = functools.partial(Images, 2, 2, (3,), stream=False)
    found["own statistics"] = fit(Normalised, 2, max_epochs=1, data=pair)
    with tempfile.TemporaryDirectory() as folder:
        callbacks = [KeepAt(folder, 4)]
        whole = fit(Noisy, 2, max_epochs=3, callbacks=callbacks, steps_per_execution=1)
        [path] = Path(folder).iterdir()
        found["resumed"] = [whole] + [
            fit(Noisy, count, max_epochs=3, checkpoint=path, steps_per_execution=1)
            for count in (2, 0)
        ]
    return found | {"errors": errors()}


def errors() -> dict[str, str]:
    """The errors and the warning for code that replicas can't run."""
    synchronized = layers.BatchNormalization(synchronized=True)
    adding = layers.Dense(4, activity_regularizer="l2")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fit(Counting, 2, max_epochs=1, data=lambda: Images(2, 2, (2,), stream=False))
    return {
        "adds losses": error_of(lambda: Net(synchronized, adding)),
        "own epoch": error_of(lambda: Net(), trainer=OwnEpoch),
        "warned": str(caught[0].message),
    }


def worker() -> dict[str, Any]:
    """Fits that all workers make together, or one process alone; then the errors of workers."""
    if "TF_CONFIG" in os.environ:
        strategies[0] = tf.distribute.MultiWorkerMirroredStrategy()
    normalization = layers.BatchNormalization(synchronized=True)
    fits = {
        "scratch, clipped": fit(lambda: d2l.MLPScratch(16, 3, 8, 0.5), 0, gradient_clip_val=0.1),
        # More steps than a call takes, which each process would choose by its speed.
        "many steps": fit(Net, 0, lambda: Images(4000, 8, (4,), stream=False), max_epochs=1),
        "streamed": fit(
            lambda: Net(normalization), 0, lambda: Images(17, 8, (4,), stream=True), max_epochs=2
        ),
    }
    print(json.dumps(fits), flush=True)
    return quarrel() if "TF_CONFIG" in os.environ else {}


def endless() -> str:
    """The error that ends a fit of many hours, after it has said that it has begun."""
    strategies[0] = tf.distribute.MultiWorkerMirroredStrategy()
    print("begun", file=sys.stderr, flush=True)
    try:
        fit(Net, 0, lambda: Images(4000, 8, (4,), stream=False), max_epochs=10**6)
    except RuntimeError as error:
        return f"{type(error).__name__}: {error}"
    return "none"


class FailsOnOne(d2l.Callback):
    """Raises an error of the reader's in the second worker alone, in the middle of a fit."""

    def on_epoch_begin(self, trainer: d2l.Trainer) -> None:
        if trainer.epoch == 1 and not trainer.is_chief:
            raise KeyError("no such column")


def quarrel() -> dict[str, str]:
    """The errors where the second worker differs from the first, then where it fails alone."""
    other = strategies[0].cluster_resolver.task_id == 1
    sgd = keras.optimizers.SGD

    def error_of(make: Callable[[], Any] = Net, size: int = 8, n: int = 20, **more: Any) -> str:
        started_s = time.monotonic()
        try:
            fit(make, 0, lambda: Images(n, size, (4,), stream=False), **more)
        except (ValueError, RuntimeError, KeyError) as error:
            assert time.monotonic() - started_s < 30
            return f"{type(error).__name__}: {error}"
        return "none"

    return {
        "model": error_of(Noisy if other else Net),
        "shapes": error_of(lambda: Net(layers.Dense(5 if other else 4))),
        "batch size": error_of(size=4 if other else 8),
        "examples": error_of(n=21 if other else 20),
        "optimizer": error_of(lambda: Net(optimizer=sgd(0.1, 0.9 if other else 0.0))),
        "epochs": error_of(max_epochs=3 if other else 2),
        "nothing": error_of(max_epochs=1),
        "fails alone": error_of(max_epochs=3, callbacks=[FailsOnOne()]),
    }


def zoo() -> dict[str, Any]:
    """Fits of the contract's models, in memory and streamed."""
    found: dict[str, Any] = {}
    for name, entry in ZOO.items():
        for stream in (False, True):
            data: Callable[[], Any] = functools.partial(Points, 70, 33, stream)
            if not entry.is_regression:
                data = functools.partial(Images, 70, 33, (28, 28, 1), stream)
            found[f"{name}, {stream}"] = {
                count: fit(entry.make, count, data=data) for count in (0, 1, 2, 3)
            }
    return found


if __name__ == "__main__":
    if sys.argv[1] in ("features", "zoo"):
        cpu = tf.config.list_physical_devices("CPU")[0]
        three = [tf.config.LogicalDeviceConfiguration()] * 3
        tf.config.set_logical_device_configuration(cpu, three)
    parts = {"features": features, "zoo": zoo, "worker": worker, "endless": endless}
    print(json.dumps(parts[sys.argv[1]]()), flush=True)
