"""Processes that train together: the error when one of them is lost."""

from __future__ import annotations

import re

from tfd2l.engine.errors import WorkerError

__all__ = ["raise_if_lost"]


def raise_if_lost(error: Exception) -> None:
    """Raise WorkerError if an error of TensorFlow says that another process is lost.

    Args:
        error: of an operation that the processes make together.

    Raises:
        WorkerError: the error names tasks of the cluster that can't be reached.
    """
    text = str(error)
    tasks = re.findall(r"/job:worker(?:/replica:\d+)?/task:(\d+)", text)
    if tasks and re.search("Collective ops is aborted|heartbeat|Connection re|UNAVAILABLE", text):
        workers = ", ".join(sorted(set(tasks)))
        raise WorkerError(
            f"worker {workers} has ended or can't be reached, so no worker can make the next step. "
            "Start all of them again, each with the last checkpoint: fit(model, data, checkpoint)."
        ) from error
