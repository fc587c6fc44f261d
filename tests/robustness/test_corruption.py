"""Files damaged between one command and the next: noticed, named, and gone on from what is good."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import requests
import tensorflow as tf
from PIL import Image

from pipelines import fashion_mnist, house_prices
from pipelines.csv_files import TableError
from pipelines.idx_files import FILES, DataError
from tfd2l import predict, train
from tfd2l.checkpoint import checkpoints
from tfd2l.checks import classifier_checks
from tfd2l.checksums import CHECKSUMS_FILE
from tfd2l.export import export_classifier
from tfd2l.publish import CARD_FILE, publish
from tfd2l.saved_model import ExportError
from tfd2l.served_models import ServedModels
from tfd2l.verify import Check, verify
from tfd2l.warmup import WARMUP_FILE
from tfd2l.weights import read_weights

ROOT = Path(__file__).parents[2]
Damage = Callable[[Path], object]


def flipped(share: float) -> Damage:
    """A bit at this share of the file's length is another."""

    def damage(path: Path) -> None:
        data = bytearray(path.read_bytes())
        data[min(int(share * len(data)), len(data) - 1)] ^= 0x10
        path.write_bytes(data)

    return damage


def cut(share: float) -> Damage:
    """Only this share of the file is left, and at most all but a byte."""

    def damage(path: Path) -> None:
        data = path.read_bytes()
        path.write_bytes(data[: min(int(share * len(data)), len(data) - 1)])

    return damage


def directory(path: Path) -> None:
    """A directory is in the file's place."""
    path.unlink()
    path.mkdir()


def unreadable(path: Path) -> None:
    """A file that opens and then fails to read, for every user, as on a broken disk."""
    path.unlink()
    path.symlink_to("/proc/self/mem")


