"""Where computations run: the CPU, or a GPU where TensorFlow sees one."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import tensorflow as tf

from tfd2l.common.errors import Tfd2lError


class DeviceError(Tfd2lError, ValueError):
    """The device that was asked for can't be used."""


def choose_device(num_gpus: int | None) -> str:
    """TensorFlow's name of the device to train on.

    Args:
        num_gpus: 0 for the CPU, 1 for the first GPU, None for a GPU if there is one.

    Raises:
        DeviceError: a GPU is asked for, and TensorFlow sees none; or more than one.
    """
    available = len(tf.config.list_logical_devices("GPU"))
    wanted = min(available, 1) if num_gpus is None else num_gpus
    if isinstance(wanted, bool | float) or wanted not in (0, 1):
        raise DeviceError(
            f"num_gpus must be 0 (CPU), 1 (the first GPU) or None (whichever there is); "
            f"got {num_gpus!r}."
        )
    if wanted > available:
        raise DeviceError(
            "a GPU was asked for, but TensorFlow sees none. Train on the CPU (num_gpus=0, or "
            "--device cpu), or install NVIDIA's driver and `pip install tensorflow[and-cuda]`."
        )
    return "/GPU:0" if wanted else "/CPU:0"


def check_placement(variables: Iterable[tf.Variable], device: str) -> None:
    """Raise unless the variables lie on a device of the kind that `device` names.

    Raises:
        DeviceError: a variable lies elsewhere.
    """
    kind = tf.DeviceSpec.from_string(device).device_type
    for variable in variables:
        lies_on = tf.DeviceSpec.from_string(variable.device).device_type
        if lies_on not in (None, kind):
            raise DeviceError(
                f"training runs on {kind}, but the variable {variable.name!r} lies on {lies_on}; "
                f"create the model within `with tf.device({device!r}):`."
            )


def cpu() -> Any:
    """The CPU, for a `with`: what is made within lies there.

    Source: D2L 6.7.
    """
    return tf.device("/CPU:0")


def gpu(i: int = 0) -> Any:
    """The GPU number `i`, for a `with`.

    Raises:
        DeviceError: TensorFlow sees fewer GPUs. (It would otherwise place in silence on the CPU.)
    """
    if not 0 <= i < num_gpus():
        raise DeviceError(
            f"GPU number {i} was asked for, and TensorFlow sees {num_gpus()}; try_gpu({i}) "
            "takes the CPU instead."
        )
    return tf.device(f"/GPU:{i}")


def num_gpus() -> int:
    """How many GPUs TensorFlow sees."""
    return len(tf.config.list_logical_devices("GPU"))


def try_gpu(i: int = 0) -> Any:
    """The GPU number `i` if it is there, or else the CPU.

    Source: D2L 6.7.
    """
    return gpu(i) if 0 <= i < num_gpus() else cpu()


def try_all_gpus() -> list[Any]:
    """All GPUs, or the CPU alone where there is none.

    Source: D2L 6.7.
    """
    return [gpu(i) for i in range(num_gpus())] or [cpu()]
