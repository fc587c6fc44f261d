"""Keeps a run's metrics: `metrics.csv`, and the events for TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from pipelines.basics.files import write_atomically
from tfd2l.book.callbacks.tensorboard import TensorBoard
from tfd2l.engine.history import History
from tfd2l.train.settings.config import TrainConfig, about

__all__ = ["METRICS_FILE", "TENSORBOARD", "charts_of", "write_metrics"]

METRICS_FILE, TENSORBOARD = "metrics.csv", "tensorboard"


def write_metrics(run_path: Path, history: History) -> None:
    """Write `metrics.csv`, with a row for each epoch; without epochs nothing is written.

    Raises:
        OSError: the file can't be written.
    """
    if history:
        table = pd.DataFrame(history).astype({"epoch": int})
        write_atomically(run_path / METRICS_FILE, table.to_csv(index=False))


def charts_of(config: TrainConfig, run_path: Path) -> TensorBoard:
    """The callback that writes a run's events, with the settings that distinguish runs."""
    hparams: dict[str, Any] = {
        name: value
        for name, value in config.model_dump(mode="json", exclude={"epochs", "dry_run"}).items()
        if about(name)["group"] == "training" and value is not None
    }
    names = {"model": Path(config.model).name, "data": config.data and config.data.name}
    hparams |= {name: value for name, value in names.items() if value}
    return TensorBoard(run_path / TENSORBOARD, {**hparams, "precision": config.precision})
