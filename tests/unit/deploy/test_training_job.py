"""The files of a training job: by the schemas of their readers, and their scripts as they run."""

from __future__ import annotations

import copy
import json
import os
import subprocess
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from tests.support.kubeflow import SCHEMAS
from tfd2l.deploy.training_job import JobSettings, render_job
from tfd2l.train.settings.flags import parse

RUN = "runs/mlp-1"
FLAGS = ["--model", "mlp", "--set", "note=it's $HOME", "--run-dir", RUN]
FILES = ("kubernetes.yaml", "tfjob.yaml", "trainjob.yaml", "compose.yaml")
# A fake Python, which prints the arguments that it gets, each in a line.
FAKE_PYTHON = '#!/bin/sh\nprintf "%s\\n" "$@"\n'


def rendered(**changes: Any) -> dict[str, str]:
    return render_job(JobSettings(**{"name": "mlp", **changes}), FLAGS, RUN, "..")


def documents(text: str) -> dict[str, dict[str, Any]]:
    return {document["kind"]: document for document in yaml.safe_load_all(text)}


def job_of(found: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """The job of Kubernetes that a file of a cluster makes, so that its own schema checks it."""
    if "Job" in found:
        return found["Job"]
    if "TFJob" in found:
        worker = found["TFJob"]["spec"]["tfReplicaSpecs"]["Worker"]
        spec = {"template": worker["template"]}
    else:
        [node] = found["TrainingRuntime"]["spec"]["template"]["spec"]["replicatedJobs"]
        spec = node["template"]["spec"]
    return {"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x"}, "spec": spec}


def pod_of(text: str) -> dict[str, Any]:
    pod: dict[str, Any] = job_of(documents(text))["spec"]["template"]["spec"]
    return pod


def script_of(name: str, text: str) -> str:
    if name == "compose.yaml":
        _, _, script = yaml.safe_load(text)["x-worker"]["entrypoint"]
        # What Compose makes of it.
        return str(script).replace("$$", "$")
    [container] = pod_of(text)["containers"]
    shell, option, script = container["command"]
    assert (shell, option) == ("sh", "-c")
    return str(script)


def validate(document: dict[str, Any]) -> None:
    """Check a document by the schema of its kind, in which no other field is allowed."""
    schema = SCHEMAS.get(document["kind"])
    if schema is None:
        kubernetes_validate.validate(document, "1.37.0", strict=True)
    else:
        jsonschema.validate(document, schema)


@pytest.mark.parametrize("gpus", [0, 2])
@pytest.mark.parametrize("name", FILES[:3])
def test_the_schemas_of_kubernetes_and_kubeflow_accept_every_document(name: str, gpus: int) -> None:
    found = documents(rendered(gpus=gpus)[name])
    for document in [*found.values(), job_of(found)]:
        validate(document)


def test_the_schemas_refuse_misspelt_fields() -> None:
    texts = rendered()
    for name, kind, place in [
        ("kubernetes.yaml", "Job", ("spec", "backoffLimit")),
        ("tfjob.yaml", "TFJob", ("spec", "successPolicy")),
        ("trainjob.yaml", "TrainJob", ("spec", "runtimeRef")),
        ("trainjob.yaml", "TrainingRuntime", ("spec", "mlPolicy")),
    ]:
        document = copy.deepcopy(documents(texts[name])[kind])
        part = document[place[0]]
        part[place[1] + "s"] = part.pop(place[1])
        with pytest.raises(jsonschema.ValidationError, match=place[1]):
            validate(document)


@pytest.mark.parametrize("gpus", [0, 2])
def test_the_schema_of_compose_accepts_the_file_and_no_misspelt_one(gpus: int) -> None:
    place = resources.files("check_jsonschema") / "builtin_schemas/vendor/compose-spec.json"
    schema = json.loads(place.read_text(encoding="utf-8"))
    document = yaml.safe_load(rendered(workers=3, gpus=gpus)["compose.yaml"])
    jsonschema.validate(document, schema)
    assert list(document["services"]) == ["worker-0", "worker-1", "worker-2"]
    document["services"]["worker-1"]["cap_dropped"] = ["ALL"]
    with pytest.raises(jsonschema.ValidationError, match="cap_dropped"):
        jsonschema.validate(document, schema)


def ran(name: str, text: str, folder: Path) -> list[str]:
    """The arguments that Python gets from a worker's script in a folder."""
    fake = folder / "bin" / "python"
    fake.parent.mkdir(exist_ok=True)
    fake.write_text(FAKE_PYTHON)
    fake.chmod(0o755)
    variables = {"PATH": f"{fake.parent}:{os.environ['PATH']}", "JOB_COMPLETION_INDEX": "1"}
    done = subprocess.run(
        ["sh", "-ec", script_of(name, text)], cwd=folder, env=variables, capture_output=True,
        text=True, timeout=60, check=True,
    )  # fmt: skip
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("name", "hosts"),
    [
        ("kubernetes.yaml", "mlp-0.mlp:2222,mlp-1.mlp:2222"),
        ("trainjob.yaml", "mlp-node-0-0.mlp:2222,mlp-node-0-1.mlp:2222"),
        ("compose.yaml", "worker-0:2222,worker-1:2222"),
        # The operator gives each worker TF_CONFIG.
        ("tfjob.yaml", None),
    ],
)
def test_a_worker_begins_the_run_and_resumes_it_once_it_is_there(
    name: str, hosts: str | None, tmp_path: Path
) -> None:
    text = rendered()[name]
    cluster = [] if hosts is None else ["--workers", hosts, "--worker-index", "1"]
    assert ran(name, text, tmp_path) == ["-m", "tfd2l.train", *FLAGS, *cluster]
    (tmp_path / RUN).mkdir(parents=True)
    # The directory alone is no run yet.
    assert ran(name, text, tmp_path)[2:4] == FLAGS[:2]
    (tmp_path / RUN / "config.json").touch()
    arguments = ran(name, text, tmp_path)
    assert arguments == ["-m", "tfd2l.train", "--resume", RUN, *cluster]
    assert parse(arguments[2:4]).resume == Path(RUN)


