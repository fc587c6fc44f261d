"""The command on several devices."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.warm import run_warm
from tfd2l.train.settings.config import ConfigError, from_settings


@pytest.mark.slow
def test_the_processor_is_split_and_the_run_says_so(tmp_path: Path) -> None:
    options = "--model linear --device cpu --devices 2 --epochs 1 --limit-batches 3 --export none"
    run = tmp_path / "run"
    done = run_warm("-m", "tfd2l.train", *options.split(), "--run-dir", run)
    assert done.returncode == 0, done.stderr
    assert json.loads((run / "config.json").read_text())["settings"]["devices"] == 2
    assert json.loads((run / "export.json").read_text())["execution"]["replicas"] == 2


def test_more_gpus_than_there_are_end_the_run_with_a_line(tmp_path: Path) -> None:
    done = run_warm("-m", "tfd2l.train", "--model", "linear", "--devices", "3", cwd=tmp_path)
    assert done.returncode == 2
    assert "error: --devices 3, but TensorFlow sees 0 GPUs" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("devices", [0, 65, True, "two", "2.0", 1.5, None])
def test_devices_are_a_number_or_all(devices: object) -> None:
    with pytest.raises(
        ConfigError, match="devices must be a number of devices from 1 to 64, or all"
    ):
        from_settings({"devices": devices})


def test_xla_and_several_devices_exclude_each_other() -> None:
    with pytest.raises(ConfigError, match="compiles for one device"):
        from_settings({"devices": "all", "jit_compile": True})
    assert from_settings({"devices": "4"}).devices == 4
