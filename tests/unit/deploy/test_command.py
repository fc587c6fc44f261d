"""The command and its files: written whole, never overwritten unasked, and what is refused."""

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

from tests.support import ROOT
from tests.support.deployments import (
    CONFIGURATION,
    FILES,
    add_models,
    deploy,
    run,
    run_process,
)


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return add_models(tmp_path / "savedmodels", {"mlp": [1, 2], "softmax": [7]})


def state(directory: Path) -> dict[str, tuple[int, bytes]]:
    return {
        path.name: (path.stat().st_mtime_ns, path.read_bytes())
        for path in directory.iterdir()
        if path.is_file()
    }


def test_one_command_writes_four_files_that_everybody_can_read(models: Path) -> None:
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


def test_a_second_call_changes_nothing_and_says_so_from_any_directory(models: Path) -> None:
    deploy(models)
    before = state(models)
    ran = run_process("savedmodels/", cwd=models.parent)
    assert ran.returncode == 0
    assert ran.stdout.startswith("nothing to change: the 4 files in savedmodels are up to date\n")
    assert state(models) == before
    # A new version needs no new configuration.
    add_models(models, {"mlp": [3]})
    deploy(models)
    assert state(models) == before


def test_without_an_argument_it_serves_savedmodels(models: Path) -> None:
    assert run_process(cwd=models.parent).returncode == 0
    assert (models / "compose.yaml").is_file()


def test_files_that_a_new_model_changes_are_overwritten_with_force_only(models: Path) -> None:
    before = deploy(models)
    add_models(models, {"linear": [1]})
    ran = run(models)
    refused(ran, "Nothing was written.")
    changed = {"models.config", "compose.yaml", "kubernetes.yaml"}
    assert {name for name in FILES if f"{models / name}" in ran.stderr} == changed
    assert '+    name: "linear"' in ran.stdout.splitlines()
    assert {name: (models / name).read_text() for name in FILES} == before
    ran = run(models, "--force")
    assert ran.returncode == 0
    assert f"{models}/models.config: overwritten\n" in ran.stdout
    assert f"{models}/monitoring.config: unchanged\n" in ran.stdout
    after = {name: (models / name).read_text() for name in FILES}
    assert {name for name in FILES if after[name] != before[name]} == changed


@pytest.mark.parametrize("name", FILES)
def test_an_edited_file_is_refused_with_its_difference_and_nothing_is_written(
    models: Path, name: str
) -> None:
    ours = deploy(models)
    (models / name).write_text(ours[name].replace("\n", "\n# mine\n", 1))
    # A file that is to be written, if the edited one did not forbid it.
    other = next(other for other in FILES if other != name)
    (models / other).unlink()
    before = state(models)
    ran = run(models)
    refused(ran, f"is not overwritten; got {models / name}. Nothing was written.")
    assert "overwrite all files with --force" in ran.stderr
    assert ran.stdout.splitlines() == [
        f"--- {models / name}", "+++ generated", "@@ -2 +1,0 @@", "-# mine"
    ]  # fmt: skip
    assert state(models) == before
    assert f"{models / name}: overwritten\n" in run(models, "--force").stdout
    assert {name: (models / name).read_text() for name in FILES} == ours
    assert {path.name for path in models.iterdir()} == {*FILES, "mlp", "softmax"}


def test_a_file_that_is_missing_is_written_beside_those_that_are_up_to_date(models: Path) -> None:
    ours = deploy(models)
    (models / "compose.yaml").unlink()
    before = state(models)
    assert deploy(models) == ours
    assert {name: state(models)[name] for name in before} == before


def test_kubernetes_gets_the_generated_configuration_not_the_edited_one(models: Path) -> None:
    ours = deploy(models)
    (models / "monitoring.config").write_text("prometheus_config { enable: false }\n")
    refused(run(models, "--cpus", "3"), "monitoring.config")
    assert (models / "kubernetes.yaml").read_text() == ours["kubernetes.yaml"]
    written = deploy(models, "--force")
    config = next(yaml.safe_load_all(written["kubernetes.yaml"]))["data"]
    assert config == {name: ours[name] for name in CONFIGURATION}


