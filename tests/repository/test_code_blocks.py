"""The code blocks of the pages run as they are printed, or the tables here say why they can't.

They run in a directory with the files that their reader has, on few examples.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from pipelines import fashion_mnist
from tests.support import ROOT
from tests.support.documents import Block, blocks, statements
from tests.support.own_files import make_photos
from tests.support.served import Server, running
from tfd2l.data_service import command as data_service
from tfd2l.deploy import command as deploy
from tfd2l.deploy import training_command
from tfd2l.predict import command as predict
from tfd2l.serve import command as serve
from tfd2l.train import command as train
from tfd2l.train.settings.flags import parse_all

SHELL = blocks("sh", "bash")
PYTHON = blocks("python")
MAIN: dict[str, Callable[[list[str]], int]] = {
    "train": train.main,
    "predict": predict.main,
    "deploy": deploy.main,
}
# Commands by their beginnings, and why they don't run here.
NOT_RUN = {
    "make ": "sets up an environment; tests/repository/test_bootstrap.py, and CI itself",
    ". .venv/bin/activate": "the tests run in the environment",
    ".venv/bin/uv": "installs packages",
    "pip install": "installs packages",
    "python -m benchmarks": "measures for minutes, against packages that are not installed",
    "python -m tfd2l.data_service": "runs until it is ended; tests/unit/data_service",
    "python -m tfd2l.serve": "runs until it is ended; the requests here go to it",
    "python -m tfd2l.predict IMAGE...": "has a placeholder",
    "python -m tfd2l.train --publish runs/signs --epoch N": "has a placeholder",
    "python -m tfd2l.train --model mlp --epochs 3 --run-dir run ": (
        "waits for the other worker; tests/unit/train/workers starts both"
    ),
    "python -m tfd2l.train --model linear --device cpu --devices 2": (
        "must be first in a process; tests/unit/train"
    ),
    "docker": "needs a container engine; tests/unit/deploy checks files and flags",
    "kubectl": "needs a cluster; tests/unit/deploy checks the files",
    "tensorflow_model_server": "is not installed; tests/unit/deploy checks the flags",
    "curl -s http://127.0.0.1:8501/monitoring": "a path of TensorFlow Serving's",
}
COMMAND = re.compile(r"(?:python -m tfd2l[. ]|tfd2l )(train|predict|serve|deploy)\b(.*)")
IN_BASH = ("curl ", "printf ", "python3 -c ", "mv ", "saved_model_cli ")
# Python blocks by a part of theirs, and why they don't run here.
PYTHON_NOT_RUN = {
    "d2l.GrpcClient(": "needs TensorFlow Serving; tests/unit/predict runs it against a server",
    'MirroredStrategy(["GPU:0"': "needs two GPUs",
    "set_logical_device_configuration": "must be first in a process; tests/support/replicas.py",
    "TF_CONFIG": "needs two machines; tests/unit/engine starts two processes",
    "from d2l import": "imports the book's package",
    "class SignNet": "the file my_models.py below, which the commands train",
}


def reason(statement: str) -> str | None:
    """Why a command is not run."""
    return next((why for start, why in NOT_RUN.items() if statement.startswith(start)), None)


def flags_of(statement: str) -> tuple[str, list[str]]:
    """The command and the flags in `python -m tfd2l.train --epochs 3`."""
    found = COMMAND.match(statement)
    assert found is not None, statement
    return found[1], shlex.split(found[2])


def parse_deploy(flags: list[str]) -> None:
    """Parse the flags of `deploy`, or of `deploy train` and the training after it."""
    if flags[:1] != ["train"]:
        deploy._parse(flags)
        return
    own, training = training_command.split(flags[1:])
    training_command._parser().parse_args(own)
    training_command._checked(training)


def make_files(folder: Path) -> None:
    """Write what a reader of the pages has: pictures, tables and a file of models."""
    make_photos(folder / "photos")
    shutil.copy(folder / "photos/red/0.png", folder / "photo.jpg")
    Image.fromarray(np.pad(np.full((14, 14), 200, np.uint8), 7)).save(folder / "boot.png")
    rng = np.random.default_rng(0)
    area, rooms, roof = (
        rng.integers(50, 250, 60),
        rng.integers(1, 9, 60),
        rng.choice(["A", "B"], 60),
    )
    houses = pd.DataFrame(
        {"Area": area, "Rooms": rooms, "Roof": roof, "Price": 3 * area + 9 * rooms}
    )
    houses.to_csv(folder / "houses.csv", index=False)
    rows = houses.drop(columns="Price").assign(rooms=rooms, roof=roof)
    for name in ("new.csv", "houses_new.csv"):
        rows.to_csv(folder / name, index=False)
    pd.DataFrame({"rooms": rooms, "roof": roof, "price": 9 * rooms}).to_csv(
        folder / "small.csv", index=False
    )
    [model] = [block.code for block in PYTHON if "class SignNet" in block.code]
    (folder / "my_models.py").write_text(f"{model}\n\nclass Net(SignNet):\n    pass\n")


# What the pages suppose to be there: runs, and models in savedmodels/.
BEFORE = """
--run-dir runs/mlp-20261127-120000 --publish-anyway
--model linear
--data small.csv --target price --model mlp --name houses --publish-anyway
--data photos --name photos --publish-anyway --epochs 2
"""


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The reader's directory, in which the commands run; Fashion-MNIST has 512 images in it."""
    folder = tmp_path_factory.mktemp("reader")
    make_files(folder)
    whole = fashion_mnist.load()
    few = replace(
        whole,
        **{
            name: getattr(whole, name)[:512]
            for name in ("train_images", "train_labels", "val_images", "val_labels")
        },
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(folder)
        patch.setenv("PATH", str(Path(sys.executable).parent), prepend=os.pathsep)
        patch.setattr(fashion_mnist, "load", lambda *_, **__: few)
        for line in BEFORE.strip().splitlines():
            assert train.main(shlex.split(line)) == 0, line
        for version in ("3", "4"):
            shutil.copytree("savedmodels/mlp/1", f"savedmodels/mlp/{version}")
        # The commands change the directory; the programs begin with one as it is now.
        shutil.copytree(folder, folder / "again")
        yield folder


@pytest.fixture(scope="module")
def server(reader: Path) -> Iterator[Server]:
    command = ["-m", "tfd2l.serve", str(reader / "savedmodels"), "--port", "0"]
    with running(command, reader / "server.log", warm=True) as process:
        yield process


def test_each_command_runs_here_or_has_a_reason_why_not() -> None:
    unknown = [
        f"{block}: {statement}"
        for block in SHELL
        for statement in statements(block)
        if not COMMAND.match(statement)
        and not statement.startswith(IN_BASH)
        and reason(statement) is None
    ]
    assert unknown == []


def test_each_reason_has_a_block() -> None:
    lines = [statement for block in SHELL for statement in statements(block)]
    assert [start for start in NOT_RUN if not any(line.startswith(start) for line in lines)] == []
    codes = [block.code for block in PYTHON]
    assert [part for part in PYTHON_NOT_RUN if not any(part in code for code in codes)] == []


def test_the_commands_have_flags_that_exist(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    parse: dict[str, Callable[[list[str]], object]] = {
        "train": parse_all,
        "predict": predict._parse,
        "serve": serve._parser().parse_args,
        "deploy": parse_deploy,
        "data_service": data_service._parser().parse_args,
    }
    for block in SHELL:
        for statement in statements(block):
            if COMMAND.match(statement) and "placeholder" not in str(reason(statement)):
                command, flags = flags_of(statement)
                parse[command](flags)


def test_the_targets_and_modules_of_the_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in SHELL:
        for statement in statements(block):
            first, *rest = statement.split()
            if first == "make":
                assert rest[0] in targets, f"{block}: {statement}"
            if statement.startswith("python -m"):
                assert importlib.util.find_spec(rest[1]), f"{block}: {statement}"


@pytest.mark.long
@pytest.mark.usefixtures("warm_load_check")
@pytest.mark.parametrize("block", SHELL, ids=str)
def test_the_shell_blocks_run(
    block: Block, reader: Path, server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    ran = [statement for statement in statements(block) if reason(statement) is None]
    if not ran:
        pytest.skip(str(reason(statements(block)[0])))
    for path in Path("savedmodels").glob("*.*"):  # of another block's deploy, with other flags
        path.unlink()
    shutil.rmtree("training-job", ignore_errors=True)
    for statement in ran:
        if statement.startswith(IN_BASH):
            script = statement.replace("curl -s", "curl -s --fail-with-body")
            script = script.replace("http://127.0.0.1:8501", server.url)
            done = subprocess.run(["bash", "-c", script], capture_output=True, text=True)
            assert done.returncode == 0, (statement, done.stdout, done.stderr)
        else:
            command, flags = flags_of(statement)
            if command == "predict" and "--model" not in flags:
                flags += ["--url", server.url]
            status = MAIN[command](flags)
            assert status == 0, (statement, capsys.readouterr().err)


@pytest.mark.long
@pytest.mark.usefixtures("warm_load_check")
@pytest.mark.parametrize("block", PYTHON, ids=str)
def test_the_python_blocks_run(
    block: Block, reader: Path, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    why = next((why for part, why in PYTHON_NOT_RUN.items() if part in block.code), None)
    if why:
        pytest.skip(why)
    monkeypatch.chdir(reader / "again")
    code = block.code.replace("http://127.0.0.1:8501", server.url)
    exec(compile(code, str(block), "exec"), {"__name__": "__main__"})