def test_one_worker_is_no_cluster_and_a_run_to_resume_is_resumed_as_it_was_given(
    tmp_path: Path,
) -> None:
    flags = ["--resume", "runs/wide", "--epochs", "20"]
    texts = render_job(JobSettings(workers=1), flags, None, "..")
    for name in FILES:
        assert ran(name, texts[name], tmp_path) == ["-m", "tfd2l.train", *flags]


def test_the_names_of_the_workers_are_those_that_kubernetes_gives() -> None:
    found = documents(rendered(workers=3)["kubernetes.yaml"])
    job, service = found["Job"], found["Service"]
    # The host name of a pod is JOB-INDEX, in the domain of the Service of its subdomain.
    assert job["metadata"]["name"] == "mlp"
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"] == "mlp"
    assert service["spec"]["clusterIP"] == "None"
    assert service["spec"]["publishNotReadyAddresses"] is True
    assert job["spec"]["completionMode"] == "Indexed"
    assert job["spec"]["completions"] == job["spec"]["parallelism"] == 3
    labels = {"app.kubernetes.io/name": "mlp"}
    assert job["spec"]["template"]["metadata"]["labels"] == labels
    assert service["spec"]["selector"] == labels
    policy = found["NetworkPolicy"]["spec"]
    assert policy["podSelector"] == {"matchLabels": labels}
    [rule] = policy["ingress"]
    assert rule["from"] == [{"podSelector": {"matchLabels": labels}}]
    assert [port["port"] for port in rule["ports"]] == [2222]


def test_pods_run_without_rights_on_the_shared_volume_and_have_time_for_a_checkpoint() -> None:
    texts = rendered(user=1234, claim="runs", cpus=3, memory=777, gpus=1)
    for name in FILES[:3]:
        pod = pod_of(texts[name])
        assert pod["terminationGracePeriodSeconds"] == 120
        assert pod["shareProcessNamespace"] is True
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == 1234
        [container] = pod["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        limits = {"cpu": 3, "memory": "777Mi", "nvidia.com/gpu": 1}
        assert container["resources"] == {"requests": limits, "limits": limits}
        volumes = {volume.pop("name"): volume for volume in pod["volumes"]}
        assert volumes["training"] == {"persistentVolumeClaim": {"claimName": "runs"}}
        mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
        assert mounts == {"/training": "training", "/tmp": "temporary"}
        assert container["workingDir"] == "/training"
    worker = yaml.safe_load(texts["compose.yaml"])["x-worker"]
    assert worker["user"] == "1234:1234"
    assert worker["read_only"] is True
    assert worker["stop_grace_period"] == "120s"
    assert worker["restart"] == "on-failure:10"
    [mount] = worker["volumes"]
    assert (mount["source"], mount["target"]) == ("..", worker["working_dir"])


def test_what_the_operators_expect_by_name() -> None:
    texts = rendered()
    # The Training Operator looks for this container, and for this port in it.
    [container] = pod_of(texts["tfjob.yaml"])["containers"]
    assert container["name"] == "tensorflow"
    assert container["ports"] == [{"name": "tfjob-port", "containerPort": 2222}]
    found = documents(texts["trainjob.yaml"])
    runtime, job = found["TrainingRuntime"], found["TrainJob"]
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    assert job["spec"]["trainer"]["numNodes"] == runtime["spec"]["mlPolicy"]["numNodes"] == 2
    [node] = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    # Trainer finds the job and the container that train by these.
    label = {"trainer.kubeflow.org/trainjob-ancestor-step": "trainer"}
    assert node["template"]["metadata"]["labels"] == label
    assert node["name"] == pod_of(texts["trainjob.yaml"])["containers"][0]["name"] == "node"


def test_interruptions_restart_the_job_and_drained_machines_do_not_count() -> None:
    texts = rendered(workers=3)
    job = documents(texts["kubernetes.yaml"])["Job"]["spec"]
    # Each interruption ends three pods.
    assert job["backoffLimit"] == 30
    drained, ended = job["podFailurePolicy"]["rules"]
    assert drained["action"] == ended["action"] == "Ignore"
    assert drained["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]
    [container] = job["template"]["spec"]["containers"]
    assert ended["onExitCodes"]["containerName"] == container["name"]
    assert ended["onExitCodes"]["values"] == [128 + 15]
    # A policy for failures needs it.
    assert job["template"]["spec"]["restartPolicy"] == "Never"
    assert documents(texts["tfjob.yaml"])["TFJob"]["spec"]["runPolicy"]["backoffLimit"] == 30
    job_set = documents(texts["trainjob.yaml"])["TrainingRuntime"]["spec"]["template"]["spec"]
    assert job_set["failurePolicy"] == {"maxRestarts": 10}
