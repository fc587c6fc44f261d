"""`python -m tfd2l.train` as a user runs it: as a process, on real data, with real files."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf

import tfd2l as d2l
from pipelines import fashion_mnist
from tests.support import run_python
from tests.support.events import events_in, scalars_in
from tests.support.warm import run_warm
from tfd2l.common.arrays import read_weights

FOUR = [
    "train-images-idx3-ubyte", "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte",
]  # fmt: skip


def run(cwd: Path, *flags: str) -> subprocess.CompletedProcess[str]:
    return run_warm("-m", "tfd2l.train", *flags, cwd=cwd)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory in which the command ran once, with the MLP, for two epochs."""
    cwd = tmp_path_factory.mktemp("a user's directory")
    ran = run_python("-m", "tfd2l.train", "--epochs", "2", "--run-dir", "first", cwd=cwd)
    assert ran.returncode == 0, ran.stderr
    # Neither TensorFlow's start-up messages nor anything else that is not the command's own.
    assert ran.stderr == ""
    (cwd / "stdout").write_text(ran.stdout)
    return cwd


def without_times(path: Path) -> pd.DataFrame:
    return pd.read_csv(path).drop(columns="seconds")


@pytest.mark.slow
def test_the_output_has_a_line_for_each_stage(finished: Path) -> None:
    lines = (finished / "stdout").read_text().splitlines()
    assert lines[0].startswith("data: Fashion-MNIST from ")
    assert lines[1].split() == [
        "epoch", "train", "loss", "val", "loss", "val", "acc", "seconds",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:4]] == ["1", "2"]
    accuracy = re.fullmatch(r"validation accuracy (0\.\d{4}) on 10,000 images", lines[5])
    assert accuracy is not None
    # Two epochs of the book's MLP end between 0.79 and 0.84; chance is 0.1.
    assert 0.75 < float(accuracy[1]) < 0.88
    assert lines[2].isprintable()
    assert "best    first/checkpoints/epoch-0000" in lines[-4]
    assert lines[-1].endswith("saved_model_cli show --all --dir savedmodels/mlp/1")


@pytest.mark.slow
def test_the_run_directory_has_all_documented_files(finished: Path) -> None:
    directory = finished / "first"
    config = json.loads((directory / "config.json").read_text())
    assert config["settings"]["epochs"] == 2
    assert config["versions"]["tensorflow"] == tf.__version__
    assert config["command"].endswith("-m tfd2l.train --epochs 2 --run-dir first")
    assert config["project"]["version"] == d2l.__version__
    execution = json.loads((directory / "export.json").read_text())["execution"]
    assert execution.pop("device") in ("/CPU:0", "/GPU:0")
    assert execution == {"replicas": 1, "eager": False, "xla": False}
    assert config["data"]["sha256"]["t10k-labels-idx1-ubyte"].startswith("0402a96d")
    metrics = pd.read_csv(directory / "metrics.csv")
    assert list(metrics) == ["epoch", "train_loss", "val_loss", "val_acc", "seconds"]
    assert list(metrics["epoch"]) == [1, 2]
    for picture in ("curves.png", "confusion.png", "misclassified.png"):
        assert (directory / picture).read_bytes().startswith(b"\x89PNG"), picture
    charts = scalars_in(directory / "tensorboard")
    steps, accuracies = zip(*charts["validation", "epoch_acc"], strict=True)
    assert steps == (1, 2)
    assert accuracies == pytest.approx(tuple(metrics["val_acc"]))
    tags = {value.tag for run, _, value in events_in(directory / "tensorboard") if run == "."}
    assert tags >= {"confusion", "misclassified", "_hparams_/session_start_info"}
    assert (directory / "checkpoints" / "epoch-00002.step-0000000").exists()
    assert [path.name for path in directory.rglob(".*")] == [".lock"]


