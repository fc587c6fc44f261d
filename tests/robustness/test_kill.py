"""SIGKILL at any moment: the run goes on and ends as if nothing had happened."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from kills import Trial

from tfd2l.publish import published_versions

LINEAR = ["--model", "linear-scratch", "--epochs", "300", "--checkpoint-every", "10"]
MLP = ["--model", "mlp", "--epochs", "4", "--checkpoint-every", "50"]


@pytest.mark.slow
def test_a_run_that_is_killed_ends_as_if_nothing_had_happened(tmp_path: Path) -> None:
    trial = Trial(tmp_path, LINEAR, longest_s=7.0)
    trial.finish("reference")
    trial.kill("run", 3, random.Random(1))
    trial.compare("run", "reference")


@pytest.mark.long
@pytest.mark.parametrize(("flags", "kills"), [(LINEAR, 40), (MLP, 60)])
def test_a_hundred_kills_lose_nothing(flags: list[str], kills: int, tmp_path: Path) -> None:
    trial = Trial(tmp_path, flags, longest_s=11.0)
    trial.finish("reference")
    trial.kill("run", kills, random.Random(2))
    trial.compare("run", "reference")
    # Whatever is published was checked before it appeared; an interrupted one left nothing.
    exports = tmp_path / "savedmodels" / flags[1]
    for version in published_versions(exports):
        assert (exports / str(version) / "assets.extra" / "card.json").exists()
