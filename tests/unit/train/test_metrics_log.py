"""A run's metrics: the table, and the settings that its charts show."""

from __future__ import annotations

from pathlib import Path

from tfd2l.engine.history import History
from tfd2l.train.metrics_log import charts_of, write_metrics
from tfd2l.train.settings.flags import parse


def test_the_table_has_a_row_for_each_epoch(tmp_path: Path) -> None:
    write_metrics(tmp_path, History())
    assert not (tmp_path / "metrics.csv").exists()
    write_metrics(tmp_path, History(epoch=[1.0, 2.0], val_loss=[0.5, 0.25]))
    assert (tmp_path / "metrics.csv").read_text() == "epoch,val_loss\n1,0.5\n2,0.25\n"


def test_the_charts_show_the_settings_that_distinguish_runs(tmp_path: Path) -> None:
    (tmp_path / "houses.csv").touch()
    flags = ["--model", "softmax", "--batch-size", "64", "--seed", "3", "--schedule", "cosine"]
    charts = charts_of(parse(flags), tmp_path)
    assert charts.log_dir == tmp_path / "tensorboard"
    assert charts.hparams == {
        "batch_size": 64, "gradient_clip_val": 0, "lr": 0.1, "model": "softmax",
        "optimizer": "own", "precision": "float32", "schedule": "cosine", "seed": 3,
        "weight_decay": 0,
    }  # fmt: skip
