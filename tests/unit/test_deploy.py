"""What TensorFlow Serving is configured with, read back by the formats' own definitions."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import kubernetes_validate
import pytest
import yaml
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format
from google.protobuf import wrappers_pb2 as wrappers
from tensorflow_serving.config import model_server_config_pb2

from tfd2l import deploy
from tfd2l.deploy import DeployError, Deployment, main, model_names, texts_of

TEXTS = texts_of(Deployment(("mlp", "softmax-scratch"), keep_versions=2, threads=3))
# From tensorflow_serving/model_servers/main.cc: those that are used here.
SERVERS_FLAGS = {
    "port", "rest_api_port", "model_config_file", "model_config_file_poll_wait_seconds",
    "enable_batching", "batching_parameters_file", "monitoring_config_file",
    "allow_version_labels_for_unavailable_models", "num_load_threads",
}  # fmt: skip


def message(name: str, fields: list[tuple[str, int, str, bool]], also: Any = ()) -> Any:
    """A message class that the installed packages don't have, made of its proto's fields."""
    file = descriptor_pb2.FileDescriptorProto(
        name=f"{name}.proto", package="tensorflow.serving", syntax="proto3",
        dependency=["google/protobuf/wrappers.proto"],
    )  # fmt: skip
    for title, its in (*also, (name, fields)):
        made = file.message_type.add(name=title)
        for field, number, kind, repeated in its:
            entry = made.field.add(name=field, number=number, label=3 if repeated else 1)
            if kind in ("bool", "string", "int64"):
                entry.type = {"bool": 8, "string": 9, "int64": 3}[kind]
            else:
                entry.type, entry.type_name = 11, kind
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(wrappers.DESCRIPTOR.serialized_pb)
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"tensorflow.serving.{name}"))


def test_models_config_is_what_the_server_reads() -> None:
    parsed = text_format.Parse(TEXTS["models.config"], model_server_config_pb2.ModelServerConfig())
    assert [
        (c.name, c.base_path, c.model_platform, c.model_version_policy.latest.num_versions)
        for c in parsed.model_config_list.config
    ] == [
        ("mlp", "/models/mlp", "tensorflow", 2),
        ("softmax-scratch", "/models/softmax-scratch", "tensorflow", 2),
    ]


def test_batching_parameters_are_what_the_server_reads() -> None:
    number = ".google.protobuf.Int64Value"
    # tensorflow_serving/servables/tensorflow/session_bundle_config.proto.
    parameters = message(
        "BatchingParameters",
        [
            ("max_batch_size", 1, number, False),
            ("batch_timeout_micros", 2, number, False),
            ("max_enqueued_batches", 3, number, False),
            ("num_batch_threads", 4, number, False),
            ("thread_pool_name", 5, ".google.protobuf.StringValue", False),
            ("allowed_batch_sizes", 6, "int64", True),
            ("pad_variable_length_inputs", 7, "bool", False),
        ],
    )
    parsed = text_format.Parse(TEXTS["batching_parameters.txt"], parameters())
    sizes = list(parsed.allowed_batch_sizes)
    assert sizes == sorted(set(sizes))
    assert sizes[-1] == parsed.max_batch_size.value == 256
    assert parsed.num_batch_threads.value == 3


def test_monitoring_is_switched_on() -> None:
    # tensorflow_serving/config/monitoring_config.proto.
    prometheus = ("PrometheusConfig", [("enable", 1, "bool", False), ("path", 2, "string", False)])
    config = message(
        "MonitoringConfig",
        [("prometheus_config", 1, ".tensorflow.serving.PrometheusConfig", False)],
        [prometheus],
    )
    parsed = text_format.Parse(TEXTS["monitoring.config"], config())
    assert parsed.prometheus_config.enable
    assert parsed.prometheus_config.path == "/monitoring/prometheus/metrics"


def test_compose_fits_its_schema_and_the_servers_flags(tmp_path: Path) -> None:
    path = tmp_path / "compose.yaml"
    path.write_text(TEXTS["compose.yaml"])
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec", path],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout
    service = yaml.safe_load(TEXTS["compose.yaml"])["services"]["serving"]
    assert service["image"] == "tensorflow/serving:2.20.0"
    assert flags_of(service["command"]) <= SERVERS_FLAGS
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    (volume,) = service["volumes"]
    assert (volume["target"], volume["read_only"], service["read_only"]) == ("/models", True, True)
    for flag in service["command"]:
        if "/models/" in flag:
            assert flag.rpartition("/")[2] in TEXTS


def flags_of(command: list[str]) -> set[str]:
    return {re.fullmatch("--([a-z_]+)=.+", flag)[1] for flag in command}  # type: ignore[index]


def test_kubernetes_objects_fit_their_schemas_and_each_other() -> None:
    found = {entry["kind"]: entry for entry in yaml.safe_load_all(TEXTS["kubernetes.yaml"])}
    for entry in found.values():
        kubernetes_validate.validate(entry, kubernetes_validate.latest_version(), strict=True)
    assert {*found} == {"ConfigMap", "Deployment", "Service", "PodDisruptionBudget"}
    # The same texts as beside the models.
    config = found["ConfigMap"]["data"]
    assert config == {name: TEXTS[name] for name in deploy.CONFIGURATION}
    pod = found["Deployment"]["spec"]["template"]
    (container,) = pod["spec"]["containers"]
    labels = pod["metadata"]["labels"].items()
    for kind in ("Deployment", "PodDisruptionBudget"):
        assert found[kind]["spec"]["selector"]["matchLabels"].items() <= labels
    assert found["Service"]["spec"]["selector"].items() <= labels
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"grpc": 8500, "rest": 8501}
    assert {port["targetPort"] for port in found["Service"]["spec"]["ports"]} <= {*ports}
    assert flags_of(container["args"]) <= SERVERS_FLAGS
    mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    volumes = {volume["name"]: volume for volume in pod["spec"]["volumes"]}
    assert {*mounts} == {*volumes}
    assert volumes["config"]["configMap"]["name"] == found["ConfigMap"]["metadata"]["name"]
    for flag in container["args"]:
        if "_file=" in flag:
            folder, _, name = flag.partition("=")[2].rpartition("/")
            assert (folder, name in config) == (mounts["config"], True)
    strategy = found["Deployment"]["spec"]["strategy"]["rollingUpdate"]
    assert strategy["maxUnavailable"] == 0


class Status(BaseHTTPRequestHandler):
    """Answers for a model's status as TensorFlow Serving does."""

    code, state = 200, "AVAILABLE"

    def do_GET(self) -> None:
        assert self.path == "/v1/models/mlp"
        if self.state == "hangs":
            time.sleep(3)
        status = {"version": "1", "state": self.state, "status": {"error_code": "UNAVAILABLE"}}
        body = json.dumps({"model_version_status": [status]}, indent=1).encode()
        self.send_response(self.code)
        self.end_headers()
        self.wfile.write(body if self.code == 200 else b'{"error": "Could not find mlp"}')

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def answering(code: int, state: str) -> Iterator[int]:
    handler = type("Handler", (Status,), {"code": code, "state": state})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_port
        server.shutdown()


