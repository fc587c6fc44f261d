"""`python -m tfd2l.train`: trains a model, keeps the run, exports the model.

Flags are read before TensorFlow is imported, and the data is loaded and verified meanwhile. The
story of a run is in `run.py`.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tfd2l.common.commands import run_command
from tfd2l.common.keras_backend import check_keras_backend
from tfd2l.common.startup import collector_paused
from tfd2l.train.records import read_record

if TYPE_CHECKING:
    from tfd2l.train.settings.cluster import Cluster
    from tfd2l.train.settings.config import TrainConfig

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Returns:
        The exit status: 0; 2 for a wrong setting or file, 75 if another worker of the run is lost,
        130 after Ctrl-C, 143 after SIGTERM.
    """
    flags = sys.argv[1:] if argv is None else argv
    return run_command(lambda: start(flags), interrupted="interrupted before training began")


def start(flags: Sequence[str]) -> int:
    """Read the settings, and load the data while TensorFlow is imported; then run."""
    # These imports take half a second, in which Ctrl-C shall find main() running.
    from concurrent.futures import ThreadPoolExecutor

    from tfd2l.train.settings.cluster import cluster_of
    from tfd2l.train.settings.flags import parse_all

    configs = parse_all(flags)
    config = configs[0]
    cluster = None
    if config.publish is None:
        cluster = cluster_of(config.workers, config.worker_index)
    # After the flags: it imports NumPy.
    from pipelines import fashion_mnist

    changes = None
    if config.resume is not None:
        changes = config.changes
        configs = [resumed(config.resume, changes)]
    elif config.publish is not None:
        configs = [to_publish(config.publish, config)]
    settings = configs[0]
    with ThreadPoolExecutor(1) as pool:
        loading = None
        if settings.data is None and not settings.is_synthetic:
            loading = pool.submit(fashion_mnist.load, settings.data_dir, say=print)
        with collector_paused():
            strategy = prepare_tensorflow(settings, cluster)
        if config.publish is not None:
            from tfd2l.train.publish_run import publish_run

            arrays = None if loading is None else loading.result()
            publish_run(config.publish, config.epoch, settings, arrays, say=print)
            return 0
        from tfd2l.train.run import run
        from tfd2l.train.seeds import run_each
        from tfd2l.train.workers.team import Team

        if len(configs) == 1:
            return run(settings, flags, loading, changes, Team(strategy))
        return run_each(configs, flags, loading, Team(strategy))


def to_publish(path: Path, config: TrainConfig) -> TrainConfig:
    """The settings of the run in a directory, with those of its publication."""
    from tfd2l.train.settings.config import PUBLICATION, from_settings

    given = {n: getattr(config, n) for n in PUBLICATION if n in config.model_fields_set}
    return from_settings({**read_record(path)["settings"], **given})


def resumed(path: Path, changes: Mapping[str, Any]) -> TrainConfig:
    """The settings of the run in a directory, with changes."""
    from tfd2l.train.settings.config import from_settings

    settings = read_record(path)["settings"]
    arguments = settings.get("set", {})
    if "lr" in changes and ("lr" in arguments or settings.get("optimizer", "own") == "own"):
        arguments = {**arguments, "lr": changes["lr"]}
    return from_settings({**settings, "set": arguments, **changes, "run_dir": path})


def prepare_tensorflow(settings: TrainConfig, cluster: Cluster | None) -> Any:
    """Import TensorFlow and the modules on top of it, choose devices and precision.

    Returns:
        The strategy of the workers, None for a single process.
    """
    if settings.deterministic:
        # On a CPU without AVX-512 TensorFlow would use Eigen's matrix products, whose sums depend
        # on the number of threads; oneDNN's don't.
        os.environ["TF_ENABLE_ONEDNN_OPTS"] = "1"
    check_keras_backend()
    import tensorflow as tf

    if settings.deterministic and settings.may_convolve:
        # The gradients of convolutions are sums by thread, whose number changes their rounding.
        tf.config.threading.set_intra_op_parallelism_threads(1)
    if settings.device == "cpu":
        tf.config.set_visible_devices([], "GPU")
        if isinstance(settings.devices, int) and settings.devices > 1:
            [cpu] = tf.config.list_physical_devices("CPU")
            parts = [tf.config.LogicalDeviceConfiguration()] * settings.devices
            tf.config.set_logical_device_configuration(cpu, parts)
    strategy = None
    if cluster is not None:
        from tfd2l.train.workers.connection import connect

        strategy = connect(cluster, settings.devices, say=print)
    tf.config.list_logical_devices()
    import keras

    for module in ("publish_run", "run", "seeds"):
        importlib.import_module(f"tfd2l.train.{module}")
    from tfd2l.train.build import choose_device, devices_of

    # A device that is not there is an error before anything is written.
    choose_device(settings.device)
    if strategy is None:
        devices_of(settings)
    if settings.deterministic:
        tf.config.experimental.enable_op_determinism()
    keras.config.set_dtype_policy(settings.precision)
    return strategy
