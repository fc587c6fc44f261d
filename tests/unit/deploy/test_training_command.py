"""`python -m tfd2l.deploy train`: flags of training that a job can't use are refused now."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from tests.support.deployments import run

FILES = {"kubernetes.yaml", "tfjob.yaml", "trainjob.yaml", "compose.yaml"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current directory, which stands for the shared volume."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_files_are_written_beside_each_other_and_the_output_says_how_to_start(
    folder: Path,
) -> None:
    ran = run("train", "--name", "digits", "--", "--model", "softmax", "--epochs", "3")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {path.name for path in (folder / "training-job").iterdir()} == FILES
    assert re.search(r"^run    runs/digits-[0-9a-f]{8}, ", ran.stdout, re.MULTILINE)
    assert "kubectl apply -f training-job/kubernetes.yaml\n" in ran.stdout
    assert "docker compose -f training-job/compose.yaml up\n" in ran.stdout


def test_data_that_each_worker_has_to_fetch_is_named() -> None:
    note = "each worker fetches Fashion-MNIST for itself"
    assert note in run("train", "--", "--model", "mlp").stdout
    for flags in (["--data-dir", "garments"], ["--data", "photos"], ["--model", "linear"]):
        assert note not in run("train", "--force", "--", *flags).stdout


def run_directory(*training: str) -> str:
    ran = run("train", "--force", "--", *training)
    assert ran.returncode == 0, ran.stderr
    found = re.search("^run    ([^,]+),", ran.stdout, re.MULTILINE)
    assert found is not None
    return found[1]


def test_other_flags_make_another_run_and_the_same_ones_the_same(folder: Path) -> None:
    first = run_directory("--epochs", "3")
    assert run_directory("--epochs", "3") == first
    assert run_directory("--epochs", "4") != first
    (folder / "three.toml").write_text("epochs = 3")
    assert run_directory("--config", "three.toml") == first
    assert run_directory("--run-dir", "runs/mine") == "runs/mine"
    assert run_directory("--resume", "runs/wide", "--epochs", "9") == "runs/wide"


def test_compose_mounts_the_current_directory_from_wherever_the_files_are(folder: Path) -> None:
    assert run("train", "jobs/one", "--").returncode == 0
    worker = yaml.safe_load((folder / "jobs/one/compose.yaml").read_text())["x-worker"]
    assert worker["volumes"][0]["source"] == "../.."


def test_an_edited_file_is_not_overwritten(folder: Path) -> None:
    assert run("train", "--").returncode == 0
    path = folder / "training-job" / "tfjob.yaml"
    path.write_text(path.read_text() + "# mine\n")
    ran = run("train", "--")
    assert ran.returncode == 2
    assert "got training-job/tfjob.yaml. Nothing was written" in ran.stderr


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--model", "mlp"], "the flags of training come after --"),
        (["--workers", "0", "--"], "--workers must be a whole number from 1 to 1000; got '0'"),
        (["--name", "A", "--"], "--name must be a DNS label"),
        (["--user", "0", "--"], "--user must be a whole number from 1"),
        (["--", "--modle", "mlp"], "no such flag: --modle; did you mean --model?"),
        (["--", "--model", "mpl"], "--model must be one of"),
        (["--", "--epochs", "0"], "--epochs must be a whole number from 1"),
        (["--", "--optimizer", "sgd", "--jit-compile", "--run-eagerly"], "exclude each other"),
        (["--", "--workers", "a:1,b:2"], "--workers is given by the job"),
        (["--", "--worker-index=1"], "--worker-index is given by the job"),
        (["--", "--seed", "1", "--seed", "2"], "a job makes one run"),
        (["--", "--publish", "runs/a"], "use --publish without a job"),
        (["--", "--dry-run"], "use --dry-run without a job"),
        (["--", "--data", "/photos"], "relative to the volume"),
        (["--", "--model", "../nets.py:Net"], "got '../nets.py' for --model"),
        (["--", "--export-dir", "/srv/models"], "got '/srv/models' for --export-dir"),
        (["--", "--set", "a=b\nc"], "in one line of text"),
    ],
)
def test_what_a_job_can_not_use_is_refused_in_one_line(
    folder: Path, flags: list[str], message: str
) -> None:
    ran = run("train", *flags)
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: ")
    assert ran.stderr.count("\n") == 1
    assert message in ran.stderr
    assert list(folder.iterdir()) == []


def test_a_directory_of_models_called_train_is_served_by_its_path(folder: Path) -> None:
    version = folder / "train" / "mlp" / "1"
    version.mkdir(parents=True)
    (version / "saved_model.pb").touch()
    ran = run("./train")
    assert ran.returncode == 0, ran.stderr
    assert "serves mlp" in ran.stdout
