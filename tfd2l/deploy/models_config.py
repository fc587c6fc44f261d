"""Writes and reads `models.config`, the ModelServerConfig of TensorFlow Serving."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from pipelines.basics.text import one_line
from tfd2l.deploy.models import DeployError, ServedModel

__all__ = [
    "CONFIG_FILE",
    "MODELS_IN_CONTAINER",
    "models_config",
    "read_models_config",
]

CONFIG_FILE = "models.config"
# Where the containers mount the directory of models.
MODELS_IN_CONTAINER = "/models"

_HEADER = (
    "# The models to serve: ModelServerConfig of TensorFlow Serving, which reads this again every "
    "30 seconds.\n"
)


def models_config(models: Iterable[ServedModel]) -> str:
    """Write the configuration that serves these models in a container.

    Example:
        >>> from tfd2l.deploy.models import ServedModel
        >>> from tfd2l.deploy.models_config import models_config, read_models_config
        >>> text = models_config([ServedModel("mlp", versions=(3, 4), labels={"stable": 3})])
        >>> read_models_config(text)["mlp"].versions
        (3, 4)
    """
    config = model_server_config_pb2.ModelServerConfig()
    for model in models:
        added = config.model_config_list.config.add(
            name=model.name,
            base_path=f"{MODELS_IN_CONTAINER}/{model.name}",
            model_platform="tensorflow",
        )
        if model.versions:
            added.model_version_policy.specific.versions.extend(model.versions)
        else:
            added.model_version_policy.latest.num_versions = model.keep
        added.version_labels.update(model.labels)
    return _HEADER + str(text_format.MessageToString(config))


def read_models_config(text: str) -> dict[str, ServedModel]:
    """Read which versions of each model are to be served; return them by the model's name.

    Raises:
        DeployError: the text is not a ModelServerConfig.
    """
    try:
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (text_format.ParseError, RecursionError, ValueError) as error:
        # Others than a parse error are of nested braces and numbers.
        place = "at line and column " if isinstance(error, text_format.ParseError) else "got "
        raise DeployError(
            f"{CONFIG_FILE} must be a ModelServerConfig of TensorFlow Serving; {place}"
            f"{one_line(str(error)).rstrip('.')}. Edit it, or overwrite it by "
            "python -m tfd2l.deploy --force."
        ) from error
    return {model.name: _served_model(model) for model in config.model_config_list.config}


def _served_model(model: Any) -> ServedModel:
    """Convert a ModelConfig."""
    policy = model.model_version_policy
    # The server takes 0 for 1.
    keep = sys.maxsize if policy.HasField("all") else max(1, policy.latest.num_versions)
    versions = tuple(sorted(policy.specific.versions))
    return ServedModel(model.name, versions, keep, dict(model.version_labels))
