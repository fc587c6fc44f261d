"""Reads `monitoring.config`, the MonitoringConfig of TensorFlow Serving."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, text_format

from pipelines.basics.files import read_regular
from pipelines.basics.text import one_line
from tfd2l.deploy.models import DeployError

__all__ = ["MONITORING_FILE", "metrics_path"]

MONITORING_FILE = "monitoring.config"
_DEFAULT_PATH = "/monitoring/prometheus/metrics"


def metrics_path(directory: Path) -> str | None:
    """Return the path at which the directory's `monitoring.config` has metrics for Prometheus.

    Returns:
        A path; None without the file, or if it does not enable Prometheus.

    Raises:
        DeployError: the file can't be read, is not a MonitoringConfig, or its path does not begin
            with '/'.
    """
    try:
        text = read_regular(directory / MONITORING_FILE).decode(errors="replace")
        config = text_format.Parse(text, _monitoring_config()()).prometheus_config
    except FileNotFoundError:
        return None
    except (OSError, text_format.ParseError, RecursionError, ValueError) as error:
        raise DeployError(
            f"{directory / MONITORING_FILE} must be a MonitoringConfig of TensorFlow Serving; got "
            f"{one_line(str(error)).rstrip('.')}. Edit it, or overwrite it by "
            "python -m tfd2l.deploy --force."
        ) from error
    path = str(config.path or _DEFAULT_PATH)
    if not path.startswith("/"):
        raise DeployError(
            f"the path in {directory / MONITORING_FILE} must begin with '/'; got {path!r}. "
            f"TensorFlow Serving's own is {_DEFAULT_PATH!r}."
        )
    return path if config.enable else None


@cache
def _monitoring_config() -> Any:
    """The message class MonitoringConfig, which tensorflow-serving-api does not contain.

    Source: tensorflow_serving/config/monitoring_config.proto.
    """
    kinds = descriptor_pb2.FieldDescriptorProto
    file = descriptor_pb2.FileDescriptorProto(
        name="tfd2l/monitoring_config.proto", package="tfd2l", syntax="proto3"
    )
    prometheus = file.message_type.add(name="PrometheusConfig")
    prometheus.field.add(name="enable", number=1, type=kinds.TYPE_BOOL)
    prometheus.field.add(name="path", number=2, type=kinds.TYPE_STRING)
    file.message_type.add(name="MonitoringConfig").field.add(
        name="prometheus_config",
        number=1,
        type=kinds.TYPE_MESSAGE,
        type_name=".tfd2l.PrometheusConfig",
    )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    descriptor = pool.FindMessageTypeByName("tfd2l.MonitoringConfig")
    return message_factory.GetMessageClass(descriptor)
