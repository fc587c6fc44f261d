"""JSON schemas of Kubeflow's TFJob, TrainJob and TrainingRuntime.

Reduced by hand from the openAPIV3Schema of the custom resource definitions: kubeflow.org_tfjobs of
training-operator, trainer.kubeflow.org_trainjobs and _trainingruntimes of trainer. Pod templates
and the specs of jobs are left open; they are those of Kubernetes, which has schemas of its own.
"""

from __future__ import annotations

from typing import Any

__all__ = ["SCHEMAS"]


def _object(required: tuple[str, ...] = (), **properties: Any) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": [*required],
        "additionalProperties": False,
    }


_OPEN: dict[str, Any] = {"type": "object"}
_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}
_SWITCH: dict[str, Any] = {"type": "boolean"}
_LABELS: dict[str, Any] = {"type": "object", "additionalProperties": _TEXT}
_METADATA = _object(("name",), name=_TEXT, namespace=_TEXT, labels=_LABELS, annotations=_LABELS)


def _resource(version: str, kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return _object(
        ("apiVersion", "kind", "metadata", "spec"),
        apiVersion={"const": version}, kind={"const": kind}, metadata=_METADATA, spec=spec,
    )  # fmt: skip


_REPLICA = _object(
    replicas=_WHOLE,
    restartPolicy={"enum": ["Always", "OnFailure", "Never", "ExitCode"]},
    template=_OPEN,
)
_TFJOB = _object(
    ("tfReplicaSpecs",),
    enableDynamicWorker=_SWITCH,
    runPolicy=_object(
        activeDeadlineSeconds=_WHOLE,
        backoffLimit=_WHOLE,
        cleanPodPolicy={"enum": ["All", "Running", "None"]},
        schedulingPolicy=_OPEN,
        suspend=_SWITCH,
        ttlSecondsAfterFinished=_WHOLE,
    ),
    successPolicy={"enum": ["", "AllWorkers"]},
    tfReplicaSpecs=_object(
        PS=_REPLICA, Worker=_REPLICA, Chief=_REPLICA, Master=_REPLICA, Evaluator=_REPLICA
    ),
)
_TRAINJOB = _object(
    ("runtimeRef",),
    runtimeRef=_object(("name",), name=_TEXT, apiGroup=_TEXT, kind=_TEXT),
    trainer=_object(
        image=_TEXT, command={"type": "array"}, args={"type": "array"}, env={"type": "array"},
        numNodes=_WHOLE, resourcesPerNode=_OPEN, numProcPerNode=_WHOLE,
    ),
    initializer=_OPEN, runtimePatches={"type": "array"}, suspend=_SWITCH,
    activeDeadlineSeconds=_WHOLE, managedBy=_TEXT,
)  # fmt: skip
_REPLICATED_JOB = _object(
    ("name", "template"),
    name=_TEXT,
    groupName=_TEXT,
    replicas=_WHOLE,
    dependsOn={"type": "array"},
    template=_object(metadata=_OPEN, spec=_OPEN),
)
_JOB_SET = _object(
    coordinator=_OPEN,
    failurePolicy=_object(
        maxRestarts=_WHOLE,
        restartStrategy={"enum": ["Recreate", "BlockingRecreate", "InPlaceRestart"]},
        rules={"type": "array"},
    ),
    managedBy=_TEXT,
    network=_object(
        enableDNSHostnames=_SWITCH, publishNotReadyAddresses=_SWITCH, subdomain=_TEXT
    ),
    replicatedJobs={"type": "array", "items": _REPLICATED_JOB},
    startupPolicy=_OPEN,
    successPolicy=_OPEN,
    suspend=_SWITCH,
    ttlSecondsAfterFinished=_WHOLE,
)  # fmt: skip
_RUNTIME = _object(
    mlPolicy=_object(numNodes=_WHOLE, torch=_OPEN, mpi=_OPEN, jax=_OPEN, flux=_OPEN),
    podGroupPolicy=_OPEN,
    template=_object(metadata=_OPEN, spec=_JOB_SET),
)
_TRAINER = "trainer.kubeflow.org/v1alpha1"
SCHEMAS = {
    "TFJob": _resource("kubeflow.org/v1", "TFJob", _TFJOB),
    "TrainJob": _resource(_TRAINER, "TrainJob", _TRAINJOB),
    "TrainingRuntime": _resource(_TRAINER, "TrainingRuntime", _RUNTIME),
}
