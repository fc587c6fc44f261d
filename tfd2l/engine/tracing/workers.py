"""Processes that train together: tells their errors from those of a step."""

from __future__ import annotations

import re

import tensorflow as tf

__all__ = ["is_of_cluster"]

_LOST = "Collective ops is aborted|heartbeat|Connection re|UNAVAILABLE|failed to connect"
_CLUSTER = r"/job:(worker|chief)|CoordinationService|worker-left"


def is_of_cluster(error: Exception) -> bool:
    """Return True if an error of TensorFlow says that another process is lost or has left."""
    text = str(error)
    return (
        isinstance(error, tf.errors.OpError)
        and "mismatch" not in text
        and re.search(_LOST, text) is not None
        and re.search(_CLUSTER, text) is not None
    )
