"""A run's directory: nothing in it is overwritten, and every file is complete."""

from __future__ import annotations

import json
import math
import os
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from tests.support.data import regression_data
from tests.support.served import until
from tests.support.warm import WarmProcess
from tfd2l.common.arrays import write_weights
from tfd2l.engine.checkpoint import checkpoint_name, checkpoints, load_checkpoint
from tfd2l.engine.history import History
from tfd2l.train import run_directory
from tfd2l.train.records import RunError
from tfd2l.train.resume import check_data
from tfd2l.train.run_directory import KEEP_CHECKPOINTS, RunDirectory, new_run_path


def fit(run: RunDirectory, epochs: int) -> tuple[d2l.LinearRegressionScratch, History]:
    """Train for as many epochs, with the run as callback."""
    model = d2l.LinearRegressionScratch(2, lr=0.03)
    return model, d2l.Trainer(epochs, callbacks=[run]).fit(model, regression_data())


def test_metrics_and_the_last_checkpoints_are_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.keep_settings({"lr": 0.03}, {"name": "made up"})
    _, history = fit(run, 5)
    table = pd.read_csv(run.path / "metrics.csv")
    pd.testing.assert_frame_equal(table, pd.DataFrame(history), check_dtype=False)
    config = json.loads((run.path / "config.json").read_text())
    assert config["settings"] == {"lr": 0.03}
    assert {"python", "keras", "tfd2l"} <= set(config["versions"])
    # Under whatever name it was installed.
    assert config["versions"]["tensorflow"] == tf.__version__
    kept = sorted(path.name for path in (run.path / "checkpoints").glob("*"))
    assert kept == [f"epoch-{epoch:05d}.step-0000000" for epoch in range(6 - KEEP_CHECKPOINTS, 6)]
    assert [path.name for path in run.path.rglob(".*")] == [".lock"]


def test_a_directory_with_something_in_it_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes").touch()
    with pytest.raises(RunError, match="not empty .it has 'notes'.*--run-dir"):
        RunDirectory(tmp_path)


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "run"):
        with pytest.raises(RunError, match="can't be made or read.*--run-dir"):
            RunDirectory(path)
    with pytest.raises(RunError, match="can't be made"):
        new_run_path(tmp_path / "file", "mlp")


def test_runs_of_one_second_get_directories_of_their_own(tmp_path: Path) -> None:
    paths = {new_run_path(tmp_path / "runs", "mlp") for _ in range(5)}
    assert len(paths) == 5
    assert all(path.is_dir() and path.name.startswith("mlp-") for path in paths)


def test_a_long_name_is_cut(tmp_path: Path) -> None:
    path = new_run_path(tmp_path, "a" * 255)
    assert path.name.startswith("a" * 200 + "-2")


