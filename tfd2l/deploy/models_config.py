"""`models.config`, as `deploy` writes it and people edit it: read, and moved to real paths."""

from __future__ import annotations

import re
import sys
from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    message_factory,
    text_encoding,
    text_format,
)

from tfd2l.deploy.models import DeployError, ServedModel

__all__ = ["CONFIG_FILE", "quoted", "read_models_config", "with_real_paths"]

CONFIG_FILE = "models.config"

# What is read of TensorFlow Serving's ModelServerConfig: its messages' fields by name. The protos
# themselves are in a package that only the extra `grpc` installs. A star is for repeated ones.
_SCHEMA = {
    "Config": {"model_config_list": "List"},
    "List": {"config": "*Model"},
    "Model": {"name": "text", "model_version_policy": "Policy", "version_labels": "*Label"},
    "Policy": {"latest": "Latest", "all": "All", "specific": "Specific"},
    "Latest": {"num_versions": "number"},
    "All": {},
    "Specific": {"versions": "*number"},
    "Label": {"key": "text", "value": "number"},
}
_BASE_PATH = re.compile(r"""base_path\s*:\s*(["'])/models/(.*?)\1""")


def read_models_config(text: str) -> dict[str, ServedModel]:
    """What is to be served of each model, by its name.

    Raises:
        DeployError: the text is no ModelServerConfig.
    """
    try:
        config = text_format.Parse(text, _config_type()(), allow_unknown_field=True)
    except text_format.ParseError as error:
        raise DeployError(
            f"{CONFIG_FILE} must be a ModelServerConfig of TensorFlow Serving; at line and column "
            f"{error}. Edit it, or have it written anew by python -m tfd2l.deploy --force."
        ) from error
    return {model.name: _served(model) for model in config.model_config_list.config}


def with_real_paths(text: str, directory: Path) -> str:
    """The text with the models below `directory`, where the container has them below /models."""
    return _BASE_PATH.sub(
        lambda match: f"base_path: {quoted(str(directory.absolute() / match[2]))}", text
    )


def quoted(text: str) -> str:
    """A string as text protos have it."""
    return f'"{text_encoding.CEscape(text, as_utf8=True)}"'


def _served(model: Any) -> ServedModel:
    policy = model.model_version_policy
    # The server takes 0 for 1.
    keep = sys.maxsize if policy.HasField("all") else max(1, policy.latest.num_versions)
    labels = {label.key: label.value for label in model.version_labels}
    return ServedModel(model.name, tuple(sorted(policy.specific.versions)), keep, labels)


@cache
def _config_type() -> Any:
    """The class of the message `Config`."""
    file = descriptor_pb2.FileDescriptorProto(name="models_config.proto", syntax="proto3")
    types = descriptor_pb2.FieldDescriptorProto
    for name, fields in _SCHEMA.items():
        message = file.message_type.add(name=name)
        for number, (field, kind) in enumerate(fields.items(), 1):
            label = types.LABEL_REPEATED if kind.startswith("*") else types.LABEL_OPTIONAL
            added = message.field.add(name=field, number=number, label=label)
            plain = {"text": types.TYPE_STRING, "number": types.TYPE_INT64}
            added.type = plain.get(kind.strip("*"), types.TYPE_MESSAGE)
            if added.type == types.TYPE_MESSAGE:
                added.type_name = f".{kind.strip('*')}"
    pool = descriptor_pool.DescriptorPool()
    pool.AddSerializedFile(file.SerializeToString())
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("Config"))
