"""Renders the files of a training job: for Kubernetes, Kubeflow and Compose."""

from __future__ import annotations

import json
import shlex
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tfd2l.train.records import RECORD_FILE

__all__ = ["JobSettings", "render_job"]

# Interruptions after which a job counts as failed.
_RESTARTS = 10
# Seconds from SIGTERM on: the running call, a checkpoint, and the workers' minute to notice that
# another one has gone.
_GRACE_S = 120
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class JobSettings:
    """Names and sizes of a training job.

    Attributes:
        name: of all objects in Kubernetes and of the Compose project: a DNS label.
        workers: the number of workers.
        image: has Python with tfd2l.
        cpus: of each worker.
        memory: of each worker, MiB.
        gpus: of each worker.
        user: the id of the user, and of the group, that may write to the shared volume.
        claim: the PersistentVolumeClaim of Kubernetes that all workers share.
    """

    name: str = "tfd2l-training"
    workers: int = 2
    image: str = "tfd2l:latest"
    cpus: int = 2
    memory: int = 4096
    gpus: int = 0
    user: int = 1000
    claim: str = "training"


def render_job(
    settings: JobSettings, flags: Sequence[str], run: str | None, directory: str
) -> dict[str, str]:
    """Render all files of a training job.

    Args:
        settings: names and sizes.
        flags: of `python -m tfd2l.train`, the same for all workers.
        run: the run's directory, from which a worker that starts again resumes; None if `flags`
            have a run to resume.
        directory: of the workers on this machine, relative to that of the files.

    Returns:
        The texts, by the name of the file.
    """
    job = _Job(settings, flags, run)
    return {
        "kubernetes.yaml": job.kubernetes(),
        "tfjob.yaml": job.tfjob(),
        "trainjob.yaml": job.trainjob(),
        "compose.yaml": job.compose(directory),
    }


class _Job:
    def __init__(self, settings: JobSettings, flags: Sequence[str], run: str | None) -> None:
        self._settings, self._flags, self._run = settings, flags, run
        self._values = {
            **vars(settings),
            "count": settings.workers,
            "grace": _GRACE_S,
            "restarts": _RESTARTS,
            "retries": _RESTARTS * settings.workers,
            "run": run or "the run",
        }

    def kubernetes(self) -> str:
        """An Indexed Job, whose pods are called NAME-INDEX in the domain of the Service NAME."""
        hosts = f"{self._settings.name}-{{}}.{self._settings.name}"
        pod = self._pod(4, "training", "cluster", "Never", hosts, subdomain=True)
        return self._fill("training_job.yaml", pod=pod, network=self._network())

    def tfjob(self) -> str:
        """A TFJob; the operator expects this name of the container, and of its port."""
        pod = self._pod(8, "tensorflow", "tfjob-port", "OnFailure", None)
        return self._fill("tfjob.yaml", pod=pod, network=self._network())

    def trainjob(self) -> str:
        """A TrainJob with its runtime, whose JobSet calls the pods NAME-node-0-INDEX."""
        hosts = f"{self._settings.name}-node-0-{{}}.{self._settings.name}"
        pod = self._pod(16, "node", "cluster", "Never", hosts)
        return self._fill("trainjob.yaml", pod=pod, network=self._network())

    def compose(self, directory: str) -> str:
        """A service for each worker, on this machine."""
        names = [f"worker-{index}" for index in range(self._settings.workers)]
        services = "\n".join(
            f"  {name}:\n    <<: *worker\n    environment:\n      <<: *environment\n"
            f'      JOB_COMPLETION_INDEX: "{index}"'
            for index, name in enumerate(names)
        )
        gpus = f"  gpus:\n    - count: {self._settings.gpus}\n" if self._settings.gpus else ""
        return self._fill(
            "training_compose.yaml",
            # Compose would replace a single dollar by a variable of the user's shell.
            script=_block(self._script("worker-{}").replace("$", "$$"), indent=6),
            directory=json.dumps(directory).replace("$", "$$"),
            gpus=gpus,
            services=services,
        )

    def _pod(
        self,
        indent: int,
        container: str,
        port_name: str,
        restart: str,
        hosts: str | None,
        *,
        subdomain: bool = False,
    ) -> str:
        """The template of a worker's pod; `hosts` as in `_script`."""
        resources = {"cpu": self._settings.cpus, "memory": f"{self._settings.memory}Mi"}
        if self._settings.gpus:
            resources["nvidia.com/gpu"] = self._settings.gpus
        text = self._fill(
            "training_pod.yaml",
            container=container,
            port_name=port_name,
            restart=restart,
            subdomain=f'\n  subdomain: "{self._settings.name}"' if subdomain else "",
            script=_block(self._script(hosts), indent=10),
            resources="\n".join(f"          {name}: {value}" for name, value in resources.items()),
        )
        return _block(text, indent=indent)

    def _script(self, hosts: str | None) -> str:
        """The shell's script of a worker.

        Args:
            hosts: the name of a worker's host, with {} for its index; None where TF_CONFIG comes
                from elsewhere.
        """
        workers = ""
        if hosts is not None and self._settings.workers > 1:
            names = ",".join(f"{hosts.format(i)}:2222" for i in range(self._settings.workers))
            workers = f' \\\n  --workers {names} \\\n  --worker-index "$JOB_COMPLETION_INDEX"'
        flags = shlex.join(self._flags)
        if self._run is None:
            return f"exec python -m tfd2l.train {flags}{workers}"
        return self._fill(
            "training.sh",
            record=shlex.quote(f"{self._run}/{RECORD_FILE}"),
            run=shlex.quote(self._run),
            flags=flags,
            workers=workers,
        )

    def _network(self) -> str:
        return self._fill("training_network.yaml").removesuffix("\n")

    def _fill(self, template: str, **values: object) -> str:
        text = (_TEMPLATES / template).read_text(encoding="utf-8")
        return Template(text).substitute({**self._values, **values})


def _block(text: str, *, indent: int) -> str:
    return textwrap.indent(text.removesuffix("\n"), " " * indent)