@pytest.mark.slow
def test_the_same_seed_gives_the_same_metrics_and_another_seed_others(finished: Path) -> None:
    for name, epochs, seed in (("again", "2", "0"), ("other", "1", "1")):
        ran = run(finished, "--epochs", epochs, "--run-dir", name, "--seed", seed)
        assert ran.returncode == 0, ran.stderr
    first = without_times(finished / "first/metrics.csv")
    pd.testing.assert_frame_equal(without_times(finished / "again/metrics.csv"), first)
    [other] = without_times(finished / "other/metrics.csv")["val_loss"]
    assert other != first["val_loss"][0]
    versions = sorted(path.name for path in (finished / "savedmodels/mlp").iterdir())
    # The same accuracy is published again; one of a single epoch is worse, and kept.
    assert versions == ["1", "2"]
    kept = json.loads((finished / "other/export.json").read_text())
    assert kept["export"] is None
    assert "worse than version 2" in kept["reason"]


@pytest.mark.slow
def test_the_export_answers_raw_images_with_labels(
    finished: Path, fashion: fashion_mnist.Arrays
) -> None:
    program = (
        "import sys, numpy as np, tensorflow as tf\n"
        "serve = tf.saved_model.load(sys.argv[1]).signatures['serving_default']\n"
        "answer = serve(image=tf.constant(np.load(sys.argv[2])))\n"
        "np.save(sys.argv[3], answer['label'].numpy().astype('U'))\n"
    )
    np.save(finished / "images.npy", fashion.val_images[:1000])
    files = ["savedmodels/mlp/1", "images.npy", "labels.npy"]
    ran = run_warm("-c", program, *files, cwd=finished)
    assert ran.returncode == 0, ran.stderr
    true = np.array(fashion_mnist.LABELS)[fashion.val_labels[:1000]]
    reported = pd.read_csv(finished / "first/metrics.csv")["val_acc"].iloc[-1]
    # The first 1,000 of the 10,000 images the accuracy is over: its deviation is 0.012.
    assert (np.load(finished / "labels.npy") == true).mean() == pytest.approx(reported, abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize(
    "model", ["linear-scratch", pytest.param("linear", marks=pytest.mark.long)]
)
def test_the_linear_models_print_their_distance_from_the_true_parameters(
    tmp_path: Path, model: str
) -> None:
    ran = run(tmp_path, "--model", model)
    assert ran.returncode == 0, ran.stderr
    w = re.search(r"error in estimating w: \[\s*(\S+)\s+(\S+?)\s*\]", ran.stdout)
    b = re.search(r"error in estimating b: \[\s*(\S+?)\s*\]", ran.stdout)
    assert w is not None
    assert b is not None
    # The book's own run after three epochs: 0.10, -0.18 and 0.22.
    assert all(abs(float(error)) < 0.5 for error in (*w.groups(), *b.groups()))
    assert (tmp_path / "savedmodels" / model / "1" / "saved_model.pb").exists()


@pytest.mark.slow
@pytest.mark.parametrize(
    "flags",
    [
        ["--model", "softmax-scratch", "--jit-compile", "--resize", "14x20"],
        [
            *("--model", "mlp", "--precision", "mixed_bfloat16", "--device", "cpu"),
            *("--resize", "32", "--gradient-clip-val", "1"),
        ],
    ],
    ids=["scratch, xla, smaller", "mixed precision, larger, clipped"],
)
def test_other_settings_train_and_export_too(tmp_path: Path, flags: list[str]) -> None:
    ran = run(tmp_path, "--epochs", "1", *flags)
    assert ran.returncode == 0, ran.stderr
    accuracy = re.search(r"validation accuracy (\S+)", ran.stdout)
    assert accuracy is not None
    assert float(accuracy[1]) > 0.6
    version = tmp_path / "savedmodels" / flags[1] / "1"
    assert (version / "saved_model.pb").exists()
    card = json.loads((version / "assets.extra/card.json").read_text())
    # The load check's, of a probability.
    assert card["tolerance"] == (0.02 if "mixed_bfloat16" in flags else 1e-4)


@pytest.mark.slow
def test_a_wrong_flag_is_refused_at_once_in_one_line(tmp_path: Path) -> None:
    ran = run(tmp_path, "--epochs", "0")
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: --epochs must be ")
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stdout == ""
    assert not [*tmp_path.iterdir()]


@pytest.mark.slow
def test_a_directory_that_is_not_empty_is_refused_and_not_changed(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken/notes").write_text("mine")
    ran = run(tmp_path, "--model", "linear", "--run-dir", "taken")
    assert ran.returncode == 2
    assert "'taken' is not empty" in ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert [path.name for path in (tmp_path / "taken").iterdir()] == ["notes"]


@pytest.mark.slow
@pytest.mark.skipif(bool(tf.config.list_physical_devices("GPU")), reason="there is a GPU here")
def test_a_missing_gpu_is_refused(tmp_path: Path) -> None:
    ran = run(tmp_path, "--model", "linear", "--device", "gpu")
    assert ran.returncode == 2
    assert "TensorFlow sees none" in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.slow
def test_damaged_data_is_refused_by_name_and_nothing_is_trained(
    tmp_path: Path, fashion: fashion_mnist.Arrays
) -> None:
    source = fashion_mnist.cache_dir()
    (tmp_path / "data").mkdir()
    for name in FOUR:
        shutil.copy(source / name, tmp_path / "data")
    damaged = tmp_path / "data" / FOUR[3]
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"\7")
    ran = run(tmp_path, "--data-dir", "data")
    assert ran.returncode == 2
    assert FOUR[3] in ran.stderr
    assert "Traceback" not in ran.stderr
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data"]


def parameters_with(threads: str, cwd: Path, *flags: str) -> list[np.ndarray]:
    """Return a model's variables after two epochs of 1072 steps: enough for XLA to take over."""
    settings = ["--epochs", "2", "--batch-size", "56", "--seed", "3", "--run-dir", threads]
    settings += ["--export", "none"]
    # TensorFlow's own default on CPUs without AVX-512.
    variables = {"TF_NUM_INTRAOP_THREADS": threads, "TF_ENABLE_ONEDNN_OPTS": "0"}
    ran = run_python("-m", "tfd2l.train", *settings, *flags, cwd=cwd, environment=variables)
    assert ran.returncode == 0, ran.stderr
    return read_weights(max((cwd / threads / "checkpoints").glob("epoch-*")))[0]


@pytest.mark.slow
def test_a_deterministic_run_has_the_same_bits_on_any_number_of_threads(tmp_path: Path) -> None:
    one, three = (parameters_with(n, tmp_path, "--deterministic") for n in ("1", "3"))
    for first, same in zip(one, three, strict=True):
        np.testing.assert_array_equal(first, same)
    pd.testing.assert_frame_equal(
        without_times(tmp_path / "1" / "metrics.csv"),
        without_times(tmp_path / "3" / "metrics.csv"),
        check_exact=True,
    )


@pytest.mark.long
def test_so_has_one_with_convolutions(tmp_path: Path) -> None:
    flags = ["--model", "lenet", "--limit-batches", "20"]
    same = [parameters_with(n, tmp_path, *flags, "--deterministic") for n in ("1", "3")]
    assert all(map(np.array_equal, *same))
    (tmp_path / "3").rename(tmp_path / "deterministic")
    # This proves that the test can fail.
    assert not all(map(np.array_equal, same[0], parameters_with("3", tmp_path, *flags)))


@pytest.mark.long
def test_without_the_flag_the_threads_make_a_difference(tmp_path: Path) -> None:
    # This proves that the test above can fail: XLA splits its products among the threads.
    one, three = (parameters_with(n, tmp_path) for n in ("1", "3"))
    assert not all(map(np.array_equal, one, three))
