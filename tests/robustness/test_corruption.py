"""Files of runs and data that are damaged between two commands: detected, named, recovered."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipelines import fashion_mnist, house_prices
from pipelines.idx_files import FILES, DataError
from pipelines.tables.errors import TableError
from tests.support.damages import DAMAGES, Damage, one_line, unreadable
from tfd2l.common.arrays import read_weights
from tfd2l.engine.checkpoint import checkpoints
from tfd2l.train import command as train

# Runs of linear regression, which trains in a moment.
RUN = ["--model", "linear-scratch", "--epochs", "4", "--run-dir", "run"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished run."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train.main(RUN) == 0
    return folder


@pytest.fixture
def run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that run, in the state of a kill after the third epoch."""
    shutil.copytree(finished / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run/export.json").unlink()
    checkpoints(tmp_path / "run/checkpoints")[0].unlink()
    return tmp_path / "run"


def assert_same_end(run: Path, finished: Path) -> None:
    """Compare metrics and variables with those of the undamaged run."""
    ends = [run, finished / "run"]
    found, wanted = (pd.read_csv(end / "metrics.csv").drop(columns="seconds") for end in ends)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    arrays = [read_weights(checkpoints(end / "checkpoints")[0])[0] for end in ends]
    for one, same in zip(*arrays, strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("damage", ["a bit in the middle", "half of it", "empty", "unreadable"])
def test_a_run_resumes_from_the_checkpoint_before_a_damaged_one(
    run: Path, finished: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = checkpoints(run / "checkpoints")[0]
    # metrics.csv is written again, whatever its content.
    DAMAGES[damage](latest)
    DAMAGES[damage](run / "metrics.csv")
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "passed over" in line]
    assert len(said) == 1
    assert latest.name in said[0]
    assert_same_end(run, finished)


@pytest.mark.parametrize("damage", ["a bit at the start", "only the start", "a directory"])
def test_a_run_with_only_damaged_checkpoints_is_refused(
    run: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = (run / "metrics.csv").read_bytes()
    for path in checkpoints(run / "checkpoints"):
        DAMAGES[damage](path)
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 2
    assert "checkpoint that is whole; all 2 in 'run/checkpoints' are damaged" in one_line(capsys)
    assert (run / "metrics.csv").read_bytes() == metrics


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_run_with_damaged_settings_is_refused(
    run: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    DAMAGES[damage](run / "config.json")
    if damage == "all but a byte":
        # The last byte is the end of the line, without which the record is still complete.
        DAMAGES[damage](run / "config.json")
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 2
    assert "config.json" in one_line(capsys)


@pytest.mark.parametrize("damage", ["a bit in the middle", "half of it", "a directory"])
def test_a_damaged_record_of_the_export_is_named_and_nothing_is_published(
    run: Path, finished: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(finished / "run/export.json", run)
    DAMAGES[damage](run / "export.json")
    versions = sorted((finished / "savedmodels/linear-scratch").iterdir())
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 2
    said = one_line(capsys)
    assert "'run/export.json'" in said
    assert "Remove it" in said
    assert sorted((finished / "savedmodels/linear-scratch").iterdir()) == versions


# Data.


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, fashion: fashion_mnist.Arrays) -> Path:
    """A directory with the four real files; tests must not write into it."""
    folder = tmp_path_factory.mktemp("data")
    for file in FILES:
        shutil.copy(fashion_mnist.cache_dir() / file.name, folder)
    return folder


def linked(data: Path, folder: Path, damage: Damage) -> Path:
    """Make a directory with the four files, and damage the last one."""
    folder.mkdir(parents=True)
    for file in FILES[:-1]:
        (folder / file.name).hardlink_to(data / file.name)
    damage(Path(shutil.copy(data / FILES[-1].name, folder)))
    return folder


@pytest.mark.parametrize("damage", ["a bit at the start", "all but a byte", "unreadable"])
def test_training_is_refused_on_damaged_data(
    data: Path,
    tmp_path: Path,
    damage: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = linked(data, tmp_path / "data", DAMAGES[damage])
    monkeypatch.chdir(tmp_path)
    assert train.main(["--data-dir", str(folder)]) == 2
    assert str(folder / FILES[-1].name) in one_line(capsys)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("damage", ["half of it", "a directory", "unreadable"])
def test_a_damaged_cache_is_passed_over_with_a_message(
    data: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFD2L_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TFD2L_DATA_DIR", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", data)
    folder = linked(data, fashion_mnist.cache_dir(), DAMAGES[damage])
    said: list[str] = []
    found = fashion_mnist.load(download=False, say=said.append)
    assert found.source == f"Debian's package in {data}"
    assert str(folder / FILES[-1].name) in said[0] or FILES[-1].name in said[0]
    # A directory is not removed; a second message says that the cache can't be filled.
    assert len(said) == (2 if damage == "a directory" else 1)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", tmp_path / "none")
    if damage == "a directory":
        with pytest.raises(DataError, match=FILES[-1].name):
            fashion_mnist.load(download=False)
    else:
        assert fashion_mnist.load(download=False).source.startswith("the cache")


@pytest.mark.parametrize("share", [0, 0.003, 0.5, 0.999])
def test_a_table_that_was_cut_is_refused_by_its_row(house_files: Path, share: float) -> None:
    data = (house_files / "kaggle_house_pred_train.csv").read_bytes()
    path = house_files / "cut.csv"
    # The cut is before a value; docs/robustness.md says why a cut within the last is not detected.
    path.write_bytes(data[: data.rfind(b",", 0, int(share * len(data)))] if share else b"")
    with pytest.raises(TableError, match=r"cut\.csv"):
        house_prices.read(path)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.touch()
    unreadable(path)
    with pytest.raises(TableError, match=r"table\.csv can't be read to its end: Input/output"):
        house_prices.read(path)
