"""Resuming a run: finished or not, with other settings, or with files missing."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from tfd2l.common.arrays import read_weights, write_weights
from tfd2l.engine.checkpoint import checkpoints
from tfd2l.train import command as train
from tfd2l.train.records import read_record, write_record

RUN = ["--model", "linear", "--epochs", "2", "--run-dir", "run"]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with a finished run; tests must not write into it."""
    folder = tmp_path_factory.mktemp("original")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert train.main([*RUN, "--export-dir", "exports"]) == 0
    return folder


@pytest.fixture
def run(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of that run and its export, in the current directory."""
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    # The paths in the records are absolute.
    record = read_record(tmp_path / "run")
    record["settings"]["export_dir"] = str(tmp_path / "exports")
    write_record(tmp_path / "run", record)
    note = read_record(tmp_path / "run", "export.json")
    write_record(tmp_path / "run", {**note, "export": str(version(1))}, "export.json")
    return tmp_path / "run"


def version(number: int) -> Path:
    return Path("exports/linear", str(number)).absolute()


def versions() -> list[str]:
    return sorted(path.name for path in Path("exports/linear").iterdir())


@pytest.mark.slow
def test_the_record_of_the_export_has_absolute_paths(original: Path) -> None:
    note = read_record(original / "run", "export.json")
    assert note["export"] == str(original / "exports/linear/1")
    # Two epochs of gradient descent on a convex function: the second is better.
    assert note["best_checkpoint"] == "checkpoints/epoch-00002.step-0000000"


@pytest.mark.slow
def test_a_finished_run_can_be_resumed_with_more_epochs_and_another_rate(run: Path) -> None:
    first = read_record(run)
    first["settings"]["keep_versions"] = 1
    write_record(run, first)
    assert train.main(["--resume", "run", "--epochs", "3", "--lr", "0.001"]) == 0
    assert pd.read_csv("run/metrics.csv")["epoch"].tolist() == [1, 2, 3]
    record = read_record(run)
    changes = {"epochs": 3, "lr": 0.001, "set": {"lr": 0.001}}
    assert record["settings"] == {**first["settings"], **changes}
    assert record["id"] == first["id"]
    assert versions() == ["2"]
    assert read_record(run, "export.json")["export"] == str(version(2))
    # The rate is a variable of the optimizer, and so in both checkpoints: the old and the new one.
    latest, before = (read_weights(path)[0] for path in checkpoints(run / "checkpoints")[:2])
    scalars = [(float(a), float(b)) for a, b in zip(before, latest, strict=True) if a.ndim == 0]
    assert (float(np.float32(0.03)), float(np.float32(0.001))) in scalars


def test_a_directory_that_is_no_run_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert train.main(["--resume", "none"]) == 2
    said = capsys.readouterr().err
    assert "there is no directory 'none', and so no run in it" in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            ["--batch-size", "7", "--seed", "1"],
            "publish_anyway, keep_versions from the run; drop batch_size, seed",
        ),
        (["--epochs", "0"], "--epochs must be "),
        (["--epochs", "2"], "--epochs must be more than the 2 that the run in 'run' has done; got"),
        (["--lr", "0.1"], "is finished, with 2 epochs; to train on with other settings, add --ep"),
    ],
)
def test_changes_without_effect_are_refused(
    run: Path, flags: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    before = (run / "config.json").read_bytes()
    assert train.main(["--resume", "run", *flags]) == 2
    assert message in capsys.readouterr().err
    assert (run / "config.json").read_bytes() == before
    assert versions() == ["1"]


@pytest.mark.slow
def test_metrics_and_export_of_a_finished_run_are_restored(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = (run / "metrics.csv").read_bytes()
    (run / "metrics.csv").write_text("junk")
    assert train.main(["--resume", "run"]) == 0
    assert (run / "metrics.csv").read_bytes() == metrics
    said = capsys.readouterr().out.splitlines()
    assert said[-1] == f"the run in run is finished; its export is {version(1)}"
    shutil.rmtree(version(1))
    assert train.main(["--resume", "run"]) == 0
    assert f"{version(1)} is gone; it is published again" in capsys.readouterr().out
    assert versions() == ["1"]
    # A damaged version keeps its number, so that somebody can examine it.
    (version(1) / "saved_model.pb").write_bytes(b"junk")
    assert train.main(["--resume", "run"]) == 0
    assert f"{version(1)} is damaged" in capsys.readouterr().out
    assert versions() == ["1", "2"]


def test_a_version_that_a_killed_process_did_not_record_is_not_published_twice(run: Path) -> None:
    (run / "export.json").unlink()
    assert train.main(["--resume", "run"]) == 0
    assert versions() == ["1"]
    assert read_record(run, "export.json")["export"] == str(version(1))


def test_a_resume_removes_what_a_killed_process_did_not_come_to(run: Path) -> None:
    # Killed between the version's rename and its last steps.
    record = read_record(run)
    record["settings"]["keep_versions"] = 1
    write_record(run, record)
    (run / "export.json").unlink()
    shutil.copytree(version(1), version(2))
    (version(1).parent / ".staging-abcdefgh").mkdir()
    first = checkpoints(run / "checkpoints")[-1]
    for step in (1, 2, 3):
        # More than are kept, and none of them the best.
        shutil.copyfile(first, first.with_name(f"epoch-00000.step-000000{step}"))
    assert train.main(["--resume", "run"]) == 0
    assert versions() == ["2"]
    names = [path.name for path in checkpoints(run / "checkpoints")]
    assert names == [
        f"epoch-0000{n}" for n in ("2.step-0000000", "1.step-0000000", "0.step-0000003")
    ]


@pytest.mark.parametrize("state", [5, {"history": 5}, {"history": {"\ud800": [1]}}, None])
def test_a_checkpoint_of_a_wrong_form_is_refused_in_a_line(
    run: Path, state: object, capsys: pytest.CaptureFixture[str]
) -> None:
    weights, about = read_weights(checkpoints(run / "checkpoints")[0])
    for path in checkpoints(run / "checkpoints"):
        write_weights(path, weights, {**about, "state": state})
    for flags in ([], ["--epochs", "3"]):
        assert train.main(["--resume", "run", *flags]) == 2
        assert capsys.readouterr().err.count("\n") <= 2


def test_versions_of_a_wrong_form_are_ignored(run: Path) -> None:
    write_record(run, {**read_record(run), "versions": 7})
    assert train.main(["--resume", "run"]) == 0


@pytest.mark.slow
def test_a_finished_run_can_be_published_in_another_directory(run: Path) -> None:
    assert train.main(["--resume", "run", "--export-dir", "elsewhere"]) == 0
    assert read_record(run, "export.json")["export"] == str(Path("elsewhere/linear/1").absolute())
    assert read_record(run)["settings"]["export_dir"] == str(Path("elsewhere").absolute())
    assert versions() == ["1"]


@pytest.mark.slow
def test_an_impossible_export_directory_is_refused_before_the_first_epoch(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("file").touch()
    for flags in (
        ["--model", "linear", "--run-dir", "new", "--export-dir", "file/exports"],
        ["--resume", "run", "--epochs", "3", "--export-dir", "file/exports"],
    ):
        assert train.main(flags) == 2
        assert "a version must be written below" in capsys.readouterr().err
    assert not Path("new/config.json").exists()
    # The run is still finished.
    assert train.main(["--resume", "run"]) == 0
    assert read_record(run)["settings"]["epochs"] == 2
    assert len(checkpoints(run / "checkpoints")) == 2
    # The right directory can be given afterwards.
    assert train.main(["--resume", "run", "--epochs", "3", "--export-dir", "exports"]) == 0
    assert versions() == ["1", "2"]


def test_a_run_without_its_checkpoints_is_refused(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / "checkpoints")
    # A finished run with its export needs none.
    assert train.main(["--resume", "run"]) == 0
    (run / "export.json").unlink()
    assert train.main(["--resume", "run"]) == 2
    assert "'run/checkpoints' has none, though metrics.csv is there" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["checkpoints", "tensorboard"])
def test_a_file_in_a_directorys_place_is_refused_before_training(
    run: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.rmtree(run / name)
    (run / name).touch()
    assert train.main(["--resume", "run", "--epochs", "3"]) == 2
    assert f"'run/{name}' must be a directory, and is a file" in capsys.readouterr().err
    assert pd.read_csv("run/metrics.csv")["epoch"].tolist() == [1, 2]


def test_other_versions_and_other_data_are_named(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record = read_record(run)
    record["versions"] |= {"tensorflow": "2.19.0", "pandas": "1"}
    write_record(run, record)
    assert train.main(["--resume", "run"]) == 0
    [said] = [line for line in capsys.readouterr().out.splitlines() if "other versions" in line]
    assert "its bits may differ: tensorflow 2." in said
    assert "(then 2.19.0)" in said
    assert "pandas" not in said
    record["data"] |= {"seed": 5, "sha256": {"a": "1", "b": "2"}}
    write_record(run, record)
    assert train.main(["--resume", "run"]) == 2
    assert "began with other data than there is now: other seed, sha256. Put" in (
        capsys.readouterr().err
    )
