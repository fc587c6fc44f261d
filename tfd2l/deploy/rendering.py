"""Renders the files that start TensorFlow Serving, from the templates beside this file."""

from __future__ import annotations

import hashlib
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from string import Template

from tfd2l.deploy.models import ServedModel
from tfd2l.deploy.models_config import CONFIG_FILE, MODELS_IN_CONTAINER, models_config

__all__ = ["Settings", "configuration", "render"]

_BATCHING_FILE, _MONITORING_FILE = "batching_parameters.txt", "monitoring.config"
_TEMPLATES = Path(__file__).with_name("templates")


@dataclass(frozen=True)
class Settings:
    """Names and sizes of the servers.

    Attributes:
        name: of the Compose project, and of all objects in Kubernetes: a DNS label.
        image: of TensorFlow Serving, with its tag.
        cpus: of each server.
        memory: of each server, MiB.
        rest_port: the port of this machine for REST, in Compose.
        grpc_port: the port of this machine for gRPC, in Compose.
        claim: the PersistentVolumeClaim of Kubernetes that has the models.
        replicas: the number of servers in Kubernetes.
        batching: requests share runs of a model, and fail together.
    """

    name: str = "tfd2l-serving"
    image: str = "tensorflow/serving:2.20.0"
    cpus: int = 2
    memory: int = 2048
    rest_port: int = 8501
    grpc_port: int = 8500
    claim: str = "savedmodels"
    replicas: int = 3
    batching: bool = False


def render(models: Sequence[ServedModel], settings: Settings) -> dict[str, str]:
    """Render all files: the server's configuration, `compose.yaml` and `kubernetes.yaml`.

    Args:
        models: those to serve, at least one.
        settings: names and sizes.

    Returns:
        The texts, by the name of the file.
    """
    config = configuration(models, settings)
    return {
        **config,
        "compose.yaml": _compose(models, settings),
        "kubernetes.yaml": _kubernetes(models, settings, config),
    }


def configuration(models: Sequence[ServedModel], settings: Settings) -> dict[str, str]:
    """Render the text protos that the server reads, by the name of the file."""
    texts = {CONFIG_FILE: models_config(models), _MONITORING_FILE: _fill(_MONITORING_FILE)}
    if settings.batching:
        texts[_BATCHING_FILE] = _fill(_BATCHING_FILE, cpus=settings.cpus)
    return texts


def _compose(models: Sequence[ServedModel], settings: Settings) -> str:
    """Render one server on this machine, with the directory of the file mounted."""
    return _fill(
        "compose.yaml",
        **vars(settings),
        flags=_yaml_list(_server_flags(MODELS_IN_CONTAINER, settings), indent=6),
        # Compose would replace a single dollar by a variable of the user's shell.
        probe=_yaml_block(_probe(models).replace("$", "$$"), indent=10),
    )


def _kubernetes(models: Sequence[ServedModel], settings: Settings, config: dict[str, str]) -> str:
    """Render replicas behind a service; `config` has the texts of the server's files."""
    digest = hashlib.sha256("\0".join(config.values()).encode()).hexdigest()
    return _fill(
        "kubernetes.yaml",
        **vars(settings),
        flags=_yaml_list(_server_flags("/config", settings), indent=12),
        config_name=f"{settings.name}-config-{digest[:10]}",
        probe=_yaml_block(_probe(models), indent=18),
        config="\n".join(
            f"  {name}: |\n{_yaml_block(text, indent=4)}" for name, text in config.items()
        ),
    )


def _probe(models: Sequence[ServedModel]) -> str:
    """Render the script for bash that ends with 0 if every model has an available version."""
    return _fill("probe.bash", names=" ".join(model.name for model in models))


def _server_flags(config: str, settings: Settings) -> list[str]:
    """Return the flags of `tensorflow_model_server`.

    Args:
        config: the directory of its files, as the server sees it.
        settings: names and sizes.
    """
    batching = [
        "--enable_batching=true",
        f"--batching_parameters_file={config}/{_BATCHING_FILE}",
    ]
    return [
        "--port=8500",
        "--rest_api_port=8501",
        f"--model_config_file={config}/{CONFIG_FILE}",
        "--model_config_file_poll_wait_seconds=30",
        # Without it a label must wait for a version that is loaded already.
        "--allow_version_labels_for_unavailable_models=true",
        # A model need not wait while a large one loads.
        "--num_load_threads=2",
        # By default a version that fails is loaded five times more, a minute apart, and holds one
        # of these threads all the time: two such versions would keep every other model waiting.
        "--max_num_load_retries=0",
        *(batching if settings.batching else []),
        f"--monitoring_config_file={config}/{_MONITORING_FILE}",
        # By default it uses the CPUs of the machine, not those that a container is limited to.
        f"--tensorflow_intra_op_parallelism={settings.cpus}",
        f"--tensorflow_inter_op_parallelism={settings.cpus}",
    ]


def _yaml_list(items: Sequence[str], *, indent: int) -> str:
    """Return a list in YAML; the items need no quotes."""
    return "\n".join(f"{' ' * indent}- {item}" for item in items)


def _yaml_block(text: str, *, indent: int) -> str:
    """Return the lines of a literal block in YAML, from which the same text is read."""
    return textwrap.indent(text.removesuffix("\n"), " " * indent)


def _fill(template: str, **values: object) -> str:
    return Template((_TEMPLATES / template).read_text(encoding="utf-8")).substitute(values)
