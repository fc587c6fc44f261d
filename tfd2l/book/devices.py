"""Chooses the device that computations run on: the CPU or a GPU. D2L 6.7."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import tensorflow as tf

from tfd2l.common.errors import Tfd2lError
from tfd2l.engine.distribution.replicas import OneDevice, Replicas

__all__ = [
    "DeviceError", "check_placement", "choose_device", "choose_placement", "cpu", "gpu", "num_gpus",
    "strategy_of", "try_all_gpus", "try_gpu",
]  # fmt: skip


class DeviceError(Tfd2lError, ValueError):
    """The chosen device can't be used."""


def choose_device(num_gpus: int | None) -> str:
    """Return TensorFlow's name of the device to train on.

    Args:
        num_gpus: 0 means the CPU, 1 the first GPU, None a GPU if there is one.

    Raises:
        DeviceError: `num_gpus` is 1 and TensorFlow sees no GPU, or it is another number.

    Example:
        >>> choose_device(num_gpus=0)
        '/CPU:0'
    """
    available = len(tf.config.list_logical_devices("GPU"))
    wanted = min(available, 1) if num_gpus is None else num_gpus
    if isinstance(wanted, bool | float) or wanted not in (0, 1):
        raise DeviceError(
            f"num_gpus must be 0 (CPU), 1 (the first GPU), a larger number (so many GPUs) or None "
            f"(a GPU if there is one); got {num_gpus!r}."
        )
    if wanted > available:
        raise DeviceError(
            "a GPU was chosen, but TensorFlow sees none. Train on the CPU (num_gpus=0, or "
            "--device cpu), or install NVIDIA's driver and `pip install tensorflow[and-cuda]`."
        )
    return "/GPU:0" if wanted else "/CPU:0"


_STRATEGIES = (tf.distribute.MirroredStrategy, tf.distribute.MultiWorkerMirroredStrategy)


def choose_placement(
    num_gpus: int | None, strategy: tf.distribute.Strategy | None, jit_compile: bool | None
) -> OneDevice:
    """Return where to train: on one device, or in replicas on several.

    Args:
        num_gpus: as `choose_device`; 2 or more make a `MirroredStrategy` on the first ones.
        strategy: the reader's own, which says itself on which devices.
        jit_compile: True asks for XLA, which compiles for one device.

    Raises:
        DeviceError: there are fewer GPUs, or the strategy is of a kind that has no equal replicas.
        ValueError: arguments exclude each other.
    """
    wanted = num_gpus if type(num_gpus) is int else 0
    if strategy is None and wanted < 2:
        return OneDevice(choose_device(num_gpus))
    if strategy is not None and num_gpus is not None:
        raise ValueError(
            f"num_gpus={num_gpus} and a strategy exclude each other; the strategy has its devices."
        )
    if jit_compile:
        raise ValueError("jit_compile=True compiles for one device, not for several; drop it.")
    if strategy is None:
        strategy = strategy_of("GPU", wanted)
    if not isinstance(strategy, _STRATEGIES):
        raise DeviceError(
            "strategy must be a tf.distribute.MirroredStrategy or MultiWorkerMirroredStrategy, "
            f"whose replicas make every step together; got {type(strategy).__name__}."
        )
    return Replicas(strategy)


@cache
def strategy_of(kind: str, count: int) -> tf.distribute.Strategy:
    """The strategy for the first devices of a kind, 'GPU' or 'CPU'.

    It is made once: another one would use the keys of this one's collective operations.

    Raises:
        DeviceError: TensorFlow sees fewer.
    """
    available = len(tf.config.list_logical_devices(kind))
    if count > available:
        name = "num_gpus" if kind == "GPU" else "devices"
        raise DeviceError(
            f"{name} must be at most {available}, the {kind}s that TensorFlow sees; got {count}. "
            "Logical devices of the CPU are a way to try the code (docs/distributed.md)."
        )
    return tf.distribute.MirroredStrategy([f"{kind}:{i}" for i in range(count)])


def check_placement(variables: Iterable[tf.Variable], device: str) -> None:
    """Check that the variables are on a device of the same kind as `device`.

    Raises:
        DeviceError: a variable is on a device of another kind.
    """
    kind = tf.DeviceSpec.from_string(device).device_type
    for variable in variables:
        actual = tf.DeviceSpec.from_string(variable.device).device_type
        if actual not in (None, kind):
            raise DeviceError(
                f"training runs on {kind}, but the variable {variable.name!r} is on {actual}; "
                f"create the model within `with tf.device({device!r}):`."
            )


def cpu() -> Any:
    """Return the CPU as a context manager: tensors made within are on the CPU.

    Example:
        >>> with d2l.cpu():
        ...     x = tf.ones((2,))
        >>> x.device.endswith("CPU:0")
        True

    Source: D2L 6.7.
    """
    return tf.device("/CPU:0")


def gpu(i: int = 0) -> Any:
    """Return GPU number `i` as a context manager.

    Raises:
        DeviceError: TensorFlow sees fewer GPUs. (TensorFlow itself would use the CPU, without a
            warning.)

    Source: D2L 6.7.
    """
    if not 0 <= i < num_gpus():
        raise DeviceError(
            f"gpu({i}) needs at least {i + 1} GPUs, and TensorFlow sees {num_gpus()}; "
            f"try_gpu({i}) uses the CPU instead."
        )
    return tf.device(f"/GPU:{i}")


def num_gpus() -> int:
    """Return the number of GPUs that TensorFlow sees.

    Source: D2L 6.7.
    """
    return len(tf.config.list_logical_devices("GPU"))


def try_gpu(i: int = 0) -> Any:
    """Return GPU number `i` if there is one, else the CPU, as a context manager.

    Source: D2L 6.7.
    """
    return gpu(i) if 0 <= i < num_gpus() else cpu()


def try_all_gpus() -> list[Any]:
    """Return all GPUs, or the CPU alone if there are no GPUs, as context managers.

    Source: D2L 6.7.
    """
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