# Of a file that has bytes.
CHANGED = {
    "a bit at the start": flipped(0),
    "a bit in the middle": flipped(0.5),
    "a bit at the end": flipped(1),
    "only the start": cut(0.01),
    "half of it": cut(0.5),
    "all but a byte": cut(1),
    "empty": cut(0),
}
DAMAGES: dict[str, Damage] = {**CHANGED, "a directory": directory, "unreadable": unreadable}


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What a command said on standard error: one line, no traceback."""
    said = capsys.readouterr().err
    assert said.startswith("error: "), said
    assert said.count("\n") == 1, said
    return said


# Runs: linear regression is trained in a moment.
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
    """A copy of that run as if it had been killed after its third epoch."""
    shutil.copytree(finished / "run", tmp_path / "run")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run/export.json").unlink()
    checkpoints(tmp_path / "run/checkpoints")[0].unlink()
    return tmp_path / "run"


def assert_ended_alike(run: Path, finished: Path) -> None:
    """Metrics and variables are those of the run that nothing happened to."""
    ends = [run, finished / "run"]
    found, wanted = (pd.read_csv(end / "metrics.csv").drop(columns="seconds") for end in ends)
    pd.testing.assert_frame_equal(found, wanted, check_exact=True)
    arrays = [read_weights(checkpoints(end / "checkpoints")[0])[0] for end in ends]
    for one, same in zip(*arrays, strict=True):
        np.testing.assert_array_equal(one, same)


@pytest.mark.parametrize("damage", ["a bit in the middle", "half of it", "empty", "unreadable"])
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one(
    run: Path, finished: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    latest = checkpoints(run / "checkpoints")[0]
    # What can be written anew is, whatever is there.
    DAMAGES[damage](latest)
    DAMAGES[damage](run / "metrics.csv")
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if "passed over" in line]
    assert len(said) == 1
    assert latest.name in said[0]
    assert_ended_alike(run, finished)


@pytest.mark.parametrize("damage", ["a bit at the start", "only the start", "directory"])
def test_a_run_without_a_whole_checkpoint_is_refused_and_not_begun_anew(
    run: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = (run / "metrics.csv").read_bytes()
    for path in checkpoints(run / "checkpoints"):
        DAMAGES.get(damage, directory)(path)
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
        # The line's end, which says nothing.
        DAMAGES[damage](run / "config.json")
    capsys.readouterr()
    assert train.main(["--resume", "run"]) == 2
    assert "config.json" in one_line(capsys)


@pytest.mark.parametrize("damage", ["a bit in the middle", "half of it", "directory"])
def test_a_damaged_note_of_the_export_is_told_and_publishes_nothing(
    run: Path, finished: Path, damage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(finished / "run/export.json", run)
    DAMAGES.get(damage, directory)(run / "export.json")
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
    """The four real files; not to be written into."""
    folder = tmp_path_factory.mktemp("data")
    for file in FILES:
        shutil.copy(fashion_mnist.cache_dir() / file.name, folder)
    return folder


def linked(data: Path, folder: Path, damage: Damage) -> Path:
    """A directory with the four files, of which the last is damaged."""
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


@pytest.mark.parametrize("damage", ["half of it", "directory", "unreadable"])
def test_a_damaged_cache_is_passed_over_and_said_so(
    data: Path, tmp_path: Path, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TFD2L_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv("TFD2L_DATA_DIR", raising=False)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", data)
    folder = linked(data, fashion_mnist.cache_dir(), DAMAGES.get(damage, directory))
    said: list[str] = []
    found = fashion_mnist.load(download=False, say=said.append)
    assert found.source == f"Debian's package in {data}"
    assert str(folder / FILES[-1].name) in said[0] or FILES[-1].name in said[0]
    # A directory is not ours to remove; then it is said that the cache can't be filled.
    assert len(said) == (2 if damage == "directory" else 1)
    monkeypatch.setattr(fashion_mnist, "DEBIAN_DIR", tmp_path / "none")
    if damage == "directory":
        with pytest.raises(DataError, match=FILES[-1].name):
            fashion_mnist.load(download=False)
    else:
        assert fashion_mnist.load(download=False).source.startswith("the cache")


@pytest.mark.parametrize("share", [0, 0.003, 0.5, 0.999])
def test_a_table_that_was_cut_is_refused_by_its_row(house_files: Path, share: float) -> None:
    data = (house_files / "kaggle_house_pred_train.csv").read_bytes()
    path = house_files / "cut.csv"
    # Nowhere between two values of a last row: see docs/robustness.md.
    path.write_bytes(data[: data.rfind(b",", 0, int(share * len(data)))] if share else b"")
    with pytest.raises(TableError, match=r"cut\.csv"):
        house_prices.read(path)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.touch()
    unreadable(path)
    with pytest.raises(
        TableError, match=r"table\.csv, after row 0: it can't be read: Input/output"
    ):
        house_prices.read(path)


# Exports.

LABELS = ["boot", "bag", "coat"]
IMAGES = np.random.default_rng(0).integers(0, 256, (8, 28, 28)).astype(np.uint8)
MEMBERS = [
    "saved_model.pb",
    "variables/variables.index",
    "variables/variables.data-00000-of-00001",
    str(WARMUP_FILE),
    str(CARD_FILE),
    str(CHECKSUMS_FILE),
]


class Softmax(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """Softmax regression whose bias says which version it is."""

    def __init__(self, bias: float) -> None:
        self.W = tf.Variable(tf.random.normal((784, 3), stddev=0.1), name="W")
        self.b = tf.Variable([0.0, 0.0, bias], name="b")

    def logits(self, X: tf.Tensor) -> tf.Tensor:
        return tf.reshape(X, (-1, 784)) @ self.W + self.b


def preprocess(images: tf.Tensor) -> tf.Tensor:
    return tf.cast(images, tf.float32)[..., None] / 255.0


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Check]]:
    """A model with the versions 1 and 2, and the checks of the second."""
    base, checks = tmp_path_factory.mktemp("models") / "clothes", list[Check]()
    for bias in (0.0, 100.0):
        model = Softmax(bias)
        checks = classifier_checks(model, IMAGES, labels=LABELS, preprocess=preprocess)
        publish(
            lambda path, model=model: export_classifier(  # type: ignore[misc]
                model, path, labels=LABELS, preprocess=preprocess
            ),
            base,
            checks=checks,
            card={"model": "clothes"},
        )
    return base, checks


@pytest.fixture
def models(published: tuple[Path, list[Check]], tmp_path: Path) -> Path:
    """A copy to damage."""
    shutil.copytree(published[0], tmp_path / "models/clothes")
    return tmp_path / "models"


@pytest.fixture
def image(tmp_path: Path) -> str:
    """An image file."""
    Image.fromarray(IMAGES[0]).save(tmp_path / "image.png")
    return str(tmp_path / "image.png")


@pytest.fixture(scope="module")
def stand_in() -> Iterator[Callable[[Path], ServedModels]]:
    """Watch a directory as the stand-in does; all is closed in the end."""
    made: list[ServedModels] = []

    def watch(base: Path) -> ServedModels:
        made.append(ServedModels(base))
        return made[-1]

    yield watch
    for served in made:
        served.close()


def damages_of(member: str) -> dict[str, Damage]:
    """All that fit: one bit of the list's own end may be a line's end, which is none of it."""
    return {**DAMAGES, "missing": Path.unlink} if member != str(CHECKSUMS_FILE) else DAMAGES


@pytest.mark.parametrize("member", MEMBERS)
def test_a_version_with_a_damaged_file_is_not_served_and_the_last_one_goes_on(
    models: Path, member: str, stand_in: Callable[[Path], ServedModels]
) -> None:
    served, good = stand_in(models), models / "hidden"
    (models / "clothes/2").rename(good)
    served.poll()
    for number, (name, damage) in enumerate(damages_of(member).items(), 2):
        version = models / "clothes" / str(number)
        shutil.copytree(good, version)
        damage(version / member)
        served.poll()
        assert served.available() == {"clothes": 1}, name
        assert str(version) in served.statuses("clothes")[number].error, name
    # And a good one is taken.
    good.rename(models / "clothes/99")
    served.poll()
    assert served.available() == {"clothes": 99}


@pytest.mark.parametrize("member", MEMBERS)
def test_a_damaged_export_answers_nothing_and_passes_no_check(
    models: Path,
    member: str,
    image: str,
    published: tuple[Path, list[Check]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number, (name, damage) in enumerate(damages_of(member).items(), 3):
        version = models / "clothes" / str(number)
        shutil.copytree(models / "clothes/2", version)
        damage(version / member)
        with pytest.raises(ExportError, match=str(version)):
            verify(version, published[1])
        assert predict.main([image, "--dir", str(version)]) == 2, name
        assert str(version) in one_line(capsys)
        shutil.rmtree(version)
    assert predict.main([image, "--dir", str(models / "clothes")]) == 0
    assert "coat" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("constant", "words"),
    [
        (b"coat", "must answer with the label of class_id|must answer with classes"),
        # 255 as float32, which the pixels are divided by.
        (np.float32(255).tobytes(), "must answer as the model does"),
    ],
    ids=["label", "divisor"],
)
def test_the_load_check_notices_changed_constants_even_without_checksums(
    models: Path, published: tuple[Path, list[Check]], constant: bytes, words: str
) -> None:
    version = models / "clothes/2"
    (version / CHECKSUMS_FILE).unlink()
    path = version / "saved_model.pb"
    before = path.read_bytes()
    changed = bytearray(constant)
    changed[-2] ^= 2
    path.write_bytes(before.replace(constant, bytes(changed)))
    assert path.read_bytes() != before
    with pytest.raises(ExportError, match=words):
        verify(version, published[1])


def serve(models: Path, log: Path) -> subprocess.Popen[str]:
    """The stand-in, as a user starts it."""
    with log.open("w") as file:
        return subprocess.Popen(
            [sys.executable, "-m", "tfd2l.serve", str(models), "--port", "0", "--stand-in",
             "--poll-seconds", "0.1"],
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=file,
            text=True,
        )  # fmt: skip


@pytest.mark.slow
def test_a_server_that_runs_goes_on_and_one_that_starts_does_not(
    models: Path, tmp_path: Path
) -> None:
    (models / "clothes/2").rename(models / "next")
    flipped(0.5)(models / "next/saved_model.pb")
    with serve(models, tmp_path / "log") as process:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].rstrip(":,")
        (models / "next").rename(models / "clothes/2")
        end_s, states = time.monotonic() + 60, dict[str, str]()
        while states.get("2") != "END" and time.monotonic() < end_s:
            found = requests.get(f"{url}/v1/models/clothes", timeout=10).json()
            states = {one["version"]: one["state"] for one in found["model_version_status"]}
            time.sleep(0.02)
        assert states == {"2": "END", "1": "AVAILABLE"}
        body = {"instances": IMAGES[:1].tolist()}
        asked = requests.post(f"{url}/v1/models/clothes:predict", json=body, timeout=10)
        assert asked.status_code == 200
        process.terminate()
    assert "clothes/2/saved_model.pb must have SHA-256" in (tmp_path / "log").read_text()
    with serve(models, tmp_path / "log") as process:
        assert process.wait(60) == 2
    log = (tmp_path / "log").read_text()
    assert "Traceback" not in log
    assert "clothes/2" in log.splitlines()[-1]


@pytest.mark.parametrize("tool", [["sha256sum", "--check", "--strict", "--quiet"]])
def test_the_checksums_are_those_of_sha256sum(models: Path, tool: list[str]) -> None:
    version = models / "clothes/2"
    command = [*tool, str(CHECKSUMS_FILE)]
    assert subprocess.run(command, cwd=version, check=False).returncode == 0
    card = version / CARD_FILE
    card.write_text(json.dumps({**json.loads(card.read_text()), "model": "other"}))
    ran = subprocess.run(command, cwd=version, capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert f"{CARD_FILE}: FAILED" in ran.stdout