def test_the_last_checkpoint_has_the_final_weights(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    model, _ = fit(run, 2)
    other = d2l.LinearRegressionScratch(2, lr=0.03)
    latest = checkpoints(run.path / "checkpoints")[0]
    assert load_checkpoint(latest, other)["epoch"] == 2
    np.testing.assert_array_equal(model.w, other.w)


@pytest.mark.slow
def test_a_second_process_in_the_directory_is_refused(tmp_path: Path) -> None:
    program = (
        "import sys, time; from pathlib import Path\n"
        "from tfd2l.train.run_directory import RunDirectory\n"
        "run = RunDirectory(Path(sys.argv[1])); Path('taken').touch(); time.sleep(600)"
    )
    process = WarmProcess(
        ["-c", program, str(tmp_path / "run")], cwd=tmp_path, environment=os.environ
    )
    try:
        until((tmp_path / "taken").exists)
        with pytest.raises(RunError, match="another process uses the run's directory"):
            RunDirectory(tmp_path / "run")
    finally:
        process.kill()
        process.wait()
    # The lock ends with its process, also after a kill.
    RunDirectory(tmp_path / "run")


def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    fit(run, 2)
    latest, before = checkpoints(run.path / "checkpoints")
    content = bytearray(latest.read_bytes())
    content[300] ^= 1
    latest.write_bytes(content)
    said: list[str] = []
    assert run.last_good_checkpoint(said.append) == before
    assert len(said) == 1
    assert "passed over" in said[0]
    assert latest.name in said[0]
    # It is renamed, so that later runs ignore it and its content can still be examined.
    assert checkpoints(before.parent) == [before]
    assert latest.with_name(f"passed-over.{latest.name}").read_bytes() == content


@pytest.mark.slow
def test_copies_beside_the_checkpoints_stay_and_are_named_once(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    fit(run, 2)
    folder = run.path / "checkpoints"
    latest = checkpoints(folder)[0]
    # Names that sort before and after those of the run's own.
    copies = [f"{latest.name}.mybest", "epoch-99999.step-0000000.backup", "epoch-3.step-1",
              "epoch-000002.step-0000000", "epoch-00001.step-0000000 (copy)"]  # fmt: skip
    for name in copies:
        shutil.copy(latest, folder / name)
    said: list[str] = []
    assert run.last_good_checkpoint(said.append) == latest
    assert len(said) == 1
    assert said[0].startswith("not of this run, so neither used nor removed: [")
    fit(run, 7)
    assert all((folder / name).exists() for name in copies)
    assert len(checkpoints(folder)) == KEEP_CHECKPOINTS


def test_checkpoints_sort_by_number(tmp_path: Path) -> None:
    names = [checkpoint_name(epoch, step) for epoch, step in (
        (100_000, 0), (99_999, 10**7), (99_999, 9_999_999))]  # fmt: skip
    for name in names:
        (tmp_path / name).touch()
    assert [path.name for path in checkpoints(tmp_path)] == names


def test_after_a_thousand_epochs_not_every_one_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory(tmp_path / "run")
    trainer = d2l.Trainer(3001)
    written: list[int] = []
    monkeypatch.setattr(run, "keep", lambda trainer: written.append(trainer.state.epoch))
    monkeypatch.setattr(run_directory, "write_metrics", lambda path, history: None)
    for trainer.state.epoch in range(1, 3002):
        run.on_epoch_end(trainer, {})
    assert written[:1000] == [*range(1, 1001)]
    assert written[1000:1501] == [*range(1002, 2000, 2), 2001, 2004]
    # The last one of the run is written in any case.
    assert written[-4:] == [2994, 2997, 3000, 3001]


def test_a_checkpoint_with_infinite_or_nan_numbers_is_passed_over(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    folder = run.path / "checkpoints"
    folder.mkdir()
    lost = {"state": {"history": {"epoch": [1.0, 2.0], "val_loss": [1.0, math.inf]}}}
    write_weights(folder / checkpoint_name(4), [], lost)
    for epoch, value in ((1, 1.0), (2, math.nan), (3, math.inf)):
        write_weights(
            folder / checkpoint_name(epoch), [np.array([0, value], np.float32), np.array(3)]
        )
    said: list[str] = []
    assert run.last_good_checkpoint(said.append) == folder / checkpoint_name(1)
    assert all("has numbers that are infinite or NaN" in line for line in said)
    assert len(said) == 3


def test_a_new_checkpoint_is_kept_even_if_others_have_higher_numbers(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    (run.path / "checkpoints").mkdir()
    # Four damaged ones that could not be renamed.
    for epoch in range(5, 9):
        (run.path / "checkpoints" / checkpoint_name(epoch)).touch()
    fit(run, 1)
    assert (run.path / "checkpoints" / checkpoint_name(1)).exists()


def test_a_directory_whose_run_was_killed_before_it_wrote_its_settings_counts_as_empty(
    tmp_path: Path,
) -> None:
    half = tmp_path / "half"
    half.mkdir()
    for name in (".lock", ".config.json.0123456789abcdef.tfd2l"):
        (half / name).touch()
    with pytest.raises(
        RunError, match="killed before it had written its settings must be started again"
    ):
        RunDirectory(half, resume=True)
    RunDirectory(half)
    assert [path.name for path in half.iterdir()] == [".lock"]
    # Files of other programs are not removed.
    (half / ".other.123").touch()
    with pytest.raises(RunError, match="not empty .it has '.other.123'"):
        RunDirectory(half)


def test_a_checkpoint_that_is_a_directory_is_passed_over_by_name(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    assert run.last_good_checkpoint(print) is None
    bad = run.path / "checkpoints/epoch-00002.step-0000000"
    good = bad.with_name("epoch-00001.step-0000000")
    bad.mkdir(parents=True)
    write_weights(good, [])
    said: list[str] = []
    assert run.last_good_checkpoint(said.append) == good
    assert bad.name in said[0]


def test_a_run_with_only_damaged_checkpoints_is_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    (run.path / "checkpoints").mkdir()
    for epoch in (1, 2):
        (run.path / f"checkpoints/epoch-0000{epoch}.step-0000000").write_bytes(b"damaged")
    said: list[str] = []
    with pytest.raises(
        RunError, match=r"checkpoint that is whole; all 2 in '.*' are damaged, or not finite. Put"
    ):
        run.last_good_checkpoint(said.append)
    assert len(said) == 2


def test_the_record_of_the_export_is_read_back_or_refused(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    unfinished = run.conclusion
    assert unfinished is None
    run.finish({"export": "savedmodels/mlp/1", "epoch": 3}, run.path / "checkpoints/epoch-00003")
    assert run.conclusion == {
        "export": "savedmodels/mlp/1",
        "epoch": 3,
        "best_checkpoint": "checkpoints/epoch-00003",
    }
    note = run.path / "export.json"
    note.write_text(note.read_text().replace("mlp/1", "mlp/2"))
    with pytest.raises(
        RunError, match=r"export\.json', which .* is damaged. Remove it, and --resu"
    ):
        _ = run.conclusion


def test_a_run_resumes_with_the_data_of_its_start_only(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.keep_settings(
        {}, {"name": "FashionMNIST", "sha256": {"a": "1", "b": "1"}, "source": "here"}
    )
    now = {"name": "FashionMNIST", "sha256": {"a": "1", "b": "1"}, "source": "elsewhere"}
    check_data(run, now)
    with pytest.raises(RunError, match="began with other data than there is now: other b. Put"):
        check_data(run, {**now, "sha256": {"a": "1", "b": "2"}})


def test_the_best_epochs_checkpoint_is_kept(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    trainer = d2l.Trainer(1)
    trainer.fit(d2l.LinearRegressionScratch(2, lr=0.03), regression_data())
    accuracies = [0.5, 0.9, math.nan, 0.6, 0.7, 0.8, 0.9]
    for epoch in range(1, 8):
        trainer.history = History(val_acc=accuracies[:epoch])
        trainer.state.epoch = epoch
        run.keep(trainer)
    kept = [int(path.name[6:11]) for path in checkpoints(run.path / "checkpoints")]
    assert kept == [7, 6, 5, 2]
    assert run.best_checkpoint(trainer.history) == run.path / "checkpoints" / checkpoint_name(2)
    assert run.best_checkpoint(History()) is None
