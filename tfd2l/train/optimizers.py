"""Gives a model the optimizer, schedule and weight decay that the settings name."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tfd2l.book.module import Module
from tfd2l.train.settings.config import ConfigError, TrainConfig

__all__ = ["set_optimizer"]


def set_optimizer(model: Module, config: TrainConfig, num_batches: int) -> None:
    """Replace the model's `configure_optimizers`, unless the settings leave it to the model.

    Args:
        model: its own optimizer stays if the settings name none, no schedule and no weight decay.
        config: all settings.
        num_batches: steps of an epoch, by which a schedule counts.

    Raises:
        ConfigError: a schedule or weight decay for a reader's own optimizer.
    """
    if not config.sets_optimizer:
        return
    needed = [name for name in ("schedule", "weight_decay") if _is_given(config, name)]
    if config.optimizer == "own" and _configures_its_own(model):
        raise ConfigError(
            f"{needed[0]} is for the optimizers of this command, and {type(model).__name__} "
            "configures its own; choose one with --optimizer, or set it in configure_optimizers."
        )
    rate = _rate(config, num_batches)
    decay = config.weight_decay or None
    makers: dict[str, Callable[[], Any]] = {
        "sgd": lambda: keras.optimizers.SGD(rate, weight_decay=decay),
        "momentum": lambda: keras.optimizers.SGD(rate, momentum=0.9, weight_decay=decay),
        "adam": lambda: keras.optimizers.Adam(rate, weight_decay=decay),
        # Keras' own default where none is given.
        "adamw": lambda: keras.optimizers.AdamW(rate, weight_decay=decay or 0.004),
    }
    make = makers[config.optimizer.replace("own", "sgd")]
    model.configure_optimizers = make  # type: ignore[method-assign]  # of this model alone


def _is_given(config: TrainConfig, name: str) -> bool:
    return bool(getattr(config, name) != type(config).model_fields[name].default)


def _configures_its_own(model: Module) -> bool:
    """True for a reader's class that defines `configure_optimizers`; the book's are SGD alike."""
    owner = next(c for c in type(model).__mro__ if "configure_optimizers" in vars(c))
    return not owner.__module__.startswith("tfd2l.")


def _rate(config: TrainConfig, num_batches: int) -> Any:
    """The learning rate, or its schedule over all steps of the run."""
    lr, steps = config.rate or config.lr, max(config.epochs * num_batches, 1)
    schedules = keras.optimizers.schedules
    if config.schedule == "cosine":
        return schedules.CosineDecay(lr, steps)
    if config.schedule == "linear":
        return schedules.PolynomialDecay(lr, steps, end_learning_rate=0.0)
    if config.schedule == "step":
        thirds = [max(steps // 3, 1), max(2 * steps // 3, 2)]
        return schedules.PiecewiseConstantDecay(thirds, [lr, lr / 10, lr / 100])
    return lr
