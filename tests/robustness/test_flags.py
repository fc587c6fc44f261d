"""Every flag of every command at and beyond its edges: accepted, or refused in one line.

A refused flag has written nothing. The commands run in this process up to the point at which they
would train, serve or connect.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
import requests
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelines import fashion_mnist
from tests.support.deployments import add_models
from tfd2l.book.trainer import Trainer
from tfd2l.common.errors import Tfd2lError
from tfd2l.deploy import command as deploy
from tfd2l.predict import command as predict
from tfd2l.serve import command as serve
from tfd2l.train import command as train
from tfd2l.train.settings import flags as train_flags

EDGES = (
    "0", "1", "-1", "2", "3", "-0.0", "0.5", "0.01", "3600", "3601", "255", "256", "1000", "1001",
    "4096", "4097", "32x48", "4096x4096", "65535", "65536", "100000", "100001", "1000000",
    "1000001", "2147483647", "2147483648", "3000000000", "9223372036854775807",
    "9223372036854775808", "9" * 5000, "0." + "0" * 5000 + "1", "1e-39", "1.2e-38", "1e-999",
    "1e6", "1e38", "1e309", "nan", "inf", "-inf", "0x10", "1_0", "٣", " 1", "1\n", "true", "None",
    "", " ", "-", "--", "=", ".", "..", "a" * 255, "a" * 256, "é" * 150, "a/" * 2000, "a\nb",
    "a\tb", "\x1b[2J", "\x85", "\u2028", "\u202e", "\udcff", "/dev/null/a",
    "/proc/none/a", "a.png", "a\nb.png", "absent/a.png", "mlp", "mlp=1", "mlp=1,2", "mlp=0",
    "mlp=" + "9" * 19, "mlp=" + "9" * 5000, "a\nb=1", "a" * 5000 + "=1", "http://", "http://[::1",
    "http://a:99999", "http://a b", "http://" + "a" * 70, "http://\udcff", "ftp://a", "::1",
    "linear", "mlp-scratch", "gpu", "cpu", "mixed_float16", "savedmodels", "run",
)  # fmt: skip


class HaltError(Tfd2lError):
    """The command has come to its work."""


def halt(*args: Any, **kwargs: Any) -> None:
    raise HaltError("come to its work")


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A directory with a few models, and commands that end before their work."""
    monkeypatch.chdir(tmp_path)
    add_models(tmp_path / "savedmodels", {"mlp": [1, 2]})
    images, labels = np.zeros((2, 28, 28), np.uint8), np.zeros(2, np.uint8)
    arrays = fashion_mnist.Arrays(images, labels, images, labels, "a test", {})
    monkeypatch.setattr(fashion_mnist, "load", lambda *args, **options: arrays)
    monkeypatch.setattr(Trainer, "fit", halt)
    monkeypatch.setattr(tf.config.experimental, "enable_op_determinism", lambda: None)
    monkeypatch.setattr(serve, "_load_models", halt)
    monkeypatch.setattr(requests.adapters.HTTPAdapter, "send", halt)
    # No server of names is asked.
    monkeypatch.setattr("socket.create_server", bound)
    yield
    keras.config.set_dtype_policy("float32")
    os.environ.pop("TF_ENABLE_ONEDNN_OPTS", None)


def bound(address: tuple[str, int], **options: Any) -> Any:
    host, _ = address
    host.encode("idna")
    return pytest.MonkeyPatch.context()


# By the name of a command: its main, its parser, and arguments that it needs in any case.
COMMANDS: dict[str, tuple[Callable[[Sequence[str]], int], argparse.ArgumentParser, list[str]]] = {
    "train": (train.main, train_flags._parser(), []),
    "serve": (serve.main, serve._parser(), []),
    "deploy": (deploy.main, deploy._parser(), []),
    "predict": (predict.main, predict._parser(), ["absent.png"]),
}
FLAGS = [
    (name, flag)
    for name, (_, parser, _) in COMMANDS.items()
    for action in parser._actions
    for flag in action.option_strings or [""]
    if flag not in ("-h", "--help", "--version")
]


def try_flag(name: str, flag: str, value: str, model: str, said: Callable[[], Any]) -> bool:
    """Run a command; check what it said and wrote. Return True if it came to its work."""
    main, _, always = COMMANDS[name]
    others = [f"--model={model}"] if name == "train" and flag != "--model" else []
    before = sorted(Path().rglob("*"))
    said()
    status = main([*always, *others, f"{flag}={value}" if flag else value])
    lines = said().err.splitlines()
    halted = any("come to its work" in line for line in lines)
    if status == 0:
        assert name == "deploy"
    elif not halted:
        assert status == 2
        assert lines[-1].startswith("error: ")
        assert len(lines[-1]) < 2100
        assert lines[-1].isprintable(), lines
        assert len(lines) == 1, lines
        assert sorted(Path().rglob("*")) == before
    for path in {*Path().iterdir()} - {Path("savedmodels")}:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return halted


@pytest.mark.usefixtures("command")
@settings(max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    flag=st.sampled_from(FLAGS),
    value=st.sampled_from(EDGES) | st.text(st.characters(codec="utf-8", exclude_characters="\0")),
    model=st.sampled_from(["linear", "mlp", "softmax-scratch"]),
)
def test_a_flag_is_accepted_or_refused_in_one_line(
    capsys: pytest.CaptureFixture[str], flag: tuple[str, str], value: str, model: str
) -> None:
    try_flag(*flag, value, model, capsys.readouterr)


@pytest.mark.long
@pytest.mark.usefixtures("command")
@pytest.mark.parametrize("flag", FLAGS, ids=" ".join)
def test_every_flag_at_every_edge(
    capsys: pytest.CaptureFixture[str], flag: tuple[str, str]
) -> None:
    for value, model in itertools.product(EDGES, ["linear", "mlp"]):
        try_flag(*flag, value, model, capsys.readouterr)


@pytest.mark.usefixtures("command")
def test_flags_that_fit_come_to_their_work(capsys: pytest.CaptureFixture[str]) -> None:
    # Commands that refuse everything would pass the other tests.
    for name, flag, value in (
        ("train", "--lr", "1.2e-38"), ("train", "--checkpoint-every", "2147483647"),
        ("train", "--run-dir", "a" * 255), ("serve", "--host", "::1"),
        ("predict", "--timeout-s", "3600"),
    ):  # fmt: skip
        assert try_flag(name, flag, value, "mlp", capsys.readouterr)
