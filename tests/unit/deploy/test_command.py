"""The command and its files: written whole, left alone when edited, and what is refused."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import yaml

from tests.support.deployments import (
    CONFIGURATION,
    FILES,
    ROOT,
    add_models,
    deploy,
    run,
    run_process,
)
from tfd2l.deploy.files import edited_text


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return add_models(tmp_path / "savedmodels", {"mlp": [1, 2], "softmax": [7]})


def state(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.iterdir()
        if path.is_file()
    }


def test_one_command_writes_the_five_files_for_everyone_to_read(models: Path) -> None:
    before = os.umask(0o077)
    try:
        ran = run_process(models)
    finally:
        os.umask(before)
    assert ran.returncode == 0, ran.stderr
    assert {path.name for path in models.iterdir()} == {*FILES, "mlp", "softmax"}
    for name in FILES:
        assert (models / name).stat().st_mode & 0o777 == 0o644
        assert f"{models / name}: written" in ran.stdout
    assert "serves mlp: the last version\n" in ran.stdout
    assert f"docker compose -f {models}/compose.yaml up" in ran.stdout


def test_again_it_changes_nothing_and_says_so_wherever_it_is_called_from(models: Path) -> None:
    deploy(models)
    before = state(models)
    ran = run_process("savedmodels/", cwd=models.parent)
    assert ran.returncode == 0
    assert ran.stdout.startswith("nothing to change: the 5 files in savedmodels are up to date\n")
    assert state(models) == before
    # A new version is what the configuration is made for.
    add_models(models, {"mlp": [3]})
    deploy(models)
    assert state(models) == before


def test_without_an_argument_it_serves_savedmodels(models: Path) -> None:
    assert run_process(cwd=models.parent).returncode == 0
    assert (models / "compose.yaml").is_file()


def test_a_new_model_brings_the_files_up_to_date_that_name_it(models: Path) -> None:
    before = deploy(models)
    add_models(models, {"linear": [1]})
    ran = run(models)
    assert f"{models}/models.config: brought up to date\n" in ran.stdout
    assert f"{models}/monitoring.config: unchanged\n" in ran.stdout
    after = deploy(models)
    changed = {name for name in FILES if after[name] != before[name]}
    assert changed == {"models.config", "compose.yaml", "kubernetes.yaml"}


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_kept_and_what_it_would_be_is_written_beside_it(
    models: Path, name: str
) -> None:
    ours = deploy(models)[name]
    theirs = ours.replace("\n", "\n# mine\n", 1)
    (models / name).write_text(theirs)
    # Nothing that is newer, so nothing beside it.
    ran = run(models)
    assert f"{models / name}: kept, as it was edited\n" in ran.stdout
    assert not (models / f"{name}.new").exists()
    # Something newer, for each of the files.
    monitoring = (models / "monitoring.config").read_text()
    newer = deploy(models, "--cpus", "3", "--pin", "mlp=1")
    assert newer[name] == theirs
    if name == "monitoring.config":
        assert newer["monitoring.config"] == monitoring
    else:
        proposal = (models / f"{name}.new").read_text()
        assert proposal not in (ours, theirs)
        assert edited_text(models / f"{name}.new") is None
    # Forced, it is as it would have been, and what lies beside it is of no more use.
    forced = deploy(models, "--force")
    if name != "kubernetes.yaml":
        assert forced[name] == ours
    assert edited_text(models / name) is None
    assert {path.name for path in models.iterdir()} == {*FILES, "mlp", "softmax"}


def test_a_proposal_that_was_edited_is_left_alone_too(models: Path) -> None:
    deploy(models)
    (models / "compose.yaml").write_text("services: {}\n")
    deploy(models)
    before = state(models)
    assert b"tensorflow/serving:" in before["compose.yaml.new"][1]
    deploy(models)
    assert state(models) == before
    (models / "compose.yaml.new").write_text("# my notes\n")
    assert "so was compose.yaml.new, which may be out of date\n" in run(models).stdout
    deploy(models, "--force")
    assert (models / "compose.yaml.new").read_text() == "# my notes\n"


def test_an_edited_configuration_goes_to_kubernetes_as_it_is(models: Path) -> None:
    deploy(models)
    edited = "num_batch_threads { value: 8 } # \t, é, 日本\n\n   \nmax_batch_size {\n  value: 4 }\n"
    (models / "batching_parameters.txt").write_text(edited)
    written = deploy(models)
    config = next(yaml.safe_load_all(written["kubernetes.yaml"]))
    assert config["data"] == {name: written[name] for name in CONFIGURATION}
    assert config["data"]["batching_parameters.txt"] == edited


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "must be text in UTF-8"),
        (b"", "must be lines of printable characters"),
        (b"  indented\n", "must be lines of printable characters"),
        (b"no end of line", "must be lines of printable characters"),
        (b"two\n\n", "must be lines of printable characters"),
        (b"dos\r\n", "must be lines of printable characters"),
        (b"bell\a\n", "must be lines of printable characters"),
    ],
)
def test_what_yaml_cannot_hold_is_refused_before_anything_is_written(
    models: Path, content: bytes, message: str
) -> None:
    (models / "monitoring.config").write_bytes(content)
    refused(run(models), message)
    assert {*state(models)} == {"monitoring.config"}


def test_whoever_reads_meanwhile_sees_one_text_or_the_other(models: Path) -> None:
    deploy(models)
    path, over, broken = models / "kubernetes.yaml", threading.Event(), []

    def read() -> None:
        while not over.wait(1e-4):
            if edited_text(path) is not None or not path.exists():
                broken.append(path)

    reader = threading.Thread(target=read)
    reader.start()
    texts = {deploy(models, "--replicas", str(count))["kubernetes.yaml"] for count in range(1, 51)}
    over.set()
    reader.join()
    assert len(texts) == 50
    assert not broken


def refused(ran: subprocess.CompletedProcess[str], message: str) -> None:
    assert ran.returncode == 2
    assert ran.stdout == ""
    assert message in ran.stderr, ran.stderr
    assert len(ran.stderr.splitlines()) <= 2
    assert ran.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "name",
    ["my model", 'mlp"', "mlp'", "mlp:1", "mlp$x", "modèle", "模型", "-mlp", "a\nb", "~", "a%20b"],
)
def test_names_that_cannot_be_asked_for_in_a_url_are_refused(models: Path, name: str) -> None:
    add_models(models, {name: [1]})
    refused(run(models), f"got {name!r}. Rename the directory.")
    assert state(models) == {}


def test_hidden_directories_and_those_without_versions_are_passed_over(models: Path) -> None:
    expected = deploy(models)
    add_models(models, {".old model": [1]})
    (models / "to come" / ".staging-1").mkdir(parents=True)
    (models / "__pycache__" / "x").mkdir(parents=True)
    assert deploy(models) == expected


def test_directories_that_no_server_can_serve_are_refused(tmp_path: Path, models: Path) -> None:
    refused(run(tmp_path / "nowhere"), "the models' directory must be one that can be read")
    (tmp_path / "file").write_text("")
    refused(run(tmp_path / "file"), "the models' directory must be one that can be read")
    (tmp_path / "empty").mkdir()
    refused(run(tmp_path / "empty"), "Train one with python -m tfd2l.train")
    refused(run(models / "mlp"), f"Name the one above it: {models}")
    models.chmod(0o700)
    refused(run(models), f"chmod -R o+rX {models}\n")
    models.chmod(0o755)
    (models / "mlp" / "2").chmod(0o750)
    refused(run(models), f"{models}/mlp/2 has mode 750")
    assert state(models) == {}


def test_versions_that_would_keep_the_server_from_starting_are_refused(models: Path) -> None:
    (models / "mlp" / "3").mkdir()
    refused(run(models), f"{models}/mlp/3 has none. Remove it")
    (models / "mlp" / "3").rmdir()
    (models / "mlp" / "4").write_text("")
    refused(run(models), f"{models}/mlp/4 has none. Remove it")
    (models / "mlp" / "4").unlink()
    (models / "mlp" / "5").symlink_to("1")
    refused(run(models), f"{models}/mlp/5 is a symbolic link")
    (models / "mlp" / "5").unlink()
    # Longer than the server's int64, so no version at all.
    (models / "mlp" / ("9" * 19)).mkdir()
    deploy(models)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--keep-versions", "0"], "must be a whole number from 1 to 1000; got '0'"),
        (["--pin", "mlp"], "must be like mlp=3 or mlp=3,4; got 'mlp'"),
        (["--pin", "=3"], "must be like mlp=3 or mlp=3,4; got '=3'"),
        (["--stable", "mlp=1,2"], "must be like mlp=3; got 'mlp=1,2'"),
        (["--stable", "mlp=-1"], "must be like mlp=3; got 'mlp=-1'"),
        (["--stable", "other=1"], "'other' is to be pinned or labelled, and is not there"),
        (["--stable", "mlp=3"], "mlp has no version 3 to pin or label. It has 1, 2."),
        (["--pin", "mlp=3"], "mlp has no version 3 to pin or label. It has 1, 2."),
        (["--pin", "mlp=1", "--stable", "mlp=2"], "of mlp, 1 is pinned, and 2 has a label"),
        (["--stable", "mlp=1", "--stable", "mlp=2"], "--stable can be given once for each model"),
        (["--image", "a image"], "--image: must be a name of at most 255 characters"),
        (["--image", 'x"\nuser: root'], "--image: must be a name"),
        (["--name", "1st"], "--name: must be a DNS label"),
        (["--name", "A"], "--name: must be a DNS label"),
        (["--name", "a" * 64], "--name: must be a DNS label of at most 63 characters"),
        (["--claim", "my_claim"], "--claim: must be a DNS name"),
        (["--cpus", "1.5"], "--cpus: must be a whole number from 1 to 1024; got '1.5'"),
        (["--memory", "2g"], "--memory: must be a whole number"),
        (["--rest-port", "0"], "--rest-port: must be a whole number from 1 to 65535"),
        (["--rest-port", "8500"], "--rest-port and --grpc-port must differ; got 8500 for both"),
        (["--unknown"], "unrecognized arguments: --unknown"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_answered_in_two_lines(
    models: Path, flags: list[str], message: str
) -> None:
    refused(run(models, *flags), message)
    assert state(models) == {}


def test_a_name_that_is_taken_by_a_directory_is_an_error_that_leaves_all_as_it_was(
    models: Path,
) -> None:
    (models / "kubernetes.yaml").mkdir()
    refused(run(models), "kubernetes.yaml")
    assert state(models) == {}


def test_the_calls_in_the_readme_work(models: Path) -> None:
    add_models(models, {"mlp": [3, 4]})
    readme = (ROOT / "savedmodels" / "README.md").read_text(encoding="utf-8")
    calls = re.findall(r"^python -m tfd2l.deploy savedmodels/(.*)$", readme, re.MULTILINE)
    assert len(calls) == 5
    for call in calls:
        ran = run(models, *shlex.split(call, comments=True))
        assert ran.returncode == 0, ran.stderr


def test_help_answers_without_tensorflow_or_numpy() -> None:
    ran = run_process("--help")
    assert ran.returncode == 0
    assert "--keep-versions N" in ran.stdout
    loaded = "import sys, tfd2l.deploy; print({'tensorflow', 'keras', 'numpy'} & {*sys.modules})"
    ran = subprocess.run([sys.executable, "-c", loaded], cwd=ROOT, capture_output=True, text=True)
    assert ran.stdout == "set()\n", ran.stderr
