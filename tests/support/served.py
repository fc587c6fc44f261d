"""Small models on disk, and the development server on them, in process or as a process."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import tensorflow as tf

from tests.support import ROOT
from tests.support.small_models import IMAGES, LABELS, Linear, Scratch, preprocess
from tests.support.warm import WarmProcess
from tfd2l.export.expected import image_examples
from tfd2l.export.signatures import export_classifier, export_regressor
from tfd2l.export.warmup import WARMUP_FILE, WarmupRequest, write_warmup
from tfd2l.serve.models import ServedModels

DEADLINE_S = 60


def export_linear(base: Path, number: int, bias: float) -> Path:
    """Publish version `number` of y = 2 a - 3.4 b + bias, by a rename; it has no warm-up file."""
    model = Linear()
    model.b.assign([bias])
    staging = base / f".staging-{number}"
    export_regressor(model, staging, num_inputs=2)
    return staging.rename(base / str(number))


def export_clothes(base: Path) -> Path:
    """Publish version 1 of a classifier, with a warm-up file."""
    staging = base / ".staging-1"
    export_classifier(Scratch(), staging, labels=LABELS, preprocess=preprocess)
    (staging / WARMUP_FILE).parent.mkdir()
    requests = [
        WarmupRequest("predict", "serving_default", {"image": IMAGES[:1]}),
        WarmupRequest("classify", "classify", {"inputs": image_examples(IMAGES[:1])}),
    ]
    write_warmup(staging / WARMUP_FILE, "clothes", requests)
    return staging.rename(base / "1")


def export_models(base: Path) -> Path:
    """Models 'linear' and 'clothes' below `base`, a version 1 of each."""
    for name in ("linear", "clothes"):
        (base / name).mkdir(parents=True)
    export_linear(base / "linear", 1, bias=4.2)
    export_clothes(base / "clothes")
    return base


def export_identity(directory: Path) -> Path:
    """A SavedModel with signatures that give back their input `x` of many dtypes, as `y`."""
    names = ["string", "uint8", "int8", "int16", "int32", "int64", "uint32", "uint64"]
    names += ["float32", "float64", "bool", "float16"]

    def function_of(name: str, output: str = "y") -> Callable[..., object]:
        spec = tf.TensorSpec(None, tf.dtypes.as_dtype(name), name="x")
        made: Callable[..., object] = tf.function(
            lambda x: {output: tf.identity(x)}, input_signature=[spec]
        )
        return made

    functions = {name: function_of(name) for name in names}
    functions["serving_default"] = functions["float32"]
    functions["bytes"] = function_of("string", "y_bytes")
    two = [tf.TensorSpec(None, tf.float32, name="a"), tf.TensorSpec(None, tf.float32, name="b")]
    functions["two"] = tf.function(
        lambda a, b: {"sum": tf.reduce_sum(a), "b": tf.identity(b)}, input_signature=two
    )
    module = tf.Module()
    module.functions = [*functions.values()]
    tf.saved_model.save(module, str(directory), signatures=functions)
    return directory


def loaded(base: Path) -> ServedModels:
    """The models below `base`, loaded."""
    models = ServedModels(base)
    models.poll()
    return models


def until(condition: Callable[[], bool]) -> None:
    """Wait until the condition holds, however busy the machine is."""
    end = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < end, "it did not come about"
        time.sleep(0.01)


@dataclass
class Server:
    """A process that serves; its log is what it wrote to standard error."""

    process: subprocess.Popen[str] | WarmProcess
    url: str
    first_line: str
    log_path: Path

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def log(self) -> str:
        return self.log_path.read_text()


@contextlib.contextmanager
def running(
    command: list[str], log_path: Path, *, warm: bool = False, **environment: str
) -> Iterator[Server]:
    """A process whose first line names its URL; it is killed in the end if it still runs.

    A warm one is a fork of a process that has imported TensorFlow, which a real start has not.
    """
    said, variables = log_path.with_suffix(".stdout"), {**os.environ, **environment}
    process: subprocess.Popen[str] | WarmProcess
    if warm:
        said.unlink(missing_ok=True)
        log_path.write_text("")
        process = WarmProcess(command, cwd=ROOT, environment=variables, outputs=(said, log_path))
    else:
        with said.open("w") as output, log_path.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, *command], stdout=output, stderr=log, text=True, cwd=ROOT,
                env=variables,
            )  # fmt: skip
    try:
        until(lambda: said.exists() and "\n" in said.read_text())
        line = said.read_text()
        words = [word.rstrip(":,") for word in line.split() if word.startswith("http://")]
        assert words, (line, log_path.read_text())
        yield Server(process, words[0], line, log_path)
    finally:
        process.kill()
        process.wait()