@pytest.mark.parametrize(
    ("code", "state", "healthy"),
    [(200, "AVAILABLE", True), (200, "LOADING", False), (404, "", False), (200, "hangs", False)],
)
def test_the_health_probe_tells_by_bash_whether_a_version_answers(
    code: int, state: str, healthy: bool
) -> None:
    service = yaml.safe_load(TEXTS["compose.yaml"])["services"]["serving"]
    _, timeout, seconds, bash, c, script = service["healthcheck"]["test"]
    assert int(seconds) < int(service["healthcheck"]["timeout"].rstrip("s"))
    with answering(code, state) as port:
        # As Compose hands it on, on a free port and with less patience.
        script = script.replace("$$", "$").replace("8501", str(port))
        probe = subprocess.run([timeout, "1", bash, c, script], capture_output=True, text=True)
    assert (probe.returncode == 0) == healthy, probe.stderr


def test_files_are_written_once_and_kept_where_somebody_changed_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mlp" / "3").mkdir(parents=True)
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("written    ") == 5
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    assert main([str(tmp_path)]) == 0
    assert capsys.readouterr().out.count("unchanged  ") == 5
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.is_file()}
    changed = tmp_path / "compose.yaml"
    changed.write_text(changed.read_text().replace("mem_limit: 2g", "mem_limit: 4g"))
    (tmp_path / "other" / "1").mkdir(parents=True)
    assert main([str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert "kept       " in said
    assert "you changed it; --force" in said
    assert "mem_limit: 4g" in changed.read_text()
    assert 'name: "other"' in (tmp_path / "models.config").read_text()
    assert main([str(tmp_path), "--force"]) == 0
    assert "mem_limit: 2g" in changed.read_text()


def test_only_directories_with_a_version_are_models(tmp_path: Path) -> None:
    for name in ("mlp/1", "mlp/.staging-2", "empty", "notes/text"):
        (tmp_path / name).mkdir(parents=True)
    assert model_names(tmp_path) == ("mlp",)


@pytest.mark.parametrize("name", ["a b", 'a"b', "mod\u00e8le", ".hidden", "a\nb", "x" * 101])
def test_a_name_that_cannot_be_used_everywhere_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / name / "1").mkdir(parents=True)
    with pytest.raises(DeployError, match="a model's name consists of letters, digits"):
        model_names(tmp_path)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "no model with a version is in"),
        (("--replicas", "0"), "--replicas must be from 1 to 1000; got 0"),
        (("--name", "A b"), "--name must consist of small letters"),
    ],
)
def test_what_cannot_be_done_is_said_in_a_line(
    flags: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if flags:
        (tmp_path / "mlp" / "1").mkdir(parents=True)
    assert main([str(tmp_path), *flags]) == 2
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1
