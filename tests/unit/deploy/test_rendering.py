"""The files' contents, by their own protos and schemas, and against one another."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from tests.support import ROOT
from tests.support.deployments import (
    BATCHING_FILE,
    CONFIGURATION,
    add_models,
    config_message,
    deploy,
)
from tfd2l.deploy import command

# Of tensorflow_model_server, as in tensorflow_serving/model_servers/main.cc.
FLAGS_TEXT = """
port grpc_socket_path rest_api_port rest_api_num_threads rest_api_timeout_in_ms
rest_api_enable_cors_support enable_batching allow_version_labels_for_unavailable_models
batching_parameters_file enable_per_model_batching_parameters model_config_file
model_config_file_poll_wait_seconds model_name model_base_path num_load_threads
num_unload_threads max_num_load_retries load_retry_interval_micros
file_system_poll_wait_seconds flush_filesystem_caches tensorflow_session_parallelism
tensorflow_session_config_file tensorflow_intra_op_parallelism tensorflow_inter_op_parallelism
use_alts_credentials ssl_config_file platform_config_file per_process_gpu_memory_fraction
saved_model_tags grpc_channel_arguments grpc_max_threads enable_model_warmup
num_request_iterations_for_warmup version monitoring_config_file
remove_unused_fields_from_bundle_metagraph prefer_tflite_model num_tflite_pools
num_tflite_interpreters_per_pool enable_signature_method_name_check
xla_cpu_compilation_enabled xla_gpu_compilation_enabled enable_profiler
thread_pool_factory_config_file mixed_precision skip_initialize_tpu
enable_grpc_healthcheck_service enable_serialization_as_tensor_content
"""
FLAGS = {*FLAGS_TEXT.split()}


@pytest.fixture
def models(tmp_path: Path) -> Path:
    # Names that YAML takes for something else unless they are quoted.
    return add_models(tmp_path / "savedmodels", {"mlp": [1, 2, 3], "1.0": [1], "null": [7]})


def model_server_config(text: str) -> Any:
    return text_format.Parse(text, model_server_config_pb2.ModelServerConfig())


def test_every_model_is_served_by_its_last_version(models: Path) -> None:
    config = model_server_config(deploy(models)["models.config"])
    served = list(config.model_config_list.config)
    assert [model.name for model in served] == ["1.0", "mlp", "null"]
    for model in served:
        assert model.base_path == f"/models/{model.name}"
        assert model.model_platform == "tensorflow"
        assert model.model_version_policy.latest.num_versions == 1
        assert not model.version_labels


def test_more_versions_pins_and_labels_are_as_the_flags_say(models: Path) -> None:
    text = deploy(
        models, "--keep-versions", "2", "--pin", "null=7", "--stable", "mlp=3", "--canary", "mlp=1"
    )["models.config"]
    first, mlp, null = model_server_config(text).model_config_list.config
    assert first.model_version_policy.latest.num_versions == 2
    assert list(mlp.model_version_policy.specific.versions) == [1, 3]
    assert dict(mlp.version_labels) == {"stable": 3, "canary": 1}
    assert list(null.model_version_policy.specific.versions) == [7]
    assert not null.version_labels
    # How a label moves: both versions stay loaded.
    text = deploy(models, "--force", "--pin", "mlp=2,3", "--stable", "mlp=2")["models.config"]
    mlp = model_server_config(text).model_config_list.config[1]
    assert list(mlp.model_version_policy.specific.versions) == [2, 3]
    assert dict(mlp.version_labels) == {"stable": 2}


def test_requests_share_runs_of_a_model_only_with_the_flag_that_says_what_it_costs(
    models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # With TensorFlow Serving's own code, one bad client made a sixth of six others' requests fail.
    assert not [text for text in deploy(models).values() if "batching" in text]
    with pytest.raises(SystemExit):
        command.main(["--help"])
    assert "fail together" in " ".join(capsys.readouterr().out.split())
    written = deploy(models, "--force", "--batching")
    for name in ("compose.yaml", "kubernetes.yaml"):
        assert "--enable_batching=true" in written[name]
    config = documents(written["kubernetes.yaml"])["ConfigMap"]["data"]
    assert config == {name: written[name] for name in (*CONFIGURATION, BATCHING_FILE)}


def test_the_batching_parameters_are_what_the_server_accepts(models: Path) -> None:
    text = deploy(models, "--batching", "--cpus", "6")[BATCHING_FILE]
    batching = text_format.Parse(text, config_message("BatchingParameters"))
    sizes = list(batching.allowed_batch_sizes)
    assert sizes == sorted({*sizes})
    assert sizes[0] == 1
    assert sizes[-1] == batching.max_batch_size.value
    assert batching.num_batch_threads.value == 6
    assert batching.HasField("batch_timeout_micros")
    assert 0 <= batching.batch_timeout_micros.value <= 10_000
    assert batching.max_enqueued_batches.value >= 6
    with pytest.raises(text_format.ParseError, match="max_batch"):
        text_format.Parse("max_batch { value: 1 }", config_message("BatchingParameters"))


def test_metrics_are_on_where_prometheus_looks(models: Path) -> None:
    text = deploy(models)["monitoring.config"]
    monitoring = text_format.Parse(text, config_message("MonitoringConfig"))
    assert monitoring.prometheus_config.enable is True
    assert monitoring.prometheus_config.path == "/monitoring/prometheus/metrics"


def flags(words: list[str]) -> dict[str, str]:
    """Flags as the server reads them: --name=value, and each known."""
    found = {}
    for word in words:
        match = re.fullmatch(r"--([a-z_]+)=(\S+)", word)
        assert match is not None, word
        assert match[1] in FLAGS, word
        assert match[1] not in found, word
        found[match[1]] = match[2]
    return found


def expected_flags(config: str, cpus: int) -> dict[str, str]:
    return {
        "port": "8500",
        "rest_api_port": "8501",
        "model_config_file": f"{config}/models.config",
        "model_config_file_poll_wait_seconds": "30",
        "allow_version_labels_for_unavailable_models": "true",
        "num_load_threads": "2",
        # A version that failed would hold a load thread for five minutes.
        "max_num_load_retries": "0",
        "monitoring_config_file": f"{config}/monitoring.config",
        "tensorflow_intra_op_parallelism": str(cpus),
        "tensorflow_inter_op_parallelism": str(cpus),
    }


def check(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *command], capture_output=True, text=True, timeout=120
    )


@pytest.mark.slow
def test_compose_accepts_the_file_and_no_misspelt_one(models: Path) -> None:
    deploy(models)
    command = ("check_jsonschema", "--builtin-schema", "vendor.compose-spec")
    ran = check(*command, models / "compose.yaml")
    assert ran.returncode == 0, ran.stdout
    text = (models / "compose.yaml").read_text()
    (models / "compose.yaml").write_text(text.replace("cap_drop", "cap_dropped"))
    ran = check(*command, models / "compose.yaml")
    assert ran.returncode == 1
    assert "cap_dropped" in ran.stdout


def test_the_container_may_read_the_models_and_next_to_nothing_else(models: Path) -> None:
    text = deploy(models, "--cpus", "4", "--memory", "1024", "--rest-port", "9501")["compose.yaml"]
    file = yaml.safe_load(text)
    assert file["name"] == "tfd2l-serving"
    service = file["services"]["serving"]
    assert service["image"] == "tensorflow/serving:2.20.0"
    assert flags(service["command"]) == expected_flags("/models", 4)
    [mount] = service["volumes"]
    assert (mount["type"], mount["source"], mount["target"]) == ("bind", ".", "/models")
    assert mount["read_only"] is True
    assert service["read_only"] is True
    assert service["user"] == "65534:65534"
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["ports"] == ["127.0.0.1:9501:8501", "127.0.0.1:8500:8500"]
    assert (service["cpus"], service["mem_limit"]) == (4, "1024m")
    assert service["restart"] == "unless-stopped"
    assert service["init"] is True
    assert {*service["logging"]["options"]} == {"max-size", "max-file"}


def documents(text: str) -> dict[str, Any]:
    found = list(yaml.safe_load_all(text))
    assert len({document["kind"] for document in found}) == len(found)
    return {document["kind"]: document for document in found}


@pytest.mark.slow
def test_kubernetes_accepts_every_document_and_no_misspelt_one(models: Path) -> None:
    deploy(models, "--name", "null", "--claim", "1.0")
    command = ("kubernetes_validate", "--strict", "-k")
    ran = check(*command, "1.37.0", models / "kubernetes.yaml")
    assert ran.returncode == 0, ran.stdout
    passed = re.findall(r"passed for resource (\w+)/null", ran.stdout)
    assert passed == ["configmap", "deployment", "service", "poddisruptionbudget"]
    text = (models / "kubernetes.yaml").read_text()
    (models / "kubernetes.yaml").write_text(text.replace("readOnlyRoot", "readonlyRoot"))
    ran = check(*command, "1.37.0", models / "kubernetes.yaml")
    assert ran.returncode == 1
    assert "readonlyRoot" in ran.stdout


def test_the_documents_of_kubernetes_refer_to_one_another(models: Path) -> None:
    written = deploy(models, "--name", "digits", "--claim", "trained", "--replicas", "5")
    found = documents(written["kubernetes.yaml"])
    config, deployment = found["ConfigMap"], found["Deployment"]["spec"]
    pod = deployment["template"]["spec"]
    [container] = pod["containers"]
    labels = {"app.kubernetes.io/name": "digits"}
    assert deployment["template"]["metadata"]["labels"] == labels
    [spread] = pod["topologySpreadConstraints"]
    for selector in (
        deployment["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
        found["Service"]["spec"]["selector"],
        spread["labelSelector"]["matchLabels"],
    ):
        assert selector == labels
    volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
    assert volumes["config"] == {"configMap": {"name": config["metadata"]["name"]}}
    assert volumes["models"] == {
        "persistentVolumeClaim": {"claimName": "trained", "readOnly": True}
    }
    mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
    assert {mount["name"] for mount in mounts.values()} == {*volumes}
    assert mounts["/models"] == {"name": "models", "mountPath": "/models", "readOnly": True}
    # The very files, where the flags say they are.
    assert config["data"] == {name: written[name] for name in CONFIGURATION}
    assert flags(container["args"]) == expected_flags("/config", 2)
    assert mounts["/config"]["name"] == "config"
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert ports == {"rest": 8501, "grpc": 8500}
    service = {port["targetPort"]: port["port"] for port in found["Service"]["spec"]["ports"]}
    assert service == ports
    # Metrics come from a server without any model, too.
    metrics = text_format.Parse(written["monitoring.config"], config_message("MonitoringConfig"))
    path = metrics.prometheus_config.path
    assert container["livenessProbe"]["httpGet"] == {"path": path, "port": "rest"}
    assert deployment["replicas"] == 5


def test_replicas_are_replaced_one_by_one_and_run_as_nobody(models: Path) -> None:
    deployment = documents(deploy(models)["kubernetes.yaml"])["Deployment"]["spec"]
    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    pod = deployment["template"]["spec"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    [container] = pod["containers"]
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["resources"]["limits"] == {"cpu": 2, "memory": "2048Mi"}
    pause_s = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert pause_s < pod["terminationGracePeriodSeconds"]


def test_a_changed_configuration_has_a_name_of_its_own_so_that_replicas_are_replaced(
    models: Path,
) -> None:
    def names(*flags: str) -> tuple[str, str]:
        found = documents(deploy(models, "--force", *flags)["kubernetes.yaml"])
        assert found["ConfigMap"]["immutable"] is True
        pod = found["Deployment"]["spec"]["template"]["spec"]
        [used] = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
        return found["ConfigMap"]["metadata"]["name"], used

    first, pinned, more = names(), names("--pin", "mlp=1"), names("--replicas", "9")
    assert all(name == used for name, used in (first, pinned, more))
    assert first != pinned
    assert first == more


def test_the_readme_uses_flags_that_the_server_knows() -> None:
    readme = (ROOT / "savedmodels" / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```sh\n(.*?)```", readme, re.DOTALL)
    words = [word for block in blocks for word in re.findall(r"--[a-z]+_[a-z_]+=\S*", block)]
    assert len(words) > 5
    for word in words:
        assert word.removeprefix("--").split("=")[0] in FLAGS, word
    # Each block that starts a server.
    starts = [block for block in blocks if "--num_load_threads" in block]
    assert len(starts) == 2
    assert all("--max_num_load_retries=0" in block for block in starts)
    assert not any("batching" in block for block in starts)
