"""Builds the model of a run with its optimizer, and checks that it can be served with the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfd2l.book.data import DataModule
from tfd2l.book.module import Module
from tfd2l.export.errors import ExportError
from tfd2l.export.signatures import checked_function
from tfd2l.train.config import ConfigError, TrainConfig
from tfd2l.train.model import make_model
from tfd2l.train.optimizers import set_optimizer

__all__ = ["build_model"]


def build_model(
    cls: type[Module], arguments: Mapping[str, Any], config: TrainConfig, data: DataModule
) -> Module:
    """Make the model, on the current device, before anything of the run is written.

    Raises:
        ConfigError: the constructor fails, or the model's answers do not fit the data.
    """
    model = make_model(cls, arguments, config)
    set_optimizer(model, config, len(data.train_dataloader()))
    try:
        # An hour of training would come before the export that needs it.
        checked_function(model, data.raw_input(), data.output())
    except ExportError as error:
        raise ConfigError(f"the model must fit the data: {error}") from error
    return model
