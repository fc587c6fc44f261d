"""`python -m tfd2l.train --data`: own images, tables and models, from the flags to the export."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import tfd2l as d2l
from tests.support.own_files import NET, make_houses, make_photos
from tfd2l.export.publish import CARD_FILE, published_versions
from tfd2l.train import command as train

FLAGS = ["--resize", "8", "--epochs", "3", "--batch-size", "8"]


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("own")
    make_photos(folder / "photos")
    make_houses(folder / "houses.csv")
    (folder / "nets.py").write_text(NET)
    return folder


@pytest.fixture
def here(files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with these files, in which the command runs."""
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def refused(here: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., None]:
    """A function that runs the command, which must refuse in a line and write nothing."""

    def run(words: str, *flags: str) -> None:
        before = sorted(here.rglob("*"))
        assert train.main(flags) == 2
        said = capsys.readouterr().err
        lines = [line for line in said.splitlines() if not line.startswith("warning: ")]
        assert len(lines) == 1, said
        assert words in lines[0]
        after = [path for path in here.rglob("*") if "__pycache__" not in path.parts]
        assert sorted(after) == before

    return run


def card_of(version: Path) -> Any:
    return json.loads((version / CARD_FILE).read_text())


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_readers_model_is_trained_on_a_folder_of_images_and_served(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", "photos", "--model", "nets.py", "--set", "width=6", "--run-dir", "run"]
    assert train.main([*flags, *FLAGS]) == 0
    first, *_, look, _ = capsys.readouterr().out.splitlines()
    assert first == "data: 24 + 6 images of 3 classes from photos: blue, green, red"
    assert look.startswith("look ")
    card = card_of(here / "savedmodels/nets/1")
    assert card["input"] == {
        "kind": "image", "shape": [8, 8, 3], "framing": "none", "encoded": True,
    }  # fmt: skip
    assert card["output"] == {"kind": "class", "labels": ["blue", "green", "red"]}
    record = json.loads((here / "run/config.json").read_text())
    # The file's own rate stays, the data set the number of classes.
    assert record["settings"]["set"] == {"num_classes": 3, "width": 6}
    assert record["model_file"]["path"] == str(here / "nets.py")
    assert record["data"]["fingerprint"] == card["data"]["fingerprint"]
    for picture in ("curves", "confusion", "misclassified"):
        assert (here / f"run/{picture}.png").exists()
    red = d2l.read_image_file("photos/red/0.png", (8, 8), framing="none", channels=3)
    answer = d2l.LocalModel("savedmodels/nets").predict(red.pixels)
    assert answer.label[0] == "red"
    # Resumed by the record alone, with the same arguments.
    (here / "nets.py").write_text(f"{NET}# A comment.\n")
    assert train.main(["--resume", "run", "--epochs", "4"]) == 0
    assert f"{here / 'nets.py'} has changed since the run began" in capsys.readouterr().out
    assert pd.read_csv("run/metrics.csv")["epoch"].tolist() == [1, 2, 3, 4]
    # The same epoch of the same run is no new version.
    best = json.loads((here / "run/export.json").read_text())["epoch"]
    assert len(published_versions(here / "savedmodels/nets")) == (1 if best <= 3 else 2)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_table_is_learnt_and_its_raw_rows_are_answered(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", "houses.csv", "--target", "Price", "--run-dir", "run"]
    assert train.main([*flags, "--epochs", "60", "--lr", "0.05"]) == 0
    said = capsys.readouterr().out
    assert "data: 96 + 24 rows from houses.csv; regression, as " in said
    card = card_of(here / "savedmodels/houses-mlp/1")
    assert card["input"]["columns"] == {"Rooms": "float32", "Roof": "string"}
    assert card["input"]["choices"] == {"Roof": ["Slate", "Tin"]}
    assert card["input"]["takes_missing"]
    assert card["input"]["example"].keys() == {"Rooms", "Roof"}
    assert card["output"] == {"kind": "number", "name": "Price"}
    # A missing value in one row of ten costs some 20,000 there.
    assert card["evaluation"]["value"] < 12_000 < card["evaluation"]["guess"] / 3
    assert (here / "run/residuals.png").exists()
    rows = pd.DataFrame({"Roof": ["Slate", "Tin"], "Rooms": [3, 8]})
    answers: Any = d2l.LocalModel("savedmodels/houses-mlp").predict(rows)
    np.testing.assert_allclose(answers.prediction, [125_000, 210_000], atol=12_000)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_text_is_a_class_and_linear_then_means_softmax(here: Path) -> None:
    flags = ["--data", "houses.csv", "--target", "Roof", "--model", "linear", "--epochs", "2"]
    options = ["--data-option", "drop_missing_targets=true", "--publish-anyway"]
    assert train.main([*flags, *options, "--name", "roofs", "--optimizer", "adam"]) == 0
    card = card_of(here / "savedmodels/roofs/1")
    assert card["output"] == {"kind": "class", "labels": ["Slate", "Tin"]}
    assert card["settings"]["lr"] == 0.001
    assert card["data"]["task"] == "classification"


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_model_that_guesses_is_published_only_if_the_user_insists(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # Equal logits for all classes: the first one each time, which is right for a third.
    zeros = "Dense(num_classes, kernel_initializer='zeros', trainable=False)"
    (here / "zeros.py").write_text(NET.replace("Dense(num_classes)", zeros))
    flags = ["--data", "photos", *FLAGS, "--name", "colours"]
    base = here / "savedmodels/colours"
    assert train.main([*flags, "--model", "zeros.py", "--run-dir", "guess"]) == 0
    said = capsys.readouterr().out
    assert "kept    not published: it is no better than guessing: accuracy 0.3333, where" in said
    assert published_versions(base) == []
    assert train.main([*flags, "--model", "nets.py", "--run-dir", "good"]) == 0
    assert card_of(base / "1")["evaluation"]["value"] > 0.9
    capsys.readouterr()
    assert train.main(["--publish", "guess", "--epoch", "9"]) == 2
    assert "got 9, and there are 1, 2, 3." in capsys.readouterr().err
    assert train.main(["--publish", "guess", "--epoch", "2"]) == 0
    card = card_of(base / "2")
    assert (card["run"], card["epoch"], card["model"]) == ("guess", 2, "zeros.py")
    note = json.loads((here / "guess/export.json").read_text())
    assert note["export"] == str(base / "2")


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_the_best_epoch_is_exported_and_not_the_last(here: Path) -> None:
    # The rate of the second epoch on ruins the weights.
    (here / "falling.py").write_text(
        NET.replace("class Net", "class Falling")
        + """
    def configure_optimizers(self):
        rates = keras.optimizers.schedules.PiecewiseConstantDecay([6], [0.05, 300.0])
        return keras.optimizers.SGD(rates)
"""
    )
    flags = ["--data", "photos", "--model", "falling.py", *FLAGS, "--publish-anyway"]
    assert train.main([*flags, "--run-dir", "best"]) == 0
    history = pd.read_csv("best/metrics.csv")
    best = int(np.argmax(history["val_acc"])) + 1
    assert best < 3
    card = card_of(here / "savedmodels/falling/1")
    assert card["epoch"] == best
    # The accuracy of the exported weights, computed from raw images, is that epoch's.
    assert card["evaluation"]["value"] == pytest.approx(history["val_acc"][best - 1], abs=1e-6)
    assert train.main([*flags, "--run-dir", "last", "--export", "last"]) == 0
    assert card_of(here / "savedmodels/falling/2")["epoch"] == 3
    assert train.main([*flags, "--run-dir", "none", "--export", "none"]) == 0
    assert published_versions(here / "savedmodels/falling") == [1, 2]


@pytest.mark.slow
def test_a_run_resumes_on_unchanged_data_only(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = ["--data", "photos", "--model", "softmax", *FLAGS]
    houses = ["--data", "houses.csv", "--target", "Price", "--model", "linear", "--epochs", "1"]
    for flags, run in ((photos, "of-photos"), (houses, "of-houses")):
        assert train.main([*flags, "--export", "none", "--run-dir", run]) == 0
    Image.new("RGB", (9, 9), "red").save("photos/red/0.png")
    text = Path("houses.csv").read_text()
    Path("houses.csv").write_text(text.replace("Tin", "Reed", 1))
    for run in ("of-photos", "of-houses"):
        capsys.readouterr()
        assert train.main(["--resume", run, "--epochs", "9"]) == 2
        assert "began with other data than there is now: other " in (
            said := capsys.readouterr().err
        )
        assert "fingerprint" in said


@pytest.mark.slow
def test_a_readers_own_rate_and_what_the_user_sets_hold_in_a_resumed_run(here: Path) -> None:
    flags = ["--data", "photos", "--model", "nets.py", *FLAGS, "--export", "none"]
    for name, more in {"own": [], "set": ["--set", "lr=0.25", "--optimizer", "adam"]}.items():
        assert train.main([*flags, *more, "--epochs", "4", "--run-dir", f"{name}-whole"]) == 0
        assert train.main([*flags, *more, "--epochs", "2", "--run-dir", name]) == 0
        assert train.main(["--resume", name, "--epochs", "4"]) == 0
        whole, resumed = (
            pd.read_csv(f"{run}/metrics.csv").drop(columns="seconds")
            for run in (f"{name}-whole", name)
        )
        pd.testing.assert_frame_equal(whole, resumed, check_exact=True)
    # Another rate is another fit.
    assert train.main(["--resume", "own", "--epochs", "5", "--lr", "1e-30"]) == 0
    last, before = pd.read_csv("own/metrics.csv")["val_loss"].tolist()[:2:-1]
    assert last == pytest.approx(before, rel=1e-5)


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_dry_run_keeps_nothing_and_several_seeds_are_summed_up(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted(here.rglob("*"))
    flags = ["--data", "photos", "--model", "softmax", *FLAGS]
    assert train.main([*flags, "--dry-run"]) == 0
    assert capsys.readouterr().out.endswith("dry run: all parts work; nothing was kept\n")
    assert sorted(here.rglob("*")) == before
    assert train.main([*flags, "--seed", "3", "--seed", "4", "--run-dir", "runs"]) == 0
    *_, head, three, four, mean, _, _, _, export = capsys.readouterr().out.splitlines()
    assert head.split() == ["seed", "accuracy", "run"]
    values = [float(line.split()[1]) for line in (three, four)]
    assert mean.startswith(f"accuracy {np.mean(values):.5g}, standard deviation ")
    # The better of the two, alone.
    assert export == "export  savedmodels/photos-softmax/1"
    card = card_of(here / "savedmodels/photos-softmax/1")
    assert card["run"] == ("seed-4" if values[1] > values[0] else "seed-3")
    # Each run is the one that its seed alone would give.
    shutil.rmtree(here / "savedmodels")
    assert train.main([*flags, "--seed", "4", "--run-dir", "alone"]) == 0
    columns = ["train_loss", "val_loss", "val_acc"]
    alone, one = (pd.read_csv(f"{run}/metrics.csv")[columns] for run in ("alone", "runs/seed-4"))
    pd.testing.assert_frame_equal(alone, one)


@pytest.mark.parametrize(
    ("words", "flags"),
    [
        ("absent can't be read: No such file or directory. Give a folder", ["--data", "absent"]),
        ("--target with the name of the column", ["--data", "houses.csv"]),
        ("houses.csv has no column 'Prize'; did you mean 'Price'?",
         ["--data", "houses.csv", "--target", "Prize"]),
        ("target is the column of a CSV file, and 'photos' is a folder",
         ["--data", "photos", "--target", "Price"]),
        ("data_option must name an argument of d2l.Table; got 'thousand'; did you mean thousands?",
         ["--data", "houses.csv", "--target", "Price", "--data-option", "thousand=,"]),
        ("data_option is for further arguments; use --val-share",
         ["--data", "photos", "--data-option", "val_share=0.5"]),
        ("model must fit the data, which ask for a regression; 'softmax' is for classification",
         ["--data", "houses.csv", "--target", "Price", "--model", "softmax"]),
        ("the model file 'absent.py' can't be read", ["--model", "absent.py", "--data", "photos"]),
        ("set must name an argument of Net; got 'widht'; did you mean width?",
         ["--data", "photos", "--model", "nets.py", "--set", "widht=3"]),
        ("Net(num_classes=3, width='wide') fails: ValueError: ",
         ["--data", "photos", "--model", "nets.py", "--set", "width=wide"]),
        ("the model must fit the data: logits of two examples must have shape (2, 3)",
         ["--data", "photos", "--model", "nets.py", "--set", "num_classes=7"]),
        ("set must name an argument of MLP; got 'dropout'; it has num_outputs, num_hiddens, lr",
         ["--data", "photos", "--set", "dropout=0.5"]),
        ("photos/blue has images, but no classes", ["--data", "photos/blue"]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_before_anything_is_written(
    refused: Callable[..., None], words: str, flags: list[str]
) -> None:
    refused(words, *flags)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("import nothing_of_this_name", "must run; it raises ModuleNotFoundError: No module named"),
        ("x = 1\n(", "must run; it raises SyntaxError: "),
        ("1 / 0", "ZeroDivisionError: division by zero (other.py, line 1)"),
        ("raise SystemExit(3)", "must run; it raises SystemExit: 3"),
        ("x = 1", "defines one class derived from d2l.Module; 'other.py' has none."),
        (NET + NET.replace("class Net", "class Two"), "Net, Two; name one of them, as other.py"),
        (NET.replace("=0.5", "=0.5, *, depth"), "Net needs an argument 'depth', which nothing"),
        (NET.replace("super().__init__()", "raise KeyError(1)"), "KeyError: 1 (other.py, line 8)"),
    ],
)  # fmt: skip
def test_model_files_that_can_not_be_used_are_named(
    here: Path, refused: Callable[..., None], text: str, words: str
) -> None:
    (here / "other.py").write_text(text)
    refused(words, "--data", "photos", "--model", "other.py")


def test_a_class_that_the_file_lacks_is_refused_with_the_nearest(
    refused: Callable[..., None],
) -> None:
    refused(
        "'nets.py' defines; got 'Nett'; did you mean Net?",
        "--data",
        "photos",
        "--model",
        "nets.py:Nett",
    )


@pytest.mark.slow
@pytest.mark.usefixtures("warm_load_check")
def test_a_model_of_another_form_does_not_become_a_version_of_a_served_one(
    here: Path, refused: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    flags = ["--data", "photos", "--model", "softmax", *FLAGS, "--epochs", "1", "--publish-anyway"]
    assert train.main([*flags, "--run-dir", "run"]) == 0
    capsys.readouterr()
    other = [*flags[:-1], "--resize", "9"]
    refused("photos-softmax has versions of another model, with another input. Choose", *other)
