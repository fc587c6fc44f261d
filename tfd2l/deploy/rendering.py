"""The texts of the files that start TensorFlow Serving, from the templates beside this file."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tfd2l.deploy.models import DeployError, ServedModel

__all__ = ["Settings", "compose", "configuration", "kubernetes", "server_flags"]

_TEMPLATES = Path(__file__).with_name("templates")
# Where the containers have the models.
_MODELS = "/models"


@dataclass(frozen=True)
class Settings:
    """What the machine or cluster is to give.

    Attributes:
        name: of the Compose project, and of all that Kubernetes gets: a DNS label.
        image: of TensorFlow Serving, with its tag.
        cpus: of each server.
        memory: of each server, MiB.
        rest_port: of this machine, for Compose.
        grpc_port: the same, for gRPC.
        claim: Kubernetes' PersistentVolumeClaim with the models.
        replicas: servers in Kubernetes.
    """

    name: str = "tfd2l-serving"
    image: str = "tensorflow/serving:2.20.0"
    cpus: int = 2
    memory: int = 2048
    rest_port: int = 8501
    grpc_port: int = 8500
    claim: str = "savedmodels"
    replicas: int = 3


def configuration(models: Sequence[ServedModel], settings: Settings) -> dict[str, str]:
    """The server's own three files, text protos: content by name."""
    return {
        "models.config": _fill("models.config", models="".join(map(_model_config, models))),
        "batching_parameters.txt": _fill("batching_parameters.txt", cpus=settings.cpus),
        "monitoring.config": _fill("monitoring.config"),
    }


def compose(models: Sequence[ServedModel], settings: Settings) -> str:
    """`compose.yaml`: one server on this machine, with the directory of the file mounted."""
    return _fill(
        "compose.yaml",
        **vars(settings),
        flags=_list(server_flags(_MODELS, settings.cpus), indent=6),
        names=" ".join(model.name for model in models),
    )


def kubernetes(models: Sequence[ServedModel], settings: Settings, config: Mapping[str, str]) -> str:
    """`kubernetes.yaml`: replicas behind a service.

    Args:
        models: those that are served.
        settings: names and sizes.
        config: the texts of the three files of `configuration`, as the server is to have them.

    Raises:
        DeployError: one of the texts is not plain lines of text.
    """
    digest = hashlib.sha256("\0".join(config.values()).encode()).hexdigest()
    return _fill(
        "kubernetes.yaml",
        **vars(settings),
        flags=_list(server_flags("/config", settings.cpus), indent=12),
        config_name=f"{settings.name}-config-{digest[:10]}",
        # Any model will do: the ports open when all are loaded.
        status_path=f"/v1/models/{models[0].name}",
        config="\n".join(f"  {name}: |\n{_block(name, text)}" for name, text in config.items()),
    )


def server_flags(config: str, cpus: int) -> list[str]:
    """The flags of `tensorflow_model_server`.

    Args:
        config: the directory with its three files, as the server sees it.
        cpus: how many it may use.
    """
    return [
        "--port=8500",
        "--rest_api_port=8501",
        f"--model_config_file={config}/models.config",
        "--model_config_file_poll_wait_seconds=30",
        # Without it a label must wait for a version that is loaded already.
        "--allow_version_labels_for_unavailable_models=true",
        # With these, a good version need not wait for the retries of a bad one.
        "--num_load_threads=2",
        "--enable_batching=true",
        f"--batching_parameters_file={config}/batching_parameters.txt",
        f"--monitoring_config_file={config}/monitoring.config",
        # By default it takes the CPUs of the machine, not those that a container is limited to.
        f"--tensorflow_intra_op_parallelism={cpus}",
        f"--tensorflow_inter_op_parallelism={cpus}",
    ]


def _list(items: Sequence[str], *, indent: int) -> str:
    """A list in YAML; its items need no quotes."""
    return "\n".join(f"{' ' * indent}- {item}" for item in items)


def _fill(template: str, **values: object) -> str:
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)


def _model_config(model: ServedModel) -> str:
    """One model's part of `models.config`."""
    policy = f"latest {{ num_versions: {model.keep} }}"
    if model.versions:
        policy = f"specific {{ {' '.join(f'versions: {number}' for number in model.versions)} }}"
    lines = [
        "config {",
        f'  name: "{model.name}"',
        f'  base_path: "{_MODELS}/{model.name}"',
        '  model_platform: "tensorflow"',
        f"  model_version_policy {{ {policy} }}",
        *(
            f'  version_labels {{ key: "{label}" value: {version} }}'
            for label, version in model.labels.items()
        ),
        "}",
    ]
    return "".join(f"  {line}\n" for line in lines)


def _block(name: str, text: str) -> str:
    """A text as the lines of a literal block in YAML, which gives back the very same text.

    Of what a text may hold if someone edited it, this is what such a block can't.
    """
    lines = text.split("\n")
    plain = all(line.replace("\t", " ").isprintable() for line in lines)
    if not plain or text[:1].isspace() or text != text.rstrip("\n") + "\n":
        raise DeployError(
            f"to go into kubernetes.yaml, {name} must be lines of printable characters, the first "
            "one not empty or indented and the last one not empty. Edit it, or call again with "
            "--force to have it written anew."
        )
    return textwrap.indent(text.removesuffix("\n"), " " * 4, lambda line: line != "\n")
