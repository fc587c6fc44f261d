"""A run that SIGKILL ends at any moment can be resumed, and ends with the same bits."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.support.kills import PHASES, Trial
from tests.support.own_files import NET, make_photos
from tfd2l.export.checksums import check_files
from tfd2l.export.publish import published_versions

SHORT = ["--model", "linear-scratch", "--epochs", "20", "--checkpoint-every", "10"]
LINEAR = ["--model", "linear-scratch", "--epochs", "300", "--checkpoint-every", "10"]
MLP = ["--model", "mlp", "--epochs", "4", "--checkpoint-every", "50"]
XLA = ["--model", "mlp-scratch", "--epochs", "6"]
OWN = [
    "--data", "photos", "--model", "nets.py", "--resize", "8", "--batch-size", "4",
    "--epochs", "40", "--optimizer", "adam", "--schedule", "cosine", "--early-stopping", "40",
    "--checkpoint-every", "2",
]  # fmt: skip


@pytest.mark.slow
def test_a_run_that_is_killed_three_times_ends_with_the_same_bits(tmp_path: Path) -> None:
    trial, chance = Trial(tmp_path, SHORT, longest_s=2.0), random.Random(4)
    trial.finish("reference")
    trial.kill_in("writing a checkpoint", "run", chance)
    trial.kill_in("publishing", "run", chance)
    # At a random moment, unless the run finishes before.
    trial.kill("run", 1, chance)
    trial.compare("run", "reference")
    only_whole_versions(tmp_path)
    # No incomplete file of a killed process remains.
    assert not [path for path in (tmp_path / "run").rglob(".*") if path.name != ".lock"]


@pytest.mark.long
@pytest.mark.parametrize(
    "flags", [LINEAR, MLP, XLA, OWN], ids=["linear-scratch", "mlp", "mlp, XLA", "own data"]
)
def test_a_hundred_kills_lose_nothing(flags: list[str], tmp_path: Path) -> None:
    make_photos(tmp_path / "photos")
    (tmp_path / "nets.py").write_text(NET)
    trial, chance = Trial(tmp_path, flags, longest_s=6.0), random.Random(2)
    trial.finish("reference")
    for phase in PHASES:
        if flags not in (LINEAR, OWN) or phase != "filling the cache":
            for _ in range(4):
                trial.kill_in(phase, "run", chance)
    trial.kill("run", 20, chance)
    trial.compare("run", "reference")
    only_whole_versions(tmp_path)
    print(f"kills: {dict(trial.killed)}; finished runs: {trial.finished}")


def only_whole_versions(folder: Path) -> None:
    """Check that each published version is complete, and that nothing else is left there."""
    [exports] = (folder / "savedmodels").iterdir()
    assert not [*exports.glob(".*")]
    for version in published_versions(exports):
        check_files(exports / str(version))
        assert (exports / str(version) / "assets.extra" / "card.json").exists()
