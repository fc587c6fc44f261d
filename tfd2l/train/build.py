"""Builds the model of a run with its optimizer, checked to be servable, and its trainer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfd2l.book import devices
from tfd2l.book.callbacks.early_stopping import EarlyStopping
from tfd2l.book.data import DataModule
from tfd2l.book.module import Classifier, Module
from tfd2l.book.trainer import Trainer
from tfd2l.engine.callback import Callback
from tfd2l.export.errors import ExportError
from tfd2l.export.signatures import checked_function
from tfd2l.train.model import choose_model, make_model
from tfd2l.train.optimizers import set_optimizer
from tfd2l.train.settings.config import ConfigError, TrainConfig

__all__ = ["NUM_GPUS", "build_model", "build_trainer", "choose_device", "devices_of",
           "early_stopping"]  # fmt: skip

NUM_GPUS = {"auto": None, "cpu": 0, "gpu": 1}


def choose_device(device: str) -> str:
    """TensorFlow's name of the device that a setting means.

    Raises:
        DeviceError: there is no such device.
    """
    return devices.choose_device(NUM_GPUS[device])


def devices_of(config: TrainConfig) -> dict[str, Any]:
    """The arguments of the trainer that say on which devices to train.

    Raises:
        DeviceError: there are not so many.
    """
    kind = "CPU" if config.device == "cpu" else "GPU"
    available = len(tf.config.list_logical_devices(kind))
    count = available if config.devices == "all" else int(config.devices)
    if count <= 1:
        return {"num_gpus": NUM_GPUS[config.device]}
    if count > available:
        raise devices.DeviceError(
            f"--devices {count}, but TensorFlow sees {available} {kind}s; take as many, or "
            "--device cpu, which splits the processor to try the code."
        )
    return {"strategy": devices.strategy_of(kind, count)}


def build_model(config: TrainConfig, data: DataModule) -> tuple[Module, dict[str, Any]]:
    """Make the model with fresh parameters, from the seed.

    Returns:
        The model, and the arguments of its constructor.

    Raises:
        ConfigError: there is no such model, or its answers do not fit the data.
    """
    keras.utils.set_random_seed(config.seed)
    cls, arguments = choose_model(config, data)
    with tf.device(choose_device(config.device)):
        model = make_model(cls, arguments, config)
        set_optimizer(model, config, len(data.train_dataloader()))
        try:
            # An hour of training would come before the export that needs it.
            checked_function(model, data.raw_input(), data.output())
        except ExportError as error:
            raise ConfigError(f"the model must fit the data: {error}") from error
    return model, arguments


def build_trainer(
    config: TrainConfig,
    model: Module,
    keepers: Sequence[Callback],
    others: Sequence[Callback],
    strategy: tf.distribute.Strategy | None,
) -> Trainer:
    """Make the trainer of a run.

    Args:
        config: all settings.
        model: the model that it will train.
        keepers: callbacks that write an epoch, before the fit may stop at its end.
        others: callbacks that come after early stopping.
        strategy: of several processes; None for one.
    """
    return Trainer(
        config.epochs,
        **(devices_of(config) if strategy is None else {"strategy": strategy}),
        gradient_clip_val=config.gradient_clip_val,
        run_eagerly=config.run_eagerly,
        jit_compile=False if config.deterministic else config.jit_compile,
        steps_per_execution=config.checkpoint_every,
        callbacks=[*keepers, *early_stopping(model, config), *others],
    )


def early_stopping(model: Module, config: TrainConfig) -> list[Callback]:
    """The callback that ends a fit early, if it is wanted; it follows what makes an epoch best."""
    if config.early_stopping is None:
        return []
    plots_accuracy = getattr(type(model), "validation_step", None) is Classifier.validation_step
    monitor = "val_acc" if plots_accuracy else "val_loss"
    return [EarlyStopping(monitor, patience=config.early_stopping)]
