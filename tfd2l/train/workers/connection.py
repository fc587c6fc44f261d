"""Connects the workers of a run by TensorFlow, before it does anything else."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from types import FrameType

import tensorflow as tf
from tensorflow.compiler.xla.tsl.protobuf import coordination_config_pb2
from tensorflow.python.eager import context

from tfd2l.book.devices import DeviceError
from tfd2l.engine.errors import WorkerError
from tfd2l.train.interrupt import SIGNALS, InterruptedRunError
from tfd2l.train.settings.cluster import Cluster
from tfd2l.train.workers.meeting import Say, meet

__all__ = ["connect"]

# All workers have met just before.
CONNECT_S = 60


def connect(cluster: Cluster, devices: int | str, say: Say) -> tf.distribute.Strategy:
    """Wait for all workers, and return the strategy that makes steps with them.

    Args:
        cluster: the workers.
        devices: the number of GPUs that each takes where it has some, or 'all'.
        say: called with a line about those who are missing.

    Raises:
        DeviceError: there are fewer GPUs.
        MeetingError: they can't meet.
        WorkerError: one of them was lost after that.
    """
    gpus = tf.config.get_visible_devices("GPU")
    if isinstance(devices, int):
        if devices > max(len(gpus), 1):
            raise DeviceError(
                f"--devices {devices}, but TensorFlow sees {len(gpus)} GPUs; take as many. Several "
                "workers can't split the processor as well."
            )
        tf.config.set_visible_devices(gpus[:devices], "GPU")
    meet(cluster, say)
    os.environ["TF_CONFIG"] = cluster.tf_config()
    jobs = [
        coordination_config_pb2.CoordinatedJob(name=job, num_tasks=len(addresses))
        for job, addresses in cluster.jobs.items()
    ]
    context.context().configure_coordination_service(
        "standalone",
        service_leader=f"/job:{next(iter(cluster.jobs))}/replica:0/task:0",
        cluster_register_timeout_in_ms=CONNECT_S * 1000,
        coordinated_jobs=jobs,
    )
    try:
        with _ended_by_signals():
            strategy = tf.distribute.MultiWorkerMirroredStrategy()
    except (tf.errors.OpError, RuntimeError) as error:
        raise WorkerError(f"{cluster.name_of(0)} can't be reached by TensorFlow") from error
    # TensorFlow has a handler of its own by now, which leaves SIGTERM to a step that never comes.
    for number in SIGNALS:
        if number != signal.SIGINT and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    return strategy


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Inside, a signal ends the process at once, and so does an alarm after a time.

    TensorFlow does not let Python handle signals while it connects, and the chief's would wait
    without end for a worker that ends in this moment.
    """
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = [signal.signal(number, signal.SIG_DFL) for number in numbers]
    signal.alarm(2 * CONNECT_S)
    try:
        yield
    finally:
        signal.alarm(0)
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise InterruptedRunError(number)
