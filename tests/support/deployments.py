"""The smallest directories of models, and `python -m tfd2l.deploy` on them."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, wrappers_pb2

from tests.support import ROOT
from tfd2l.deploy.command import main

CONFIGURATION = ("models.config", "monitoring.config")
FILES = (*CONFIGURATION, "compose.yaml", "kubernetes.yaml")
# Written with --batching only.
BATCHING_FILE = "batching_parameters.txt"
# Message -> field -> (number, type), all fields there are: BatchingParameters as in
# tensorflow_serving/servables/tensorflow/session_bundle_config.proto, the others as in
# tensorflow_serving/config/monitoring_config.proto.
_MESSAGES = {
    "BatchingParameters": {
        "max_batch_size": (1, ".google.protobuf.Int64Value"),
        "batch_timeout_micros": (2, ".google.protobuf.Int64Value"),
        "max_enqueued_batches": (3, ".google.protobuf.Int64Value"),
        "num_batch_threads": (4, ".google.protobuf.Int64Value"),
        "thread_pool_name": (5, ".google.protobuf.StringValue"),
        "allowed_batch_sizes": (6, "repeated int64"),
        "pad_variable_length_inputs": (7, "bool"),
    },
    "PrometheusConfig": {"enable": (1, "bool"), "path": (2, "string")},
    "MonitoringConfig": {"prometheus_config": (1, ".tensorflow.serving.PrometheusConfig")},
}


def add_models(directory: Path, models: Mapping[str, Sequence[int]]) -> Path:
    """Make directories that look like versions; nothing loads them."""
    for name, versions in models.items():
        for version in versions:
            (directory / name / str(version)).mkdir(parents=True)
            (directory / name / str(version) / "saved_model.pb").write_bytes(b"")
    return directory


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run `python -m tfd2l.deploy` in this process, since the tests call it often."""
    out, err = io.StringIO(), io.StringIO()
    argv = [str(argument) for argument in arguments]
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            status = main(argv)
        except SystemExit as end:
            status = int(end.code or 0)
    return subprocess.CompletedProcess(argv, status, out.getvalue(), err.getvalue())


def run_process(*arguments: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Run `python -m tfd2l.deploy` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "tfd2l.deploy", *map(str, arguments)],
        cwd=cwd,
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )


def deploy(directory: Path, *flags: str) -> dict[str, str]:
    """Run the command, which must succeed; return the texts of its files by name."""
    ran = run(directory, *flags)
    assert ran.returncode == 0, ran.stderr
    assert ran.stderr == ""
    names = (*FILES, BATCHING_FILE) if "--batching" in flags else FILES
    return {name: (directory / name).read_bytes().decode() for name in names}


def config_message(name: str) -> Any:
    """Make an empty message of TensorFlow Serving that its package for Python lacks."""
    file = descriptor_pb2.FileDescriptorProto(
        name="serving.proto", package="tensorflow.serving", syntax="proto3"
    )
    file.dependency.append(wrappers_pb2.DESCRIPTOR.name)
    for message_name, fields in _MESSAGES.items():
        added = file.message_type.add(name=message_name)
        for field_name, (number, kind) in fields.items():
            repeated, kind = kind.startswith("repeated "), kind.removeprefix("repeated ")
            field = added.field.add(name=field_name, number=number, label=3 if repeated else 1)
            if kind.startswith("."):
                field.type, field.type_name = field.TYPE_MESSAGE, kind
            else:
                field.type = getattr(field, f"TYPE_{kind.upper()}")
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers_pb2.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(
        pool.FindMessageTypeByName(f"tensorflow.serving.{name}")
    )()