@pytest.mark.parametrize(
    "content", [b"\xff\xfe", b"", b"dos\r\n", b"\x1b[2Jcontrol\n", b"x" * 9999]
)
def test_the_difference_of_any_file_is_short_and_printable(models: Path, content: bytes) -> None:
    (models / "compose.yaml").write_bytes(content)
    ran = run(models)
    refused(ran, "compose.yaml")
    _, _, *lines, last = ran.stdout.splitlines()
    assert re.fullmatch(r"\.\.\. \d+ more lines", last)
    assert len(lines) == 10
    assert all(line.isprintable() and len(line) <= 100 for line in lines)
    assert {*state(models)} == {"compose.yaml"}
    deploy(models, "--force")


def test_a_reader_meanwhile_sees_one_text_or_the_other(models: Path) -> None:
    deploy(models)
    path, over, seen = models / "kubernetes.yaml", threading.Event(), set[str]()

    def read() -> None:
        while not over.wait(1e-4):
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    texts = {
        deploy(models, "--force", "--replicas", str(count))["kubernetes.yaml"]
        for count in range(1, 51)
    }
    over.set()
    reader.join()
    assert len(texts) == 50
    assert seen
    # The first text is that of the default, 3 replicas.
    assert seen <= texts


def refused(ran: subprocess.CompletedProcess[str], message: str) -> None:
    assert ran.returncode == 2
    assert message in ran.stderr, ran.stderr
    assert len(ran.stderr.splitlines()) == 1
    assert ran.stderr.startswith("error: ")


@pytest.mark.parametrize(
    "name",
    ["my model", 'mlp"', "mlp'", "mlp:1", "mlp$x", "modèle", "模型", "-mlp", "a\nb", "~", "a%20b"],
)
def test_names_that_no_url_can_have_are_refused(models: Path, name: str) -> None:
    add_models(models, {name: [1]})
    refused(run(models), f"got {name!r}. Rename the directory.")
    assert state(models) == {}


def test_hidden_directories_and_directories_without_versions_are_skipped(models: Path) -> None:
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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--keep-versions", "0"], "must be a whole number from 1 to 1000; got '0'"),
        (["--pin", "mlp"], "must be like mlp=3 or mlp=3,4; got 'mlp'"),
        (["--pin", "=3"], "must be like mlp=3 or mlp=3,4; got '=3'"),
        (["--stable", "mlp=1,2"], "must be like mlp=3; got 'mlp=1,2'"),
        (["--stable", "mlp=-1"], "must be like mlp=3; got 'mlp=-1'"),
        (["--stable", "other=1"], "'other' is to be pinned or labelled, and does not exist"),
        (["--stable", "mlp=3"], "mlp has no version 3 to pin or label. It has 1, 2."),
        (["--pin", "mlp=3"], "mlp has no version 3 to pin or label. It has 1, 2."),
        (["--pin", "mlp=1", "--stable", "mlp=2"], "of mlp, 1 is pinned, and 2 has a label"),
        (["--stable", "mlp=1", "--stable", "mlp=2"], "--stable can be given once for each model"),
        (["--image", "a image"], "--image must be a name of at most 255 characters"),
        (["--image", 'x"\nuser: root'], "--image must be a name"),
        (["--name", "1st"], "--name must be a DNS label"),
        (["--name", "A"], "--name must be a DNS label"),
        (["--name", "a" * 64], "--name must be a DNS label of at most 63 characters"),
        (["--claim", "my_claim"], "--claim must be a DNS name"),
        (["--cpus", "1.5"], "--cpus must be a whole number from 1 to 1024; got '1.5'"),
        (["--memory", "2g"], "--memory must be a whole number"),
        (["--rest-port", "0"], "--rest-port must be a whole number from 1 to 65535"),
        (["--rest-port", "8500"], "--rest-port and --grpc-port must differ; got 8500 for both"),
        (["--unknown"], "no such flag: --unknown"),
    ],
)  # fmt: skip
def test_a_wrong_flag_is_refused_in_one_line(models: Path, flags: list[str], message: str) -> None:
    refused(run(models, *flags), message)
    assert state(models) == {}


def test_a_directory_with_the_name_of_a_file_is_refused(models: Path) -> None:
    (models / "kubernetes.yaml").mkdir()
    for flags in ([], ["--force"]):
        refused(run(models, *flags), "kubernetes.yaml")
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


@pytest.mark.parametrize("arguments", [["--help"], []])
def test_a_reader_that_ends_early_ends_nothing_else(models: Path, arguments: list[str]) -> None:
    command = f"{shlex.quote(sys.executable)} -m tfd2l.deploy {' '.join(arguments)} | head -1"
    ran = subprocess.run(
        command, shell=True, cwd=models.parent, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert ran.stderr == ""
    assert len(ran.stdout.splitlines()) == 1
